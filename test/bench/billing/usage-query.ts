import { DAY, newId, SeededRandom, systemClock } from '#kernel';
import { PgTx, sql, WORKER, type Store } from '#platform/database';
import { organizations } from '#identity/tenancy';
import { foldUsage, monthStart, usageDifferences, usageSums, type UsageDimension } from '#money/metering';

export interface UsageQueryContext {
  readonly store: Store;
  readonly quick?: boolean;
}

export interface UsageQueryResult {
  readonly rows: number;
  /** What the rows were summed up to: by hours, and by hours and jobs. */
  readonly hours: number;
  readonly jobHours: number;
  readonly usageQueryP50Ms: number;
  readonly usageQueryP95Ms: number;
  readonly insertedPerSecond: number;
}

/** Rows of one statement: each notes its sums, as any insert does. */
const AT_ONCE = 100_000;
const JOBS_AT_ONCE = 200;
const GROUPS: readonly (readonly UsageDimension[])[] = [
  [],
  ['project'],
  ['model'],
  ['provider'],
  ['resource', 'class'],
  ['project', 'model', 'provider'],
  ['job'],
];

/**
 * Usage by the hour of one organization with a month of usage records, as a tenant asks for it: through row-level security, a page of 200 sums
 * with the total of all, over a day, a week and the whole month, by every grouping. The records were written as always: noted, then folded.
 */
export async function run({ store, quick = false }: UsageQueryContext): Promise<UsageQueryResult> {
  const rows = quick ? 300_000 : 10_000_000;
  const random = new SeededRandom('usage query bench');
  const organizationId = newId('organization', systemClock.now(), random);
  const toMs = monthStart(systemClock.now());
  const fromMs = monthStart(toMs - 1);
  await store.transaction(WORKER, async (tx) => {
    const createdAt = await tx.now();
    await tx.insert(organizations, { id: organizationId, name: 'b', kind: 'tenant', state: 'active', createdAt });
  });
  const began = performance.now();
  const chunks = Array.from({ length: Math.ceil(rows / AT_ONCE) }, (_, i) => i * AT_ONCE);
  const write = async (): Promise<void> => {
    for (let at = chunks.shift(); at !== undefined; at = chunks.shift()) {
      await records(store, {
        organizationId,
        fromMs,
        stepMs: (toMs - fromMs) / rows,
        from: at,
        to: Math.min(rows, at + AT_ONCE),
      });
      await foldUsage(store);
    }
  };
  await Promise.all([write(), write()]);
  const insertedPerSecond = Math.round(rows / ((performance.now() - began) / 1_000));

  const tenant = { as: 'tenant', organizationId, projectIds: 'all' } as const;
  const ask = (days: number, groupBy: readonly UsageDimension[]): Promise<bigint> => {
    const last = Math.floor((toMs - fromMs) / DAY) - days;
    const start = fromMs + Math.floor(random.float() * (last + 1)) * DAY;
    const time = { fromMs: start, toMs: Math.min(toMs, start + days * DAY) };
    const of = { organizationId, projectIds: 'all', side: 'charge', bucket: 'hour', limit: 201 } as const;
    return store.transaction(tenant, async (tx) => (await usageSums(tx, { ...of, ...time, groupBy })).amountNano);
  };
  const month = Math.ceil((toMs - fromMs) / DAY);
  const whole = await ask(month, []);
  for (const groupBy of GROUPS) if ((await ask(month, groupBy)) !== whole) throw new Error('the sums are not the same');
  const times: number[] = [];
  for (let n = 0; n < (quick ? 3 : 8); n++)
    for (const groupBy of GROUPS)
      for (const days of [1, 7, month]) {
        const asked = performance.now();
        await ask(days, groupBy);
        times.push(performance.now() - asked);
      }
  times.sort((a, b) => a - b);
  const at = (share: number): number => Math.round((times[Math.floor(times.length * share)] ?? 0) * 10) / 10;
  const day = Math.floor(toMs / DAY) * DAY;
  const wrong = await store.transaction(WORKER, (tx) => usageDifferences(tx, { fromMs: day - DAY, toMs: day }));
  if (wrong.length > 0) throw new Error('the sums are not what the records say');
  const { hours, jobHours } = await counted(store, organizationId);
  return { rows, hours, jobHours, insertedPerSecond, usageQueryP50Ms: at(0.5), usageQueryP95Ms: at(0.95) };
}

/** Lease time of 200 jobs at once, of 20 projects on 6 models of 3 providers; then come the next 200. */
async function records(
  store: Store,
  of: { organizationId: string; fromMs: number; stepMs: number; from: number; to: number },
): Promise<void> {
  const { organizationId, fromMs, stepMs, from, to } = of;
  const start = new Date(fromMs).toISOString();
  await store.transaction(WORKER, async (tx) => {
    if (!(tx instanceof PgTx)) throw new TypeError('the bench needs PostgreSQL');
    await tx.query(
      sql`insert into usage_records (id, key, organization_id, project_id, lease_id, job_id, provider_id, provider_class, meter, side, resource,
            model, source, from_at, to_at, period_hour, period_month, quantity, unit, unit_price_nano, amount_nano, created_at)
          select 'use_' || n, ${organizationId.slice(-8)}::text || n, ${organizationId}::text, 'prj_' || job % 20, 'lease_' || job, 'job_' || job,
            'prv_' || job % 3, (array['hyperscaler', 'marketplace', 'neocloud'])[1 + job % 3], 'lease-time', 'charge',
            (array['H100', 'H200', 'A100', 'L4', 'L40S', 'T4'])[1 + job % 6] || ' x 1', (array['H100', 'H200', 'A100', 'L4', 'L40S', 'T4'])[1 + job % 6],
            'lease', ended - interval '1 second', ended, date_trunc('hour', ended - interval '1 millisecond', 'UTC'),
            ${start}::timestamptz, 1000, 'ms', 2000000000, 555555 + n % 7, now()
          from (
            select n, n / ${JOBS_AT_ONCE * 1_000}::integer * ${JOBS_AT_ONCE}::integer + n % ${JOBS_AT_ONCE}::integer as job,
              ${start}::timestamptz + (floor(n * ${stepMs}::double precision) + 1) * interval '1 millisecond' as ended
            from generate_series(${from}::integer, ${to - 1}::integer) as n
          ) as used`,
    );
  });
}

async function counted(store: Store, organizationId: string): Promise<{ hours: number; jobHours: number }> {
  return store.transaction(WORKER, async (tx) => {
    if (!(tx instanceof PgTx)) throw new TypeError('the bench needs PostgreSQL');
    const [row] = await tx.query<{ hours: string; jobs: string }>(
      sql`select (select count(*) from usage_hours where organization_id = ${organizationId}) as hours,
            (select count(*) from usage_job_hours where organization_id = ${organizationId}) as jobs`,
    );
    return { hours: Number(row?.hours), jobHours: Number(row?.jobs) };
  });
}

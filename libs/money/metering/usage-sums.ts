import { DAY, HOUR } from '#kernel';
import { identifier, join, PgTx, sql, type Sql, type Tx } from '#platform/database';
import { usageSpans, type Span } from './usage-spans.js';
import { usageRecords, type UsageRow } from './usage.table.js';

/** What usage can be told apart by, and the column that says it. */
const COLUMN = {
  project: 'projectId',
  provider: 'providerId',
  class: 'providerClass',
  resource: 'resource',
  model: 'model',
  sku: 'sku',
  job: 'jobId',
  endpoint: 'endpointId',
  meter: 'meter',
} as const satisfies Record<string, keyof UsageRow>;
export type UsageDimension = keyof typeof COLUMN;
export const usageDimensions = Object.keys(COLUMN) as readonly UsageDimension[];

export interface UsageQuery {
  /** Null: of all organizations, for the broker's own people. */
  readonly organizationId: string | null;
  readonly projectIds: readonly string[] | 'all';
  readonly side: 'charge' | 'cost';
  readonly fromMs: number;
  readonly toMs: number;
  /** Null: one sum over all the time. */
  readonly bucket: 'hour' | 'day' | null;
  readonly groupBy: readonly UsageDimension[];
  /** Only what has one of these values. */
  readonly only?: Readonly<Partial<Record<UsageDimension, readonly string[]>>>;
  readonly limit?: number;
  /** Those after this place, see `placeOf`. */
  readonly after?: readonly (string | number)[];
}

export interface UsageSum {
  /** First instant of the hour or day (UTC); null where the time is not cut. */
  readonly at: number | null;
  /** In the order of `groupBy`; null where the records have none. */
  readonly group: readonly (string | null)[];
  readonly meter: string;
  readonly unit: string;
  readonly quantity: bigint;
  readonly amountNano: bigint;
}

export interface UsageSums {
  readonly rows: readonly UsageSum[];
  /** Of everything that was asked for, whatever page the rows are. */
  readonly amountNano: bigint;
}

/** What orders sums; unique among them. */
export function placeOf(sum: UsageSum): (string | number)[] {
  return [sum.at ?? 0, ...sum.group.map((g) => g ?? ''), sum.meter, sum.unit];
}

/**
 * Usage summed up by hour or day and by any dimensions, ordered by `placeOf`; different meters are never added up. An interval counts
 * where its last millisecond lies, as on invoices. Sums and what waits for them are read in one statement: never behind, never double.
 */
export async function usageSums(tx: Tx, query: UsageQuery): Promise<UsageSums> {
  return tx instanceof PgTx ? inPostgres(tx, query) : inMemory(tx, query);
}

const PERIOD = {
  usage_days: 'period_day',
  usage_hours: 'period_hour',
  usage_job_hours: 'period_hour',
  usage_deltas: 'period_hour',
};
const DIMENSION_SQL: Record<UsageDimension, Sql> = {
  project: sql`project_id`,
  provider: sql`provider_id`,
  class: sql`provider_class`,
  resource: sql`resource`,
  model: sql`model`,
  sku: sql`sku`,
  job: sql`job_id`,
  endpoint: sql`endpoint_id`,
  meter: sql`meter`,
};
const iso = (ms: number): string => new Date(ms).toISOString();

async function inPostgres(tx: PgTx, query: UsageQuery): Promise<UsageSums> {
  const { bucket, groupBy, only = {} } = query;
  const byJob = groupBy.includes('job') || only.job !== undefined;
  const spans = usageSpans(query.fromMs, query.toMs, bucket === 'hour' || byJob ? 'hour' : 'day');
  const shown = groupBy.map((d, i) => sql`coalesce(${DIMENSION_SQL[d]}, '') as ${identifier(`g${i}`)}`);
  const columns = join([...shown, sql`meter`, sql`unit`, sql`quantity`, sql`amount_nano`], ', ');
  const mine = [
    sql`side = ${query.side}`,
    ...(query.organizationId === null ? [] : [sql`organization_id = ${query.organizationId}`]),
    ...(query.projectIds === 'all' ? [] : [sql`project_id = any(${[...query.projectIds]})`]),
    ...Object.entries(only).map(([d, values]) => sql`${DIMENSION_SQL[d as UsageDimension]} = any(${[...values]})`),
  ];
  const from = (table: keyof typeof PERIOD, { fromMs, toMs }: Span): Sql => {
    const at = identifier(PERIOD[table]);
    const where = join([...mine, sql`${at} >= ${iso(fromMs)}`, sql`${at} < ${iso(toMs)}`], ' and ');
    return sql`select ${at} as at, ${columns} from ${identifier(table)} where ${where}`;
  };
  const records = ({ fromMs, toMs }: Span): Sql => {
    const where = join([...mine, sql`to_at >= ${iso(fromMs + 1)}`, sql`to_at < ${iso(toMs + 1)}`], ' and ');
    return sql`select period_hour as at, ${columns} from usage_records where ${where}`;
  };
  const sources = [
    ...spans.days.flatMap((s) => [from('usage_days', s), from('usage_deltas', s)]),
    ...spans.hours.flatMap((s) => [from(byJob ? 'usage_job_hours' : 'usage_hours', s), from('usage_deltas', s)]),
    ...spans.records.map(records),
  ];
  if (sources.length === 0) return { rows: [], amountNano: 0n };
  const at =
    bucket === null ? sql`0::bigint` : sql`(extract(epoch from date_trunc(${bucket}, at, 'UTC')) * 1000)::bigint`;
  const groups = groupBy.map((_, i) => identifier(`g${i}`));
  const place = [sql`at`, ...[...groups, sql`meter`, sql`unit`].map((c) => sql`${c} collate "C"`)];
  const after = query.after?.map((v) => (typeof v === 'number' ? sql`${v}::bigint` : sql`${v}::text`));
  const names = join([sql`at`, ...groups, sql`meter`, sql`unit`], ', ');
  const rows = await tx.query<Record<string, string>>(
    sql`with sums as (
          select ${at} as at, ${join([...groups, sql`meter`, sql`unit`], ', ')}, sum(quantity) as quantity, sum(amount_nano) as amount
          from (${join(sources, ' union all ')}) as used group by ${join([sql`1`, ...groups, sql`meter`, sql`unit`], ', ')}
        )
        select ${names}, quantity::text as quantity, amount::text as amount, (select coalesce(sum(amount), 0) from sums)::text as whole
        from sums ${after ? sql`where (${join(place, ', ')}) > (${join(after, ', ')})` : sql``}
        order by ${join(place, ', ')} ${query.limit === undefined ? sql`` : sql`limit ${query.limit}`}`,
  );
  return {
    rows: rows.map((r) => ({
      at: bucket === null ? null : Number(r['at']),
      group: groupBy.map((_, i) => r[`g${i}`] || null),
      meter: r['meter'] ?? '',
      unit: r['unit'] ?? '',
      quantity: BigInt(r['quantity'] ?? 0),
      amountNano: BigInt(r['amount'] ?? 0),
    })),
    amountNano: BigInt(rows[0]?.['whole'] ?? 0),
  };
}

async function inMemory(tx: Tx, query: UsageQuery): Promise<UsageSums> {
  const { organizationId, projectIds, side, fromMs, toMs, bucket, groupBy, only = {} } = query;
  const found = await tx.find(usageRecords, {
    side,
    toAt: { gt: fromMs },
    ...(organizationId === null ? {} : { organizationId }),
    ...(projectIds === 'all' ? {} : { projectId: { in: projectIds } }),
  });
  const sums = new Map<string, UsageSum>();
  let whole = 0n;
  for (const r of found) {
    const wanted = Object.entries(only).every(([d, values]) => values.includes(r[COLUMN[d as UsageDimension]] ?? ''));
    if (r.toAt > toMs || !wanted) continue;
    const step = bucket === 'hour' ? HOUR : DAY;
    const sum: UsageSum = {
      at: bucket === null ? null : Math.floor((r.toAt - 1) / step) * step,
      group: groupBy.map((d) => r[COLUMN[d]] || null),
      meter: r.meter,
      unit: r.unit,
      quantity: r.quantity,
      amountNano: r.amountNano,
    };
    const key = JSON.stringify(placeOf(sum));
    const had = sums.get(key);
    sums.set(key, {
      ...sum,
      quantity: sum.quantity + (had?.quantity ?? 0n),
      amountNano: sum.amountNano + (had?.amountNano ?? 0n),
    });
    whole += r.amountNano;
  }
  const { after, limit } = query;
  const rows = [...sums.values()]
    .sort((a, b) => inOrder(placeOf(a), placeOf(b)))
    .filter((sum) => after === undefined || inOrder(placeOf(sum), after) > 0);
  return { rows: rows.slice(0, limit ?? rows.length), amountNano: whole };
}

function inOrder(a: readonly (string | number)[], b: readonly (string | number)[]): number {
  const i = a.findIndex((v, n) => v !== b[n]);
  if (i < 0) return 0;
  const [x, y] = [a[i] ?? '', b[i] ?? ''];
  return x < y ? -1 : 1;
}

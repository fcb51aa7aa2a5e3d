import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DAY, HOUR, SeededRandom, newId } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import {
  foldUsage,
  placeOf,
  rebuildUsage,
  usageDifferences,
  usageDimensions,
  usageRecords,
  usageRow,
  usageSums,
  wholeDays,
  type UsageQuery,
  type UsageRow,
  type UsageSum,
} from './index.js';

/** The last days of a month and the first of the next, with the night in which clocks change somewhere. */
const START = Date.UTC(2026, 9, 24);
const END = Date.UTC(2026, 10, 3);
const ALL = { fromMs: START - DAY, toMs: END + DAY };
const random = new SeededRandom('rollups');

const spec = fc.record({
  at: fc.integer({ min: START, max: END }),
  length: fc.constantFrom(0, 1, 60_000, HOUR, 3 * HOUR),
  project: fc.constantFrom('', '-second'),
  meter: fc.constantFrom('lease-time' as const, 'output-tokens' as const),
  side: fc.constantFrom('charge' as const, 'cost' as const),
  job: fc.constantFrom(null, 'job_a', 'job_b'),
  model: fc.constantFrom(null, 'H100', 'L4'),
  provider: fc.constantFrom(null, 'prv_a'),
  quantity: fc.bigInt({ min: 0n, max: 10n ** 24n }),
  amount: fc.bigInt({ min: -5n, max: 10n ** 18n }),
});
type Spec = typeof spec extends fc.Arbitrary<infer T> ? T : never;

function record(tenant: Tenant, s: Spec): UsageRow {
  const id = newId('usage', s.at, random);
  return usageRow({
    id,
    key: id,
    organizationId: tenant.organizationId,
    projectId: tenant.projectId + s.project,
    jobId: s.job,
    model: s.model,
    providerId: s.provider,
    meter: s.meter,
    side: s.side,
    resource: 'machine',
    fromAt: s.at - s.length,
    toAt: s.at,
    quantity: s.quantity,
    unitPriceNano: 1n,
    amountNano: s.amount,
    createdAt: s.at,
  });
}

/** The same sums by plain arithmetic over the records. */
function plainly(rows: readonly UsageRow[], q: UsageQuery): UsageSum[] {
  const sums = new Map<string, UsageSum>();
  for (const r of rows) {
    const last = r.toAt - 1;
    if (r.organizationId !== q.organizationId || r.side !== q.side || last < q.fromMs || last >= q.toMs) continue;
    if (q.only?.model && !q.only.model.includes(r.model ?? '')) continue;
    const step = q.bucket === 'hour' ? HOUR : DAY;
    const value = { project: r.projectId, job: r.jobId, model: r.model, provider: r.providerId, meter: r.meter };
    const group = q.groupBy.map((d) => (value as Record<string, string | null>)[d] ?? null);
    const at = q.bucket === null ? null : last - (last % step);
    const sum = { at, group, meter: r.meter, unit: r.unit, quantity: r.quantity, amountNano: r.amountNano };
    const had = sums.get(JSON.stringify(placeOf(sum)));
    sum.quantity += had?.quantity ?? 0n;
    sum.amountNano += had?.amountNano ?? 0n;
    sums.set(JSON.stringify(placeOf(sum)), sum);
  }
  const key = (s: UsageSum): string => placeOf(s).map(String).join('\u0000');
  return [...sums.values()].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

const question = fc.record({
  bucket: fc.constantFrom('hour' as const, 'day' as const, null),
  groupBy: fc.subarray(['project', 'job', 'model', 'provider'] as const),
  side: fc.constantFrom('charge' as const, 'cost' as const),
  from: fc.integer({ min: -2, max: 11 * 24 * 60 }),
  to: fc.integer({ min: -2, max: 11 * 24 * 60 }),
  whole: fc.boolean(),
  only: fc.constantFrom({}, { model: ['H100'] }),
});

describe.each(specStores)('rollups of usage, $name', ({ name, open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, new SeededRandom(`rollups ${name}`));
  });
  afterAll(async () => opened.close());

  const owner = async (statement: string): Promise<void> => void (await opened.postgres?.owner.query(statement));
  const differences = () => till.tx((tx) => usageDifferences(tx, wholeDays('2026-10-01', '2026-11-30')));
  const insert = (rows: readonly UsageRow[]) => till.tx((tx) => tx.insert(usageRecords, rows));
  const asked = (tenant: Tenant, q: typeof question extends fc.Arbitrary<infer T> ? T : never): UsageQuery => {
    const cut = (minutes: number): number => START + (q.whole ? Math.floor(minutes / 60) * HOUR : minutes * 60_000);
    const { organizationId } = tenant;
    const { bucket, groupBy, side, only } = q;
    return { organizationId, projectIds: 'all', side, bucket, groupBy, only, fromMs: cut(q.from), toMs: cut(q.to) };
  };

  it('say what the records say after any history of inserts, folds and rebuilds', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.array(spec, { minLength: 1, maxLength: 12 }) },
      fc.constant('fold' as const),
      fc.constant('fold some' as const),
      fc.constant('rebuild' as const),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 10 }),
        fc.array(question, { minLength: 3, maxLength: 6 }),
        async (steps, questions) => {
          const tenant = await till.tenant('0');
          const rows: UsageRow[] = [];
          for (const s of steps) {
            if (s === 'fold') await foldUsage(opened.store);
            else if (s === 'fold some') await foldUsage(opened.store, 3);
            else if (s === 'rebuild') await till.tx((tx) => rebuildUsage(tx, wholeDays('2026-10-25', '2026-11-01')));
            else {
              const added = s.map((of) => record(tenant, of));
              await insert(added);
              rows.push(...added);
            }
            const q = questions[rows.length % questions.length];
            if (!q) continue;
            const query = asked(tenant, q);
            expect((await till.tx((tx) => usageSums(tx, query))).rows).toEqual(plainly(rows, query));
          }
          for (const q of questions) {
            const query = asked(tenant, q);
            const want = plainly(rows, query);
            const got = await till.tx((tx) => usageSums(tx, query));
            expect(got.rows).toEqual(want);
            expect(got.amountNano).toBe(want.reduce((n, s) => n + s.amountNano, 0n));
          }
          expect(await differences()).toEqual([]);
        },
      ),
      { numRuns: name === 'in memory' ? 60 : 25 },
    );
  });

  it('are exact while records come in, are folded and rebuilt at the same time', async () => {
    const tenant = await till.tenant('0');
    const rows = fc.sample(fc.array(spec, { minLength: 40, maxLength: 40 }), { numRuns: 8, seed: 3 });
    const all = rows.map((list) => list.map((s) => record(tenant, s)));
    const query: UsageQuery = {
      ...ALL,
      organizationId: tenant.organizationId,
      projectIds: 'all',
      side: 'charge',
      bucket: 'hour',
      groupBy: ['project', 'job', 'model'],
    };
    let going = true;
    const folding = (async () => {
      while (going) await foldUsage(opened.store, 7);
    })();
    const rebuilding = (async () => {
      while (going) await till.tx((tx) => rebuildUsage(tx, wholeDays('2026-10-24', '2026-11-02')));
    })();
    const checking = (async () => {
      const wrong: unknown[] = [];
      while (going) wrong.push(...(await differences()));
      return wrong;
    })();
    await Promise.all(
      all.map(async (list) => {
        for (let i = 0; i < list.length; i += 8) await insert(list.slice(i, i + 8));
      }),
    );
    going = false;
    await Promise.all([folding, rebuilding]);
    expect(await checking).toEqual([]);
    const want = plainly(all.flat(), query);
    expect((await till.tx((tx) => usageSums(tx, query))).rows).toEqual(want);
    await foldUsage(opened.store);
    expect((await till.tx((tx) => usageSums(tx, query))).rows).toEqual(want);
    expect(await differences()).toEqual([]);
  });

  it('come page by page to the same', async () => {
    const tenant = await till.tenant('0');
    await insert(fc.sample(spec, { numRuns: 60, seed: 5 }).map((s) => record(tenant, s)));
    const query: UsageQuery = {
      ...ALL,
      organizationId: tenant.organizationId,
      projectIds: 'all',
      side: 'charge',
      bucket: 'day',
      groupBy: ['model', 'job'],
    };
    const whole = await till.tx((tx) => usageSums(tx, query));
    const paged: UsageSum[] = [];
    for (;;) {
      const last = paged.at(-1);
      const after = last ? { after: placeOf(last) } : {};
      const { rows } = await till.tx((tx) => usageSums(tx, { ...query, limit: 7, ...after }));
      paged.push(...rows);
      if (rows.length < 7) break;
    }
    expect(paged).toEqual(whole.rows);
    expect(paged.length).toBeGreaterThan(14);
  });

  it('group by every dimension, and keep to the projects asked for', async () => {
    const tenant = await till.tenant('0');
    const rows = fc.sample(spec, { numRuns: 40, seed: 8 }).map((s) => record(tenant, { ...s, side: 'charge' }));
    await insert(rows);
    const query: UsageQuery = {
      ...ALL,
      organizationId: tenant.organizationId,
      projectIds: 'all',
      side: 'charge',
      bucket: null,
      groupBy: [],
    };
    const sum = rows.reduce((n, r) => n + r.amountNano, 0n);
    for (const d of usageDimensions)
      expect([d, (await till.tx((tx) => usageSums(tx, { ...query, groupBy: [d] }))).amountNano]).toEqual([d, sum]);
    const second = await till.tx((tx) => usageSums(tx, { ...query, projectIds: [`${tenant.projectId}-second`] }));
    expect(second.amountNano).toBe(
      rows.reduce((n, r) => (r.projectId === tenant.projectId ? n : n + r.amountNano), 0n),
    );
    expect((await till.tx((tx) => usageSums(tx, { ...query, projectIds: [] }))).rows).toEqual([]);
  });

  it('never show a tenant what a provider is owed, nor anything of somebody else', async () => {
    if (name === 'in memory') return;
    const [tenant, other] = [await till.tenant('0'), await till.tenant('0')];
    const rows = fc.sample(spec, { numRuns: 30, seed: 9 });
    await insert(rows.flatMap((s) => [record(tenant, s), record(other, s)]));
    for (const folded of [false, true]) {
      if (folded) await foldUsage(opened.store);
      const as = { as: 'tenant', organizationId: tenant.organizationId, projectIds: 'all' } as const;
      const seen = (organizationId: string | null, side: 'charge' | 'cost') =>
        opened.store.transaction(as, (tx) =>
          usageSums(tx, { ...ALL, organizationId, projectIds: 'all', side, bucket: 'hour', groupBy: ['job'] }),
        );
      expect((await seen(tenant.organizationId, 'cost')).rows).toEqual([]);
      expect((await seen(other.organizationId, 'charge')).rows).toEqual([]);
      expect(await seen(null, 'charge')).toEqual(await seen(tenant.organizationId, 'charge'));
      expect((await seen(null, 'charge')).rows.length).toBeGreaterThan(0);
    }
  });

  it('are found out when somebody changes them, and mended by a rebuild', async () => {
    if (name === 'in memory') return;
    const tenant = await till.tenant('0');
    const at = START + 3 * DAY + HOUR;
    const rows = fc.sample(spec, { numRuns: 20, seed: 11 }).map((s) => record(tenant, { ...s, at }));
    await insert(rows);
    await foldUsage(opened.store);
    const days = wholeDays('2026-10-27', '2026-10-27');
    const found = () => till.tx((tx) => usageDifferences(tx, days));
    expect(await found()).toEqual([]);
    for (const table of ['usage_deltas', 'usage_hours', 'usage_job_hours', 'usage_days'])
      await owner(`alter table ${table} no force row level security`);
    const where = `where organization_id = '${tenant.organizationId}'`;
    const tampering: [string, string[]][] = [
      [`update usage_days set amount_nano = amount_nano + 1 ${where}`, ['days']],
      [`delete from usage_hours ${where}`, ['hours']],
      [`update usage_job_hours set quantity = quantity + 1 ${where} and job_id = 'job_a'`, ['job hours']],
      [
        `insert into usage_deltas (organization_id, project_id, meter, unit, side, resource, provider_id, provider_class, model, sku, endpoint_id, job_id, period_hour, quantity, amount_nano, records)
         values ('${tenant.organizationId}', 'p', 'requests', 'requests', 'charge', 'r', '', '', '', '', '', '', '2026-10-27T01:00Z', 5, 7, 1)`,
        ['days', 'hours', 'job hours'],
      ],
    ];
    for (const [statement, where] of tampering) {
      await owner(statement);
      const wrong = await found();
      expect([...new Set(wrong.map((d) => d.keptIn))]).toEqual(where);
      expect(wrong.every((d) => d.organizationId === tenant.organizationId)).toBe(true);
      expect((await till.tx((tx) => usageDifferences(tx, { ...days, limit: 1 }))).length).toBe(1);
      const once = await till.tx((tx) => rebuildUsage(tx, days));
      expect(await found()).toEqual([]);
      expect(await till.tx((tx) => rebuildUsage(tx, days))).toEqual(once);
      expect(await found()).toEqual([]);
      await foldUsage(opened.store);
      expect(await found()).toEqual([]);
    }
  });
});

describe('days of a check', () => {
  it('are UTC, the last one within', () => {
    expect(wholeDays('2026-10-25', '2026-10-25')).toEqual({
      fromMs: Date.UTC(2026, 9, 25),
      toMs: Date.UTC(2026, 9, 26),
    });
    expect(() => wholeDays('2026-10-26', '2026-10-25')).toThrow('before the first');
  });
});

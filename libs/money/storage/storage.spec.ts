import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, HOUR, MINUTE, newId, SeededRandom, usd } from '#kernel';
import { priceTermsSchema } from '#contracts';
import { projects } from '#identity/tenancy';
import { outbox } from '#platform/database';
import { transactions } from '#money/ledger';
import { monthStart, usageRecords, usageSums, type UsageRow } from '#money/metering';
import { quotas } from '#money/quotas';
import { commitments, organizationPlans, priceBooks, Prices } from '#money/rating';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { egressCounts, EgressTally, Storage, storageMarks, type KeptFiles } from './index.js';

const GB = 10n ** 9n;

describe.each(specStores)('files kept and sent, $name', ({ name, open }) => {
  let opened: SpecStore;
  let till: Till;
  let prices: Prices;
  let storage: Storage;
  let again: Storage;
  /** First instant of the last complete month: the database's clock stands where it is. */
  let month: number;
  const files = new Map<string, { organizationId: string; bytes: bigint; from: number; to: number }[]>();
  const kept: KeptFiles = {
    owners: (_, { after, limit }) => {
      const ids = new Set([...files.values()].flat().map((f) => f.organizationId));
      return Promise.resolve(
        [...ids]
          .sort()
          .filter((id) => id > after)
          .slice(0, limit),
      );
    },
    since: (_, ids) => {
      const all = [...files.values()].flat();
      const first = (id: string): number => Math.min(...all.filter((f) => f.organizationId === id).map((f) => f.from));
      return Promise.resolve(new Map(ids.map((id) => [id, first(id)])));
    },
    byteMs: (_, organizationId, untilMs) =>
      Promise.resolve(
        new Map(
          [...files]
            .map(([project, list]) => [
              project,
              list
                .filter((f) => f.organizationId === organizationId && f.from < untilMs)
                .reduce((n, f) => n + f.bytes * BigInt(Math.min(f.to, untilMs) - f.from), 0n),
            ])
            .filter((entry): entry is [string, bigint] => entry[1] !== 0n),
        ),
      ),
  };
  const keep = (tenant: Tenant, gb: number, from: number, to = Infinity): void => {
    const end = to === Infinity ? Number.MAX_SAFE_INTEGER : to;
    const file = { organizationId: tenant.organizationId, bytes: (GB * BigInt(gb * 1_000)) / 1_000n, from, to: end };
    files.set(tenant.projectId, [...(files.get(tenant.projectId) ?? []), file]);
  };
  const sent = (tenant: Tenant, bytes: bigint, countedAt: number) =>
    till.tx((tx) => tx.insert(egressCounts, { id: newId('usage'), ...tenant, bytes, countedAt, chargedThrough: null }));
  const steps = async (tenant: Tenant, most: number, by = storage): Promise<number> => {
    let n = 0;
    while (n < most && (await by.step(tenant.organizationId)) === 'again') n++;
    return n;
  };
  const records = ({ organizationId }: Tenant): Promise<UsageRow[]> =>
    till.tx((tx) =>
      tx.find(
        usageRecords,
        { organizationId },
        {
          orderBy: [
            ['fromAt', 'asc'],
            ['key', 'asc'],
          ],
        },
      ),
    );
  const available = async ({ organizationId }: Tenant): Promise<bigint> =>
    (await till.tx((tx) => till.ledger.creditOf(tx, organizationId))).availableNano;

  beforeAll(async () => {
    opened = await open();
    const random = new SeededRandom(`storage ${name}`);
    till = await openTill(opened, random);
    prices = new Prices(opened.clock, random);
    storage = new Storage({ ...till, prices, files: kept, clock: opened.clock, random, lateMs: 500 * DAY });
    again = new Storage({ ...till, prices, files: kept, clock: opened.clock, random, lateMs: 500 * DAY });
    month = monthStart(monthStart(await till.tx((tx) => tx.now())) - 1);
    const at = { effectiveAt: month - 400 * DAY, createdAt: month - 400 * DAY };
    const book = (version: number, more: object, over: object = {}) => ({
      id: newId('priceBook'),
      version,
      terms: priceTermsSchema.parse({
        storage: { gbHour: String(usd('0.01')), ...more },
        plans: { lab: { discountBps: 1_000 } },
      }),
      note: null,
      ...at,
      ...over,
    });
    await till.tx((tx) =>
      tx.insert(priceBooks, [
        book(1, { egressGb: String(usd('0.10')), freeGbHours: '5', freeEgressGb: '1' }),
        // Dearer from the middle of the last hour of the month's second day on.
        book(2, { gbHour: String(usd('0.02')) }, { effectiveAt: month + 2 * DAY - HOUR / 2 }),
      ]),
    );
  });
  afterAll(() => opened.close());

  it('are metered hour by hour, once, by whoever steps', async () => {
    const tenant = await till.tenant('10');
    const { organizationId, projectId } = tenant;
    keep(tenant, 3, month + HOUR / 2);
    await storage.open();
    expect(await again.open()).toBe(0);
    expect(await till.tx((tx) => tx.first(storageMarks, { organizationId }))).toMatchObject({ chargedThrough: month });
    await Promise.allSettled([steps(tenant, 1), steps(tenant, 1, again)]);
    await steps(tenant, 4 - (await hoursDone(organizationId)));
    const rows = await records(tenant);
    // Half an hour and three whole ones of 3 GB: 10.5 GB-hours, of which 5 are free.
    expect(rows.map((r) => [(r.fromAt - month) / HOUR, r.quantity, r.unitPriceNano, r.amountNano])).toEqual([
      [0, 1_500n, 0n, 0n],
      [1, 3_000n, 0n, 0n],
      [2, 2_500n, usd('0.01'), usd('0.025')],
      [2, 500n, 0n, 0n],
      [3, 3_000n, usd('0.01'), usd('0.03')],
    ]);
    for (const r of rows)
      expect(r).toMatchObject({ meter: 'storage', unit: 'MB-hours', projectId, source: 'storage', leaseId: null });
    expect(await available(tenant)).toBe(usd('10') - usd('0.055'));
    await till.audit();
    const whole = { organizationId, projectIds: 'all', side: 'charge', bucket: null, groupBy: ['project'] } as const;
    const sums = await till.tx((tx) => usageSums(tx, { ...whole, fromMs: month, toMs: month + 4 * HOUR }));
    expect(sums.rows).toMatchObject([{ group: [projectId], meter: 'storage', quantity: 10_500n }]);
    expect(sums.amountNano).toBe(usd('0.055'));
  });

  async function hoursDone(organizationId: string): Promise<number> {
    const mark = await till.tx((tx) => tx.first(storageMarks, { organizationId }));
    return ((mark?.chargedThrough ?? month) - month) / HOUR;
  }

  it('share the free tier between projects, and begin anew each month, at the price of each hour', async () => {
    const tenant = await till.tenant('100');
    const second = { ...tenant, projectId: newId('project') };
    keep(tenant, 4, month - 2 * HOUR, month + DAY);
    keep(second, 4, month - 2 * HOUR, month + DAY);
    keep(second, 1, month + 2 * DAY - 2 * HOUR, month + 2 * DAY + HOUR);
    await storage.open();
    await steps(tenant, 2 * 24 + 3);
    const rows = await records(tenant);
    // Those of the month before last were charged later than they were used: their keys say which hour it was.
    const hourOf = ({ key }: UsageRow): number => Number(key.split(':')[2]);
    const free = (from: number, to: number): bigint =>
      rows.reduce((n, r) => (r.unitPriceNano === 0n && hourOf(r) >= from && hourOf(r) < to ? n + r.quantity : n), 0n);
    expect([free(0, month), free(month, Infinity)]).toEqual([5_000n, 5_000n]);
    const paid = (from: number, to: number): bigint =>
      rows.reduce((n, r) => (hourOf(r) >= from && hourOf(r) < to ? n + r.amountNano : n), 0n);
    expect(paid(0, month)).toBe(usd('0.11'));
    expect(paid(month, month + DAY)).toBe(usd('1.87'));
    // An hour has the price at its beginning: the new one holds from the next hour on.
    expect(paid(month + DAY, month + 2 * DAY)).toBe(usd('0.02'));
    expect(paid(month + 2 * DAY, month + 3 * DAY)).toBe(usd('0.02'));
    expect(await available(tenant)).toBe(usd('100') - usd('2.02'));
    await till.audit();
  });

  it('that came late are metered with the next hour, and nothing of them is lost', async () => {
    const tenant = await till.tenant('10');
    keep(tenant, 1, month + MINUTE);
    await storage.open();
    await steps(tenant, 2);
    // Was under way when its hour was metered.
    keep(tenant, 6, month + 1.5 * HOUR);
    await steps(tenant, 1);
    const quantity = (await records(tenant)).reduce((n, r) => n + r.quantity, 0n);
    expect(quantity).toBe(3_000n - 17n + 9_000n);
  });

  it('wait for credit, hour by hour, and then lose none', async () => {
    const tenant = await till.tenant('0.05');
    const { organizationId } = tenant;
    keep(tenant, 4, month);
    await storage.open();
    // 5 GB-hours are free: 0, 3 and then 4 cents an hour, of which the fourth is too much.
    expect(await steps(tenant, 100)).toBe(2);
    expect(await available(tenant)).toBe(usd('0.02'));
    const mark = await till.tx((tx) => tx.first(storageMarks, { organizationId }));
    expect(mark?.chargedThrough).toBe(month + 2 * HOUR);
    expect(mark?.wakeAt).toBeGreaterThan(await till.tx((tx) => tx.now()));
    await till.tx((tx) => till.credit.setLimit(tx, organizationId, usd('0.06')));
    // The third takes 2 cents of the limit, the fourth the other 4.
    expect(await steps(tenant, 100)).toBe(2);
    expect(await available(tenant)).toBe(usd('-0.06'));
    await till.tx((tx) => till.ledger.credit(tx, organizationId, usd('1'), 'grant', `more ${organizationId}`));
    expect(await steps(tenant, 10)).toBe(10);
    const rows = (await records(tenant)).filter((r) => r.meter === 'storage');
    expect(rows.reduce((n, r) => n + r.quantity, 0n)).toBe(14n * 4_000n);
    await till.audit();
  });

  it('cost less on a plan, and for the project that has committed itself', async () => {
    const tenant = await till.tenant('10');
    const second = { ...tenant, projectId: newId('project') };
    const { organizationId } = tenant;
    await till.tx(async (tx) => {
      await tx.insert(projects, { id: second.projectId, organizationId, name: 'second', createdAt: month });
      await tx.insert(organizationPlans, { organizationId, n: 1, plan: 'lab', effectiveAt: month });
      const promise = { organizationId, projectId: second.projectId, per: 'hour', amountNano: 1n } as const;
      const { id } = await prices.commit(tx, { ...promise, discountBps: 2_500, endsAt: (await tx.now()) + DAY });
      await tx.update(commitments, { id }, { startsAt: month, settledThrough: month });
    });
    keep(tenant, 15, month);
    keep(second, 10, month + HOUR);
    await sent(second, 3n * GB, month + HOUR + MINUTE);
    await storage.open();
    await steps(tenant, 2);
    const paid = (await records(tenant)).filter((r) => r.unitPriceNano > 0n);
    expect(paid.map((r) => [r.meter, r.projectId, r.quantity, r.unitPriceNano, r.amountNano]).sort()).toEqual(
      [
        ['storage', tenant.projectId, 10_000n, usd('0.009'), usd('0.09')],
        ['storage', tenant.projectId, 15_000n, usd('0.009'), usd('0.135')],
        ['storage', second.projectId, 10_000n, usd('0.0075'), usd('0.075')],
        ['egress', second.projectId, 2n * GB, usd('0.075'), usd('0.15')],
      ].sort(),
    );
    await till.audit();
  });

  it('count for budgets, which tell of it, refuse new work sooner, and never the hour itself', async () => {
    const tenant = await till.tenant('10');
    const { organizationId, projectId } = tenant;
    const budget = (scope: 'organization' | 'project', limitN: bigint) =>
      till.tx((tx) =>
        till.quotas.set(tx, {
          organizationId,
          projectId: scope === 'project' ? projectId : null,
          scope,
          scopeId: scope === 'project' ? projectId : organizationId,
          dimension: 'spend',
          per: 'month',
          limitN,
          mode: 'hard',
          policy: 'keep',
          cohort: null,
          borrowingLimit: null,
          lendingLimit: null,
        }),
      );
    await budget('project', usd('0.30'));
    await budget('organization', usd('1'));
    keep(tenant, 25, month);
    await storage.open();
    // 5 GB-hours are free: 20 cents, then 25.
    await steps(tenant, 1);
    const take = (dollars: string) =>
      till.tx((tx) => till.holds.take(tx, { organizationId, projectId, amountNano: usd(dollars) }));
    await expect(take('0.11')).rejects.toMatchObject({ code: 'budget-exceeded' });
    await take('0.05');
    expect(await steps(tenant, 1)).toBe(1);
    const used = () => till.tx((tx) => tx.find(quotas, { organizationId }, { orderBy: [['scope', 'asc']] }));
    expect((await used()).map((q) => [q.scope, q.used, q.alerted])).toEqual([
      ['organization', usd('0.50'), 50],
      ['project', usd('0.50'), 100],
    ]);
    await expect(take('0.01')).rejects.toMatchObject({ code: 'budget-exceeded' });
    const told = await till.tx((tx) => tx.find(outbox, { organizationId, topic: 'quota.threshold' }));
    expect(told.map((e) => (e.payload as { percent: number }).percent).sort()).toEqual([100, 50, 50, 80]);
    // A limit that is set anew starts from the same sum.
    await till.tx(async (tx) => {
      const [project] = await tx.find(quotas, { scopeId: projectId });
      await till.quotas.remove(tx, project?.id ?? '');
    });
    await budget('project', usd('2'));
    expect((await used()).map((q) => q.used)).toEqual([usd('0.50'), usd('0.50')]);
    await till.audit();
  });

  it('that waited for too long count when they are charged', async () => {
    const tenant = await till.tenant('10');
    keep(tenant, 6, month);
    await storage.open();
    const random = new SeededRandom(`late ${name}`);
    const hurried = new Storage({ ...till, prices, files: kept, clock: opened.clock, random, lateMs: HOUR });
    await steps(tenant, 1, hurried);
    const now = await till.tx((tx) => tx.now());
    for (const r of await records(tenant)) {
      expect(r.fromAt).toBe(r.toAt);
      expect(Math.abs(r.toAt - now)).toBeLessThan(10 * MINUTE);
      expect(r.key).toContain(String(month));
    }
    expect(await available(tenant)).toBe(usd('9.99'));
  });

  it('of a month that has no invoice any more count when they are charged, however little they waited', async () => {
    const tenant = await till.tenant('10');
    keep(tenant, 6, month - 2 * HOUR);
    await storage.open();
    await steps(tenant, 3);
    const hours = (await records(tenant)).filter((r) => r.meter === 'storage' && r.unitPriceNano > 0n);
    const thisMonth = monthStart(await till.tx((tx) => tx.now()));
    expect(hours.map((r) => r.periodMonth).sort()).toEqual([month, thisMonth, thisMonth]);
    expect(hours.every((r) => r.periodMonth === month || r.fromAt === r.toAt)).toBe(true);
  });

  it('sent are charged once, whenever they were written down', async () => {
    const tenant = await till.tenant('10');
    const other = await till.tenant('10');
    await sent(tenant, (3n * GB) / 2n, month + MINUTE);
    await sent(tenant, GB, month + HOUR + MINUTE);
    await sent(other, 7n, month + 20 * DAY);
    expect(await storage.open()).toBe(2);
    await steps(tenant, 1);
    // Arrives after its hour.
    await sent(tenant, 10n, month + 2 * MINUTE);
    await steps(tenant, 1);
    expect((await records(tenant)).map((r) => [r.meter, r.unit, r.quantity, r.amountNano])).toEqual([
      ['egress', 'bytes', GB / 2n, usd('0.05')],
      ['egress', 'bytes', GB, 0n],
      ['egress', 'bytes', GB + 10n, usd('0.100000001')],
    ]);
    expect(await steps(other, 1)).toBe(1);
    expect(await records(other)).toMatchObject([{ quantity: 7n, amountNano: 0n, unitPriceNano: 0n }]);
    const keys = await till.tx((tx) => tx.find(transactions, { organizationId: tenant.organizationId, kind: 'usage' }));
    expect(keys.map((t) => t.idempotencyKey).sort()).toEqual(
      [0, HOUR].map((ms) => `storage:${tenant.organizationId}:${month + ms}`),
    );
    await till.audit();
  });

  it('are begun with page by page, of whoever keeps or reads something, each once and from its first', async () => {
    await storage.open();
    const random = new SeededRandom(`pages ${name}`);
    const paged = new Storage({ ...till, prices, files: kept, clock: opened.clock, random, pageSize: 2 });
    const tenants = await Promise.all(Array.from({ length: 6 }, () => till.tenant('10')));
    const first = new Map(tenants.map((t, i) => [t.organizationId, month + (i + 3) * HOUR]));
    for (const [i, tenant] of tenants.entries()) {
      const at = first.get(tenant.organizationId) ?? 0;
      // Some keep, some read, some do both and read first; three counts are more than a page.
      if (i !== 1 && i !== 4) keep(tenant, 1, i === 3 ? at + HOUR : at);
      if (i === 1 || i >= 3) for (const n of [2, 1, 0]) await sent(tenant, 1n, at + n * MINUTE);
    }
    expect(await paged.open()).toBe(6);
    expect(await paged.open()).toBe(0);
    const marks = await till.tx((tx) => tx.find(storageMarks, { organizationId: { in: [...first.keys()] } }));
    expect(new Map(marks.map((m) => [m.organizationId, m.chargedThrough]))).toEqual(first);
  });

  it('that were charged are forgotten a day later', async () => {
    const tenant = await till.tenant('10');
    const { organizationId } = tenant;
    await sent(tenant, GB, month + MINUTE);
    await storage.open();
    await steps(tenant, 24);
    expect(await till.tx((tx) => tx.find(egressCounts, { organizationId }))).toHaveLength(1);
    await steps(tenant, 1);
    expect(await till.tx((tx) => tx.find(egressCounts, { organizationId }))).toHaveLength(0);
  });

  it('rest until their hour is over and settled', async () => {
    const tenant = await till.tenant('1');
    const now = await till.tx((tx) => tx.now());
    keep(tenant, 1, now - MINUTE / 2);
    await storage.open();
    const hour = Math.floor((now - MINUTE / 2) / HOUR) * HOUR;
    if (now < hour + HOUR) expect(await steps(tenant, 5)).toBe(0);
    const due = await till.tx((tx) => storage.due(tx, hour + HOUR + MINUTE, 1_000));
    expect(due).toContainEqual({ id: tenant.organizationId, wakeAt: hour + HOUR + MINUTE });
    const before = await till.tx((tx) => storage.due(tx, hour + HOUR + MINUTE - 1, 1_000));
    expect(before.map((d) => d.id)).not.toContain(tenant.organizationId);
    expect(await storage.step('org_nobody')).toBe('rest');
  });

  it('are counted as they pass, and written down once though an answer was lost', async () => {
    const tenant = await till.tenant('0');
    const { organizationId } = tenant;
    let lose = true;
    const lossy = {
      transaction: async (...args: Parameters<typeof opened.store.transaction>) => {
        const answer = await opened.store.transaction(...args);
        if (lose) throw new Error('the answer was lost');
        return answer;
      },
    } as typeof opened.store;
    const tally = new EgressTally(lossy, opened.clock, new SeededRandom(`tally ${name}`));
    async function* chunks() {
      yield Buffer.alloc(7);
      yield Buffer.alloc(0);
      yield Buffer.alloc(5);
    }
    const read = async (most: number): Promise<number> => {
      let n = 0;
      for await (const chunk of tally.count(tenant, chunks())) if ((n += chunk.length) >= most) break;
      return n;
    };
    await tally.flush();
    expect(await read(100)).toBe(12);
    await expect(tally.flush()).rejects.toThrow('lost');
    // Who goes away has got no more than what was sent.
    expect(await read(1)).toBe(7);
    lose = false;
    await Promise.all([tally.flush(), tally.flush()]);
    const rows = await till.tx((tx) => tx.find(egressCounts, { organizationId }));
    expect(rows.map((r) => r.bytes).sort()).toEqual([12n, 7n]);
    expect(rows.every((r) => r.projectId === tenant.projectId && r.chargedThrough === null)).toBe(true);
  });
});

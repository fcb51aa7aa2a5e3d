import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DAY, HOUR, MINUTE, newId, SeededRandom, usd } from '#kernel';
import { PgTx, type Store } from '#platform/database';
import { monthEnd, monthStart, usageRecords, usageRow, type UsageRow } from '#money/metering';
import { chargedByHour, commitments, Prices, shortfall, shortfallOfHours } from '#money/rating';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { chargedInHours, CommitmentReconciler } from './index.js';

describe.each(specStores)('what promises are measured by, $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  let start: number;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, new SeededRandom('charged'));
    start = monthStart(monthStart(await till.tx((tx) => tx.now())) - 1);
  });
  afterAll(async () => opened.close());

  const used = (
    { organizationId, projectId }: Tenant,
    of: Pick<UsageRow, 'fromAt' | 'toAt' | 'amountNano'> & Partial<Pick<UsageRow, 'meter' | 'side'>>,
  ): UsageRow => {
    const id = newId('usage');
    const what = { meter: 'lease-time', side: 'charge', resource: 'r', quantity: 1n, unitPriceNano: 1n } as const;
    return usageRow({ id, key: id, organizationId, projectId, ...what, createdAt: start, ...of });
  };
  const charge = fc.record({
    fromMs: fc.integer({ min: -4 * HOUR, max: 9 * HOUR }),
    // From nothing to many hours, most of them short, and often whole minutes, so that remainders are alike.
    ms: fc.oneof(
      fc.nat(MINUTE),
      fc.nat(12 * HOUR),
      fc.nat(300).map((n) => n * MINUTE),
      fc.constantFrom(0, HOUR, 2 * HOUR),
    ),
    grid: fc.constantFrom(1, MINUTE, 30 * MINUTE, HOUR),
    amountNano: fc.oneof(fc.bigInt(-20n, 20n), fc.bigInt(-usd('1'), usd('1000')), fc.bigInt(0n, 10n ** 30n)),
    meter: fc.constantFrom('lease-time', 'lease-time', 'storage', 'commitment'),
    side: fc.constantFrom('charge', 'charge', 'charge', 'cost'),
    isOther: fc.boolean(),
  });

  it('is summed up to the nano-dollar as the records say one by one', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(charge, { maxLength: 40 }),
        fc.constantFrom(0, 1, 7 * MINUTE, HOUR + 1),
        fc.integer({ min: 1, max: 8 * HOUR }),
        fc.boolean(),
        async (list, shiftMs, ms, isOfProject) => {
          const [own, other] = [await till.tenant('0'), newId('project')];
          const records = list.map(({ fromMs, ms: lastsMs, grid, isOther, amountNano, meter, side }) => {
            const fromAt = start + Math.floor(fromMs / grid) * grid;
            const of = { ...own, ...(isOther ? { projectId: other } : {}) };
            return used(of, { fromAt, toAt: fromAt + lastsMs, amountNano, meter, side } as const);
          });
          const [fromMs, toMs] = [start + shiftMs, start + shiftMs + ms];
          const projectId = isOfProject ? own.projectId : null;
          const hours = await till.tx(async (tx) => {
            if (records.length > 0) await tx.insert(usageRecords, records);
            return chargedInHours(tx, { organizationId: own.organizationId, projectId }, { fromMs, toMs });
          });
          const mine = records.filter((r) => r.side === 'charge' && r.meter !== 'commitment');
          const meant = mine
            .filter((r) => projectId === null || r.projectId === projectId)
            .filter((r) => r.toAt > fromMs && r.fromAt < toMs);
          expect(hours).toEqual(chargedByHour(meant, fromMs, toMs));
          const period = { fromMs, toMs, lengthMs: monthEnd(start) - start };
          for (const per of ['hour', 'month'] as const) {
            const promise = { per, amountNano: usd('40'), discountBps: 0, startsAt: fromMs, endsAt: toMs + DAY };
            expect(shortfallOfHours(promise, period, hours)).toBe(shortfall(promise, period, meant));
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is not read record by record where a database can sum it up', async () => {
    const tenant = await till.tenant('10');
    const { organizationId } = tenant;
    const prices = new Prices(opened.clock, new SeededRandom('prices'));
    const now = await till.tx((tx) => tx.now());
    const made = await till.tx((tx) =>
      prices.commit(tx, { organizationId, per: 'month', amountNano: usd('744'), discountBps: 0, endsAt: now + HOUR }),
    );
    const over = { startsAt: start, settledThrough: start, endsAt: start + DAY };
    await till.tx((tx) => tx.update(commitments, { id: made.id }, over));
    const days = (monthEnd(start) - start) / DAY;
    const records = Array.from({ length: 24 * 60 }, (_, i) =>
      used(tenant, { fromAt: start + i * MINUTE, toAt: start + (i + 1) * MINUTE, amountNano: usd('0.01') }),
    );
    await till.tx((tx) => tx.insert(usageRecords, records));
    let read = 0;
    const store: Store = {
      transaction: (actor, work) =>
        opened.store.transaction(actor, (tx) => {
          const find = tx.find.bind(tx);
          tx.find = async (table, ...rest) => {
            const rows = await find(table, ...rest);
            if (table.name === usageRecords.name && tx instanceof PgTx) read += rows.length;
            return rows;
          };
          return work(tx);
        }),
    };
    const reconciler = new CommitmentReconciler({
      ...till,
      ...{ store, clock: opened.clock, random: new SeededRandom('many') },
    });
    for (let n = 0; n < 10 && (await reconciler.step(made.id)) === 'again'; n++);
    const [charged] = await till.tx((tx) => tx.find(usageRecords, { organizationId, meter: 'commitment' }));
    const promised = usd('744') / BigInt(days);
    expect(charged?.amountNano).toBe(promised - usd('14.40') > usd('10') ? usd('10') : promised - usd('14.40'));
    expect(read).toBe(0);
  });
});

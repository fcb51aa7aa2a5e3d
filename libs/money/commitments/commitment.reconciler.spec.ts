import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, HOUR, SeededRandom, usd } from '#kernel';
import { entries } from '#money/ledger';
import { monthEnd, usageRecords } from '#money/metering';
import { commitments, Prices } from '#money/rating';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { CommitmentReconciler } from './index.js';

describe.each(specStores)('commitments $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  let prices: Prices;
  beforeAll(async () => {
    opened = await open();
    const random = new SeededRandom('commitments');
    till = await openTill(opened, random);
    prices = new Prices(opened.clock, random);
  });
  afterAll(async () => opened.close());

  it('charge what a commitment promised and usage did not bring, once, and no more than the credit has', async () => {
    const tenant = await till.tenant('30');
    const { organizationId } = tenant;
    const start = await till.tx((tx) => tx.now());
    const end = Math.min(start + 10 * HOUR, monthEnd(start));
    const hours = (end - start) / HOUR;
    const made = await till.tx((tx) =>
      prices.commit(tx, { organizationId, per: 'hour', amountNano: usd('4'), discountBps: 1_000, endsAt: end }),
    );
    const promised = BigInt(Math.round(hours * 4e9));
    // Time passes in the row, so that the database's clock may stand where it is.
    await till.tx((tx) =>
      tx.update(
        commitments,
        { id: made.id },
        { startsAt: start - 10 * DAY, settledThrough: start - 10 * DAY, endsAt: start - 10 * DAY + (end - start) },
      ),
    );
    const reconciler = new CommitmentReconciler({ ...till, clock: opened.clock, random: new SeededRandom('commit') });
    for (let n = 0; n < 10 && (await reconciler.step(made.id)) === 'again'; n++);
    const row = await till.tx((tx) => tx.first(commitments, { id: made.id }));
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
    const [record] = await till.tx((tx) => tx.find(usageRecords, { organizationId }));
    const paid = promised < usd('30') ? promised : usd('30');
    expect(record).toMatchObject({ meter: 'commitment', amountNano: paid });
    expect(credit.availableNano).toBe(usd('30') - paid);
    expect((row?.owedNano ?? 0n) + paid).toBe(promised);
    const posted = await till.tx((tx) => tx.find(entries, { transactionId: record?.transactionId ?? '' }));
    expect(posted.reduce((a, e) => a + e.amountNano, 0n)).toBe(0n);
    await reconciler.step(made.id);
    expect((await till.tx((tx) => tx.find(usageRecords, { organizationId }))).length).toBe(1);
    await till.audit();
  });
});

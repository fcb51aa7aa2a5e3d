import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HOUR, SeededRandom, usd } from '#kernel';
import type { Tx } from '#platform/database';
import { account, entries } from '#money/ledger';
import type { NewDispute } from '#money/payouts';
import { plainTerms } from '#money/rating';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { bookEnd, failedStartCost, slaCreditBps } from './book-end.js';
import { leaseWith } from '#testing';

const terms = { ...plainTerms(1_000), slaCreditBps: 2_500 };

describe('what a lease’s end means', () => {
  it('is a failed start only where no tenant ever paid', () => {
    const lease = leaseWith({ bootedAt: 0, costPerHour: usd('2') });
    expect(failedStartCost(lease, HOUR / 2)).toBe(usd('1'));
    expect(failedStartCost({ ...lease, acceptedAt: 5 }, HOUR / 2)).toBe(0n);
    expect(failedStartCost({ ...lease, bootedAt: null }, HOUR / 2)).toBe(0n);
  });

  it('is a broken promise only where a working machine was lost that was not on offer at any risk', () => {
    const lease = leaseWith({ acceptedAt: 5, chargeTerms: terms });
    expect(slaCreditBps(lease, 'lost')).toBe(2_500);
    expect(slaCreditBps(lease, 'released')).toBe(0);
    expect(slaCreditBps({ ...lease, acceptedAt: null }, 'lost')).toBe(0);
    expect(slaCreditBps({ ...lease, offer: { ...lease.offer, pricing: 'spot' } }, 'lost')).toBe(0);
  });
});

describe.each(specStores)('the books at a lease’s end $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, new SeededRandom('end'));
  });
  afterAll(async () => opened.close());

  it('have the cost of a failed start and the credit for a lost machine once, as entries of their own', async () => {
    const tenant = await till.tenant('10');
    const providerId = await till.provider();
    const start = Date.UTC(2026, 10, 21, 10);
    const lost = leaseWith({ ...tenant, id: 'lease_lost', providerId, acceptedAt: start, chargeTerms: terms });
    const hold = await till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd('5') }));
    const side = { perHour: usd('4'), startMs: start, fromMs: start, toMs: start + HOUR };
    const time = { ...tenant, jobId: null, providerId, holdId: hold.id, resource: 'x', charge: side, cost: side };
    await till.tx((tx) => till.metering.leaseTime(tx, { leaseId: lost.id, ...time }, true));
    const failed = leaseWith({ ...tenant, id: 'lease_failed', providerId, bootedAt: start, costPerHour: usd('2') });
    const noticed: [string, bigint, string][] = [];
    const notice = ({ reason, amountNano, source }: NewDispute): Promise<void> => {
      noticed.push([reason, amountNano, source]);
      return Promise.resolve();
    };
    const rooms = { ledger: till.ledger, disputes: { notice: (_: Tx, of: NewDispute) => notice(of) } };
    for (let n = 0; n < 2; n++) {
      await till.tx((tx) => bookEnd(tx, rooms, lost, 'lost', undefined));
      await till.tx((tx) => bookEnd(tx, rooms, failed, 'failed', start + HOUR));
    }
    // Each is noticed whenever it is booked; its source makes it one.
    expect(noticed.slice(0, 2)).toEqual([
      ['sla-breach', usd('1'), 'sla-credit:lease_lost'],
      ['failed-probe', usd('2'), 'failed-start:lease_failed'],
    ]);
    const of = (accountId: string) => till.tx((tx) => tx.find(entries, { accountId }));
    expect((await of(account.failedStarts)).map((e) => e.amountNano)).toEqual([-usd('2')]);
    expect((await of(account.sla)).map((e) => e.amountNano)).toEqual([-usd('1')]);
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, tenant.organizationId));
    expect(credit.availableNano).toBe(usd('7'));
    await till.audit();
  });
});

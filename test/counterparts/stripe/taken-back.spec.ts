import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DAY, MINUTE, SeededRandom, usd } from '#kernel';
import { account, entries } from '#money/ledger';
import { disputes, paymentCustomers, refunds } from '#money/payments';
import { openRig, type Rig } from './rig.js';

let rig: Rig;
beforeEach(async () => {
  rig = await openRig();
});
afterEach(async () => {
  await rig.till.audit();
  await rig.close();
  expect(rig.failures).toEqual([]);
  expect(rig.standIn.mistakes).toEqual([]);
});

/** A tenant that bought $20.00. */
async function bought() {
  const { organizationId } = await rig.payer();
  const { id } = await rig.payments.topUp(organizationId, 2_000n);
  await rig.drive();
  await rig.standIn.webhooks.deliver();
  await rig.drive();
  const intentId = (await rig.payment(id)).processorId ?? '';
  return { organizationId, id, intentId };
}
const told = async (random?: SeededRandom): Promise<void> => {
  await rig.standIn.webhooks.deliver(random ? { shuffle: random, copies: 3 } : {});
  await rig.drive();
};
const books = async (organizationId: string) => ({
  credit: await rig.creditCents(organizationId),
  clearing: -(await rig.balanceCents(account.clearing)),
  fees: -(await rig.balanceCents(account.fees)),
});
/** What Stripe holds for us, by its own count. */
const stripeHas = (): bigint =>
  BigInt(rig.standIn.objects('balance_transaction').reduce((n, t) => n + Number(t['net']), 0));

describe('a disputed top-up', () => {
  it('takes the credit back and costs the broker the fee; a lost one stays so', async () => {
    const { organizationId, id, intentId } = await bought();
    const { id: disputeId } = rig.standIn.openDispute(intentId);
    await told();
    expect(await rig.payment(id)).toMatchObject({ state: 'disputed', wakeAt: null });
    expect(await books(organizationId)).toEqual({ credit: 0n, clearing: stripeHas(), fees: 1_588n });
    rig.standIn.closeDispute(disputeId, 'lost');
    await told();
    expect((await rig.payment(id)).state).toBe('charged_back');
    expect(await books(organizationId)).toEqual({ credit: 0n, clearing: stripeHas(), fees: 1_588n });
    const [row] = await rig.tx((tx) => tx.find(disputes, {}));
    expect(row).toMatchObject({ state: 'lost', reason: 'fraudulent', withdrawnCents: 2_000n, feeCents: 1_500n });
    expect(row?.endedAt).not.toBeNull();
  });

  it('whose events never arrive is found by looking, once for each thing that happens to it', async () => {
    const { organizationId, id, intentId } = await bought();
    const sweep = async (): Promise<number> => {
      const found = await rig.payments.sweepDisputes();
      await rig.drive();
      return found;
    };
    expect(await sweep()).toBe(0);
    const { id: disputeId } = rig.standIn.openDispute(intentId);
    expect([await sweep(), await sweep()]).toEqual([1, 0]);
    expect((await rig.payment(id)).state).toBe('disputed');
    rig.standIn.closeDispute(disputeId, 'won');
    expect([await sweep(), await sweep()]).toEqual([1, 0]);
    expect((await rig.payment(id)).state).toBe('settled');
    expect(await books(organizationId)).toEqual({ credit: 2_000n, clearing: stripeHas(), fees: 1_588n });
    // What comes after all changes nothing.
    await told();
    expect(await books(organizationId)).toEqual({ credit: 2_000n, clearing: stripeHas(), fees: 1_588n });
  });

  it('that is won gives the credit back; the fee is gone', async () => {
    const { organizationId, id, intentId } = await bought();
    const { id: disputeId } = rig.standIn.openDispute(intentId);
    await told();
    rig.standIn.closeDispute(disputeId, 'won');
    await told();
    expect((await rig.payment(id)).state).toBe('settled');
    expect(await books(organizationId)).toEqual({ credit: 2_000n, clearing: stripeHas(), fees: 1_588n });
  });

  it.each(['won', 'lost'] as const)(
    'and %s is booked the same from events in any order, doubled and late',
    async (as) => {
      const { organizationId, id, intentId } = await bought();
      const random = new SeededRandom(`order ${as}`);
      const { id: disputeId } = rig.standIn.openDispute(intentId);
      rig.standIn.closeDispute(disputeId, as);
      for (let n = 0; n < 4; n++) {
        await rig.standIn.webhooks.deliver({ shuffle: random, copies: 2, only: () => random.float() < 0.5 });
        await rig.drive();
      }
      await told(random);
      expect((await rig.payment(id)).state).toBe(as === 'won' ? 'settled' : 'charged_back');
      const credit = as === 'won' ? 2_000n : 0n;
      expect(await books(organizationId)).toEqual({ credit, clearing: stripeHas(), fees: 1_588n });
    },
  );

  it('of credit that was spent leaves the tenant below zero, and nothing new begins', async () => {
    const { organizationId, intentId } = await bought();
    await rig.tx((tx) => rig.till.holds.take(tx, { organizationId, projectId: 'p', amountNano: usd('15') }));
    rig.standIn.openDispute(intentId);
    await told();
    const credit = await rig.tx((tx) => rig.till.ledger.creditOf(tx, organizationId));
    expect([credit.availableNano, credit.heldNano]).toEqual([-usd('15'), usd('15')]);
    const more = rig.tx((tx) => rig.till.holds.take(tx, { organizationId, projectId: 'p', amountNano: 1n }));
    await expect(more).rejects.toMatchObject({ code: 'insufficient-credit' });
  });

  it('that is only an inquiry takes nothing until it becomes one', async () => {
    const { organizationId, id, intentId } = await bought();
    const { id: disputeId } = rig.standIn.openDispute(intentId, { inquiry: true });
    await told();
    expect((await rig.payment(id)).state).toBe('settled');
    expect(await books(organizationId)).toEqual({ credit: 2_000n, clearing: 1_912n, fees: 88n });
    rig.standIn.escalateDispute(disputeId);
    await told();
    expect([(await rig.payment(id)).state, await rig.creditCents(organizationId)]).toEqual(['disputed', 0n]);
  });

  it('over a part takes that part; a refund of the rest is refused as long as it lasts', async () => {
    const { organizationId, id, intentId } = await bought();
    rig.standIn.openDispute(intentId, { cents: 700 });
    await told();
    expect(await rig.creditCents(organizationId)).toBe(1_300n);
    await expect(rig.payments.refund(id, 100n)).rejects.toMatchObject({ code: 'not-refundable' });
  });

  it('switches automatic recharging off and says why', async () => {
    const { organizationId, intentId } = await bought();
    const rules = { on: true, belowNano: usd('10'), cents: 2_000n, monthCents: 9_000n };
    await rig.payments.setRecharge(organizationId, rules);
    rig.standIn.openDispute(intentId);
    await told();
    expect(await rig.payments.recharge()).toBe(0);
    const customer = await rig.tx((tx) => tx.first(paymentCustomers, { organizationId }));
    expect([customer?.rechargeOn, customer?.rechargeOffReason]).toEqual([false, 'A payment was disputed: fraudulent']);
  });

  it('whose reader dies at any point is booked once', async () => {
    const { organizationId, intentId } = await bought();
    rig.standIn.openDispute(intentId);
    rig.crash(2);
    await rig.standIn.webhooks.deliver({ copies: 2 });
    for (let n = 0; n < 4; n++) {
      await rig.drive().catch(() => undefined);
      rig.clock.advance(MINUTE);
    }
    await rig.rest();
    expect(await books(organizationId)).toEqual({ credit: 0n, clearing: stripeHas(), fees: 1_588n });
  });

  it('told of before the payment itself was known to be settled is booked when it is', async () => {
    const { organizationId } = await rig.payer();
    rig.standIn.faults.plan('lost-after', /^POST .*payment_intents$/);
    rig.standIn.faults.plan('lost-before', /^GET .*payment_intents/, 3);
    const { id } = await rig.payments.topUp(organizationId, 2_000n);
    await rig.drive();
    expect((await rig.payment(id)).state).toBe('unknown');
    const [intent] = rig.standIn.objects('payment_intent');
    rig.standIn.openDispute(intent?.id ?? '');
    await rig.standIn.webhooks.deliver({ only: (e) => String(e['type']).startsWith('charge.dispute') });
    await rig.rest();
    expect([(await rig.payment(id)).state, await rig.creditCents(organizationId)]).toEqual(['disputed', 0n]);
  });
});

describe('a refund made in Stripe’s own pages', () => {
  it('whose events never arrive is found by looking, once', async () => {
    const { organizationId, id, intentId } = await bought();
    await rig.payments.refund(id, 300n);
    await rig.drive();
    expect(await rig.payments.sweepRefunds()).toBe(0);
    rig.standIn.refundElsewhere(intentId, 500);
    expect(await rig.payments.sweepRefunds()).toBe(1);
    await rig.drive();
    expect(await rig.payments.sweepRefunds()).toBe(0);
    expect((await rig.payment(id)).refundedCents).toBe(800n);
    expect(await rig.creditCents(organizationId)).toBe(1_200n);
    // What comes after all changes nothing.
    await told(new SeededRandom('late'));
    expect((await rig.payment(id)).refundedCents).toBe(800n);
  });

  it('is booked once, whatever tells of it and however often', async () => {
    const { organizationId, id, intentId } = await bought();
    rig.standIn.refundElsewhere(intentId, 500);
    await told(new SeededRandom('refund'));
    await told();
    expect(await books(organizationId)).toEqual({ credit: 1_500n, clearing: stripeHas(), fees: 88n });
    const rows = await rig.tx((tx) => tx.find(refunds, {}));
    expect(rows).toMatchObject([{ state: 'settled', elsewhere: true, amountCents: 500n, paymentId: id }]);
    expect([(await rig.payment(id)).refundedCents, await rig.balanceCents(account.refunds)]).toEqual([500n, 0n]);
    await expect(rig.payments.refund(id, 1_501n)).rejects.toMatchObject({ code: 'not-refundable' });
  });

  it('beside one of ours is not taken for it, nor ours for one of those', async () => {
    const { organizationId, id, intentId } = await bought();
    rig.standIn.faults.plan('lost-after', /^POST .*refunds$/);
    await rig.payments.refund(id, 500n);
    await rig.drive();
    rig.standIn.refundElsewhere(intentId, 500);
    await told(new SeededRandom('both'));
    await rig.rest();
    expect(await books(organizationId)).toEqual({ credit: 1_000n, clearing: stripeHas(), fees: 88n });
    const rows = await rig.tx((tx) => tx.find(refunds, {}));
    expect(rows.map((r) => [r.state, r.elsewhere]).sort()).toEqual([
      ['settled', false],
      ['settled', true],
    ]);
  });

  it('of credit that was spent leaves the tenant below zero', async () => {
    const { organizationId, intentId } = await bought();
    await rig.tx((tx) => rig.till.holds.take(tx, { organizationId, projectId: 'p', amountNano: usd('20') }));
    rig.standIn.refundElsewhere(intentId, 2_000);
    await told();
    const credit = await rig.tx((tx) => rig.till.ledger.creditOf(tx, organizationId));
    expect(credit.availableNano).toBe(-usd('20'));
  });

  it('that the bank sends back is credit again', async () => {
    const { organizationId, id, intentId } = await bought();
    const refund = rig.standIn.refundElsewhere(intentId, 500);
    await told();
    rig.clock.advance(DAY);
    rig.standIn.failRefund(refund.id);
    await told();
    expect(await books(organizationId)).toEqual({ credit: 2_000n, clearing: stripeHas(), fees: 88n });
    expect((await rig.payment(id)).refundedCents).toBe(0n);
  });

  it('posts nothing twice: as many entries as for one of ours', async () => {
    const { id, intentId } = await bought();
    const count = async () => (await rig.tx((tx) => tx.find(entries, {}))).length;
    const before = await count();
    await rig.payments.refund(id, 100n);
    await told();
    const ours = (await count()) - before;
    rig.standIn.refundElsewhere(intentId, 100);
    await told();
    expect((await count()) - before).toBe(2 * ours);
  });
});

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DAY, HOUR, MINUTE, SeededRandom, usd } from '#kernel';
import { account } from '#money/ledger';
import { paymentCustomers, paymentEvents, payments, refunds } from '#money/payments';
import { openRig, type Rig } from './rig.js';
import { faultKinds } from './faults.js';

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

const topUp = async (organizationId: string, cents = 2_000n) => (await rig.payments.topUp(organizationId, cents)).id;
const stateOf = async (id: string): Promise<string> => (await rig.payment(id)).state;

describe('a top-up', () => {
  it('takes the money from the card and makes it credit; the fee is the broker’s', async () => {
    const { organizationId } = await rig.payer();
    const id = await topUp(organizationId);
    await rig.drive();
    expect(await rig.payment(id)).toMatchObject({
      state: 'settled',
      capturedCents: 2_000n,
      feeCents: 88n,
      wakeAt: null,
    });
    expect(await rig.creditCents(organizationId)).toBe(2_000n);
    expect(await rig.balanceCents(account.clearing)).toBe(-1_912n);
    expect(await rig.balanceCents(account.fees)).toBe(-88n);
    expect(rig.standIn.capturedCents).toBe(2_000);
  });

  it('that is declined makes no credit and says why', async () => {
    const { organizationId } = await rig.payer('declines');
    const id = await topUp(organizationId);
    await rig.drive();
    expect(await rig.payment(id)).toMatchObject({ state: 'declined', code: 'insufficient_funds', wakeAt: null });
    expect(await rig.creditCents(organizationId)).toBe(0n);
  });

  it('that the bank works on becomes credit when it is through', async () => {
    const { organizationId } = await rig.payer('processes');
    const id = await topUp(organizationId);
    await rig.drive();
    const { processorId } = await rig.payment(id);
    expect([await stateOf(id), await rig.creditCents(organizationId)]).toEqual(['processing', 0n]);
    rig.standIn.settle(processorId ?? '');
    await rig.standIn.webhooks.deliver();
    await rig.drive();
    expect([await stateOf(id), await rig.creditCents(organizationId)]).toEqual(['settled', 2_000n]);
  });

  it('needs a card, and an amount within bounds', async () => {
    const { organizationId } = await rig.till.tenant('0');
    await expect(topUp(organizationId)).rejects.toMatchObject({ kind: 'conflict', code: 'no-card' });
    const payer = await rig.payer();
    for (const cents of [499n, 1_000_001n, 0n, -5n])
      await expect(topUp(payer.organizationId, cents)).rejects.toMatchObject({ kind: 'invalid' });
  });
});

describe('whatever breaks, a card is charged once', () => {
  it.each(faultKinds.flatMap((fault) => [[fault, 1] as const, [fault, 2] as const, [fault, 3] as const]))(
    '%s, %s times',
    async (fault, times) => {
      const { organizationId } = await rig.payer();
      rig.standIn.faults.plan(fault, /^POST \/v1\/payment_intents$/, times);
      const id = await topUp(organizationId);
      for (let n = 0; n < 5; n++) {
        await rig.drive();
        rig.standIn.faults.release();
        rig.clock.advance(MINUTE);
      }
      await rig.rest();
      expect(await stateOf(id)).toBe('settled');
      expect([rig.standIn.capturedCents, await rig.creditCents(organizationId)]).toEqual([2_000, 2_000n]);
    },
  );

  it.each([1, 2, 3])('the process dies between call and answer, %s times', async (times) => {
    const { organizationId } = await rig.payer();
    const id = await topUp(organizationId);
    rig.crash(times);
    await rig.drive();
    expect(await stateOf(id)).toBe('calling');
    expect(rig.standIn.capturedCents).toBe(2_000);
    rig.clock.advance(MINUTE);
    await rig.rest();
    expect(await stateOf(id)).toBe('settled');
    expect([rig.standIn.capturedCents, await rig.creditCents(organizationId)]).toEqual([2_000, 2_000n]);
    expect(rig.standIn.objects('payment_intent')).toHaveLength(1);
  });

  it('the broker is down for two days after the answer was lost: the key is forgotten, the payment is found', async () => {
    const { organizationId } = await rig.payer();
    rig.standIn.faults.plan('lost-after', /^POST .*payment_intents$/);
    const id = await topUp(organizationId);
    await rig.drive();
    rig.clock.advance(2 * DAY);
    await rig.rest();
    expect([await stateOf(id), rig.standIn.capturedCents]).toEqual(['settled', 2_000]);
  });

  it('the broker is down for two days after nothing happened: a new key is used', async () => {
    const { organizationId } = await rig.payer();
    rig.standIn.faults.plan('lost-before', /^POST .*payment_intents$/);
    const id = await topUp(organizationId);
    await rig.drive();
    rig.clock.advance(2 * DAY);
    await rig.rest();
    // A day after it was asked for nobody waits for it any more.
    expect(await rig.payment(id)).toMatchObject({ state: 'refused', code: 'gave-up' });
    expect([rig.standIn.capturedCents, await rig.creditCents(organizationId)]).toEqual([0, 0n]);
  });

  it('money that comes after all, when it was given up, is credit', async () => {
    const { organizationId } = await rig.payer();
    rig.standIn.faults.plan('late', /^POST .*payment_intents$/);
    rig.standIn.faults.plan('rate-limit', /^POST .*payment_intents$/, 10_000);
    const id = await topUp(organizationId);
    await rig.drive();
    rig.clock.advance(25 * HOUR);
    await rig.rest();
    expect(await stateOf(id)).toBe('refused');
    rig.standIn.faults.release();
    await rig.standIn.webhooks.deliver({ copies: 2 });
    await rig.rest();
    expect([await stateOf(id), await rig.creditCents(organizationId)]).toEqual(['settled', 2_000n]);
  });
});

describe('events', () => {
  it('in any order, doubled and late settle once', async () => {
    const { organizationId } = await rig.payer();
    rig.standIn.faults.plan('lost-after', /^POST .*payment_intents$/);
    const id = await topUp(organizationId);
    await rig.drive();
    const random = new SeededRandom('events');
    await rig.standIn.webhooks.deliver({ shuffle: random, copies: 3 });
    await rig.drive();
    expect([await stateOf(id), await rig.creditCents(organizationId)]).toEqual(['settled', 2_000n]);
    const kept = await rig.tx((tx) => tx.find(paymentEvents, {}));
    const ids = rig.standIn.objects('event').map((e) => e.id);
    expect(kept.map((e) => e.id).sort()).toEqual(ids.sort());
    expect(kept.find((e) => e.type === 'payment_intent.succeeded')?.woke).toBe(id);
  });

  it('are not believed: one that lies about success changes nothing', async () => {
    const { organizationId } = await rig.payer('processes');
    const id = await topUp(organizationId);
    await rig.drive();
    const objectId = (await rig.payment(id)).processorId;
    const lie = {
      id: 'evt_lie',
      type: 'payment_intent.succeeded',
      createdAtMs: rig.clock.now(),
      objectId,
      reference: id,
    };
    expect(await rig.payments.takeEvent(lie)).toBe(true);
    expect(await rig.payments.takeEvent(lie)).toBe(false);
    await rig.drive();
    expect([await stateOf(id), await rig.creditCents(organizationId)]).toEqual(['processing', 0n]);
  });

  it('of kinds that nobody knows are kept', async () => {
    const event = { id: 'evt_moon', type: 'moon.landed', createdAtMs: 1, objectId: null, reference: 'nothing' };
    expect(await rig.payments.takeEvent(event)).toBe(true);
    expect(await rig.tx((tx) => tx.first(paymentEvents, { id: 'evt_moon' }))).toMatchObject({ woke: null });
  });
});

describe('automatic recharge', () => {
  const rules = { on: true, belowNano: usd('10'), cents: 2_000n, monthCents: 5_000n };

  it('charges once while the credit is low, and stops at the cap of the month', async () => {
    const { organizationId } = await rig.payer();
    await rig.payments.setRecharge(organizationId, rules);
    expect([await rig.payments.recharge(), await rig.payments.recharge()]).toEqual([1, 0]);
    await rig.drive();
    expect(await rig.payments.recharge()).toBe(0);
    const spend = async (): Promise<void> => {
      await rig.tx((tx) => rig.till.holds.take(tx, { organizationId, projectId: 'p', amountNano: usd('16') }));
    };
    await spend();
    expect(await rig.payments.recharge()).toBe(1);
    await rig.drive();
    await spend();
    expect(await rig.payments.recharge()).toBe(0);
    expect(rig.standIn.capturedCents).toBe(4_000);
    rig.clock.set(Date.UTC(2026, 11, 1));
    expect(await rig.payments.recharge()).toBe(1);
    await rig.drive();
    expect(await rig.creditCents(organizationId)).toBe(6_000n);
  });

  it('waits longer after each decline, and is off after three', async () => {
    const { organizationId, methodId } = await rig.payer('declines');
    await rig.payments.setRecharge(organizationId, rules);
    const customer = () => rig.tx((tx) => tx.first(paymentCustomers, { organizationId }));
    for (const hours of [1, 2]) {
      expect(await rig.payments.recharge()).toBe(1);
      await rig.drive();
      rig.clock.advance(hours * HOUR - 1);
      expect(await rig.payments.recharge()).toBe(0);
      rig.clock.advance(1);
    }
    await rig.payments.recharge();
    await rig.drive();
    expect(await customer()).toMatchObject({ rechargeOn: false, rechargeDeclines: 3 });
    expect((await customer())?.rechargeOffReason).toContain('insufficient funds');
    rig.clock.advance(DAY);
    expect(await rig.payments.recharge()).toBe(0);
    rig.standIn.setCard(methodId, 'pays');
    await rig.payments.setRecharge(organizationId, rules);
    expect(await rig.payments.recharge()).toBe(1);
    await rig.drive();
    expect(await customer()).toMatchObject({ rechargeOn: true, rechargeDeclines: 0, rechargeOffReason: null });
  });
});

describe('a refund', () => {
  const paid = async () => {
    const { organizationId } = await rig.payer();
    const id = await topUp(organizationId);
    await rig.drive();
    return { organizationId, id };
  };

  it('takes unspent credit back to the card', async () => {
    const { organizationId, id } = await paid();
    await rig.payments.refund(id, 500n);
    expect([await rig.creditCents(organizationId), await rig.balanceCents(account.refunds)]).toEqual([1_500n, 500n]);
    await rig.drive();
    expect(await rig.balanceCents(account.refunds)).toBe(0n);
    expect(rig.standIn.capturedCents).toBe(1_500);
    await expect(rig.payments.refund(id, 1_501n)).rejects.toMatchObject({ code: 'not-refundable' });
    await rig.payments.refund(id, 1_500n);
    await rig.drive();
    expect([await rig.creditCents(organizationId), rig.standIn.capturedCents]).toEqual([0n, 0]);
  });

  it('of credit that is held or spent is refused, and leaves no trace', async () => {
    const { organizationId, id } = await paid();
    await rig.tx((tx) => rig.till.holds.take(tx, { organizationId, projectId: 'p', amountNano: usd('15') }));
    await expect(rig.payments.refund(id, 501n)).rejects.toMatchObject({ kind: 'payment-required' });
    expect([(await rig.payment(id)).refundedCents, await rig.tx((tx) => tx.find(refunds, {}))]).toEqual([0n, []]);
    await rig.payments.refund(id, 500n);
    await rig.drive();
  });

  it.each(faultKinds)('is made once when %s', async (fault) => {
    const { organizationId, id } = await paid();
    rig.standIn.faults.plan(fault, /^POST .*refunds$/, 2);
    await rig.payments.refund(id, 500n);
    for (let n = 0; n < 4; n++) {
      await rig.drive();
      rig.standIn.faults.release();
      rig.clock.advance(MINUTE);
    }
    await rig.rest();
    expect([rig.standIn.capturedCents, await rig.creditCents(organizationId)]).toEqual([1_500, 1_500n]);
    expect(await rig.balanceCents(account.refunds)).toBe(0n);
  });

  it('that the bank sends back is credit again, after it was settled too', async () => {
    const { organizationId, id } = await paid();
    const refund = await rig.payments.refund(id, 500n);
    await rig.drive();
    const [made] = rig.standIn.objects('refund');
    if (!made) throw new Error('no refund');
    made['status'] = 'failed';
    rig.standIn.world.emit('refund.failed', made);
    await rig.standIn.webhooks.deliver();
    await rig.drive();
    expect(await rig.creditCents(organizationId)).toBe(2_000n);
    expect(await rig.tx((tx) => tx.first(refunds, { id: refund.id }))).toMatchObject({ state: 'failed' });
    expect((await rig.payment(id)).refundedCents).toBe(0n);
    expect(await rig.balanceCents(account.clearing)).toBe(-1_912n);
  });
});

describe('a page for leaving a card', () => {
  const urls = { successUrl: 'https://b/ok', cancelUrl: 'https://b/no' };

  it.each(faultKinds)('comes when %s meets the customer and the page', async (fault) => {
    const { organizationId } = await rig.till.tenant('0');
    rig.standIn.faults.plan(fault, /^POST .*customers$/, 2);
    rig.standIn.faults.plan(fault, /^POST .*sessions$/, 2);
    const { id } = await rig.payments.beginSetup(organizationId, urls);
    for (let n = 0; n < 8; n++) {
      await rig.drive();
      rig.standIn.faults.release();
      rig.clock.advance(MINUTE);
    }
    const row = await rig.payments.getSetup({ as: 'worker' }, id);
    expect(row).toMatchObject({ state: 'open', url: expect.stringContaining('https://checkout.stripe.com/') });
    rig.standIn.leaveCard(row.processorId ?? '');
    await rig.standIn.webhooks.deliver();
    await rig.drive();
    expect((await rig.payments.customer({ as: 'worker' }, organizationId))?.methodLast4).toBe('4242');
  });

  it('is found to be used without any event, and ends after a day', async () => {
    const { organizationId } = await rig.till.tenant('0');
    const used = await rig.payments.beginSetup(organizationId, urls);
    const unused = await rig.payments.beginSetup(organizationId, urls);
    await rig.drive();
    const get = (id: string) => rig.payments.getSetup({ as: 'worker' }, id);
    rig.standIn.leaveCard((await get(used.id)).processorId ?? '');
    rig.standIn.expireSession((await get(unused.id)).processorId ?? '');
    await rig.rest();
    expect([(await get(used.id)).state, (await get(unused.id)).state]).toEqual(['complete', 'expired']);
    expect(await rig.tx((tx) => tx.find(payments, {}))).toEqual([]);
  });
});

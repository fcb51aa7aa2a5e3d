import { afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { HOUR, MINUTE, SeededRandom } from '#kernel';
import { NANO_PER_CENT } from '#money/billing';
import { account } from '#money/ledger';
import { payments, refunds } from '#money/payments';
import { faultKinds } from './faults.js';
import { openRig, type Rig } from './rig.js';
import type { CardBehaviour } from './world.js';

let rig: Rig | null = null;
afterEach(async () => {
  await rig?.close();
});

const behaviours: readonly CardBehaviour[] = ['pays', 'pays', 'declines', 'processes', 'needs-authentication'];
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('top-up'), cents: fc.integer({ min: 500, max: 5_000 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('refund'), cents: fc.integer({ min: 1, max: 4_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('card'), cents: fc.nat(behaviours.length - 1) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('drive'), cents: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('time'), cents: fc.constantFrom(1, 5, 60, 30 * 60) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('events'), cents: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('bank'), cents: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('late'), cents: fc.constant(0) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('refund-elsewhere'), cents: fc.integer({ min: 1, max: 4_000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('dispute'), cents: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('dispute-ends'), cents: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refund-fails'), cents: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash'), cents: fc.integer({ min: 1, max: 2 }) }) },
);

async function act(
  on: Rig,
  of: { do: string; cents: number },
  who: { organizationId: string; methodId: string },
  random: SeededRandom,
) {
  const { organizationId, methodId } = who;
  switch (of.do) {
    case 'top-up':
      await on.payments.topUp(organizationId, BigInt(of.cents));
      return;
    case 'refund': {
      const settled = await on.tx((tx) => tx.find(payments, { state: 'settled' }));
      const one = settled[Math.floor(random.float() * settled.length)];
      if (!one) return;
      await on.payments.refund(one.id, BigInt(of.cents)).catch((error: unknown) => {
        expect(['not-refundable', 'insufficient-credit']).toContain((error as { code?: string }).code);
      });
      return;
    }
    case 'refund-elsewhere': {
      const charge = one(on, 'charge', random);
      const left = charge ? Number(charge['amount_captured']) - Number(charge['amount_refunded']) : 0;
      if (charge && left > 0 && charge['disputed'] !== true)
        on.standIn.refundElsewhere(String(charge['payment_intent']), Math.min(left, of.cents));
      return;
    }
    case 'refund-fails': {
      const refund = one(on, 'refund', random);
      const charge = refund && on.standIn.objects('charge').find((c) => c.id === refund['charge']);
      if (refund?.['status'] === 'succeeded' && charge?.['disputed'] !== true) on.standIn.failRefund(refund.id);
      return;
    }
    case 'dispute': {
      const charge = one(on, 'charge', random);
      const left = charge ? Number(charge['amount_captured']) - Number(charge['amount_refunded']) : 0;
      if (charge && left > 0 && charge['disputed'] !== true)
        on.standIn.openDispute(String(charge['payment_intent']), { inquiry: of.cents === 0 });
      return;
    }
    case 'dispute-ends': {
      const dispute = one(on, 'dispute', random);
      if (dispute?.['status'] === 'warning_needs_response') on.standIn.escalateDispute(dispute.id);
      else if (dispute?.['status'] === 'needs_response')
        on.standIn.closeDispute(dispute.id, of.cents === 0 ? 'won' : 'lost');
      return;
    }
    case 'card':
      on.standIn.setCard(methodId, behaviours[of.cents] ?? 'pays');
      return;
    case 'drive':
      return on.drive();
    case 'time':
      on.clock.advance(of.cents * MINUTE);
      return;
    case 'events':
      await on.standIn.webhooks.deliver({ shuffle: random, copies: of.cents, only: () => random.float() < 0.7 });
      return;
    case 'bank':
      for (const intent of on.standIn.objects('payment_intent').filter((i) => i['status'] === 'processing')) {
        on.standIn.settle(intent.id);
      }
      return;
    case 'late':
      on.standIn.faults.release();
      return;
    case 'crash':
      on.crash(of.cents);
  }
}

const one = (on: Rig, object: string, random: SeededRandom) => {
  const all = on.standIn.objects(object);
  return all[Math.floor(random.float() * all.length)];
};

/** What must hold when everything has come to rest. */
async function check(on: Rig, organizationId: string): Promise<void> {
  const captured = BigInt(on.standIn.capturedCents);
  const left = captured - BigInt(on.standIn.disputedCents);
  expect(await on.creditCents(organizationId)).toBe(left);
  expect(await on.balanceCents(account.refunds)).toBe(0n);
  const net = on.standIn.objects('balance_transaction').reduce((n, t) => n + Number(t['net']), 0);
  expect(-(await on.balanceCents(account.clearing))).toBe(BigInt(net));
  const rows = await on.tx((tx) => tx.find(payments, {}));
  for (const row of rows) {
    const dispute = on.standIn.objects('dispute').find((d) => d['payment_intent'] === row.processorId);
    const disputed = { needs_response: 'disputed', lost: 'charged_back' }[String(dispute?.['status'])];
    expect(disputed ? [disputed] : ['settled', 'declined', 'refused', 'processing']).toContain(row.state);
  }
  const taken = rows.reduce((n, r) => n + r.capturedCents - r.refundedCents, 0n);
  expect(taken).toBe(captured);
  for (const refund of await on.tx((tx) => tx.find(refunds, {}))) expect(['settled', 'failed']).toContain(refund.state);
  // One payment that took money for each row, whatever was tried.
  const paid = on.standIn.objects('payment_intent').filter((i) => i['status'] === 'succeeded');
  const references = paid.map((i) => (i['metadata'] as { berth_reference: string }).berth_reference);
  expect(new Set(references).size).toBe(references.length);
  await on.till.audit();
  const held = await on.balanceCents(account.credit(organizationId));
  expect(held * NANO_PER_CENT).toBe(left * NANO_PER_CENT);
  expect(on.failures).toEqual([]);
  expect(on.standIn.mistakes).toEqual([]);
}

const RUNS = 80;

describe('any history of top-ups, refunds, faults, crashes and events', () => {
  it(`ends with as much credit as the cards gave (${RUNS} histories)`, async () => {
    const seed = 20_261_121;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), fc.nat(1e9), async (steps, n) => {
        rig = await openRig();
        const random = new SeededRandom(`history ${n}`);
        const who = await rig.payer();
        rig.standIn.faults.atRandom({ random, probability: 0.3, kinds: faultKinds });
        for (const of of steps) await act(rig, of, who, random);
        rig.standIn.faults.clear();
        rig.crash(0);
        rig.standIn.faults.release();
        // The bank takes no more time: what is still to be asked pays or declines at once.
        if (rig.standIn.world.cards.get(who.methodId) === 'processes') rig.standIn.setCard(who.methodId, 'pays');
        for (let round = 0; round < 3; round++) {
          await act(rig, { do: 'bank', cents: 0 }, who, random);
          await rig.standIn.webhooks.deliver({ shuffle: random });
          await rig.rest(2 * HOUR);
        }
        await check(rig, who.organizationId);
        await rig.close();
        rig = null;
      }),
      { numRuns: RUNS, seed, endOnFailure: true },
    );
  }, 110_000);
});

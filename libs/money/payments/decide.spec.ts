import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DAY, HOUR, MINUTE, SECOND } from '#kernel';
import { decideCollection } from './collect.js';
import { needsNewKey, nextStep, waitMs } from './decide.js';
import { paymentMachine, refundMachine, setupMachine } from './machines.js';
import { decideRecharge } from './recharge.js';

const NOW = Date.UTC(2026, 10, 21);
const row = { state: 'intended', wakeAt: NOW, keyAt: null, spent: false, createdAt: NOW };

describe('the next step of an effect outside', () => {
  it.each([
    ['intended', { do: 'call' }],
    ['calling', { do: 'doubt' }],
    ['unknown', { do: 'find' }],
    ['retrying', { do: 'call' }],
    ['settled', { do: 'rest' }],
  ])('%s: %j', (state, step) => {
    expect(nextStep({ ...row, state }, NOW)).toEqual(step);
    expect(nextStep({ ...row, state, wakeAt: NOW + 1 }, NOW)).toEqual({ do: 'rest' });
  });

  it('looks again before it takes a new key, and a last time before it gives up', () => {
    const retrying = { ...row, state: 'retrying', keyAt: NOW };
    expect(nextStep(retrying, NOW + 23 * HOUR - 1)).toEqual({ do: 'call' });
    expect(nextStep(retrying, NOW + 23 * HOUR)).toEqual({ do: 'find' });
    expect(nextStep({ ...retrying, spent: true }, NOW)).toEqual({ do: 'find' });
    expect(nextStep(retrying, NOW + DAY)).toEqual({ do: 'give-up' });
  });

  it('keeps a key as long as work may go on under it', () => {
    expect(needsNewKey({ keyAt: null, spent: false }, NOW)).toBe(false);
    expect(needsNewKey({ keyAt: NOW, spent: false }, NOW + 23 * HOUR - 1)).toBe(false);
    expect(needsNewKey({ keyAt: NOW, spent: false }, NOW + 23 * HOUR)).toBe(true);
    expect(needsNewKey({ keyAt: NOW, spent: true }, NOW)).toBe(true);
  });

  it('waits longer after each failure, up to five minutes', () => {
    expect([0, 1, 2, 8, 9, 2_000].map((n) => waitMs(n))).toEqual([
      SECOND,
      2 * SECOND,
      4 * SECOND,
      256 * SECOND,
      5 * MINUTE,
      5 * MINUTE,
    ]);
    expect(waitMs(1, MINUTE)).toBe(2 * MINUTE);
  });

  it('never sends anything from a state in which something is out, or over', () => {
    for (const machine of [paymentMachine, refundMachine, setupMachine]) {
      for (const state of machine.states) {
        const sends = nextStep({ ...row, state }, NOW).do === 'call';
        expect([state, sends]).toEqual([state, state === 'intended' || state === 'retrying']);
      }
    }
  });
});

describe('automatic recharge', () => {
  const rules = {
    rechargeOn: true,
    rechargeBelowNano: 1_000n,
    rechargeCents: 2_000n,
    rechargeMonthCents: 5_000n,
    rechargeNotBefore: null,
    methodId: 'pm',
    customerId: 'cus',
  };
  const facts = { availableNano: 999n, inFlight: false, monthCents: 3_000n };

  it.each([
    ['charge', {}, {}],
    ['off', { rechargeOn: false }, {}],
    ['no-card', { methodId: null }, {}],
    ['no-card', { customerId: null }, {}],
    ['enough', {}, { availableNano: 1_000n }],
    ['under-way', {}, { inFlight: true }],
    ['waits', { rechargeNotBefore: NOW + 1 }, {}],
    ['charge', { rechargeNotBefore: NOW }, {}],
    ['cap', {}, { monthCents: 3_001n }],
  ] as const)('%s with %j and %j', (decision, otherRules, otherFacts) => {
    expect(decideRecharge({ ...rules, ...otherRules }, { ...facts, ...otherFacts }, NOW)).toBe(decision);
  });

  it('never goes beyond the cap of a month', () => {
    const cents = fc.bigInt({ min: 1n, max: 10_000n });
    fc.assert(
      fc.property(cents, cents, fc.nat(30), (each, cap, tries) => {
        let monthCents = 0n;
        for (let n = 0; n < tries; n++) {
          const own = { ...rules, rechargeCents: each, rechargeMonthCents: cap };
          if (decideRecharge(own, { ...facts, monthCents }, NOW) === 'charge') monthCents += each;
        }
        expect(monthCents <= cap).toBe(true);
      }),
    );
  });
});

describe('collecting an invoice', () => {
  const tried = (state: string, daysAgo: number) => ({ state, createdAt: NOW - daysAgo * DAY });

  it.each([
    ['charge', []],
    ['under-way', [tried('processing', 1)]],
    ['under-way', [tried('declined', 9), tried('unknown', 1)]],
    ['waits', [tried('declined', 2.9)]],
    ['charge', [tried('declined', 3)]],
    ['waits', [tried('declined', 9), tried('declined', 4.9)]],
    ['charge', [tried('declined', 9), tried('refused', 5)]],
    ['charge', [tried('declined', 20), tried('declined', 12), tried('declined', 7)]],
    ['given-up', [tried('declined', 90), tried('declined', 80), tried('declined', 70), tried('declined', 60)]],
    ['charge', [tried('settled', 1)]],
  ])('%s after %j', (decision, tries) => {
    expect(decideCollection(tries, NOW)).toBe(decision);
  });
});

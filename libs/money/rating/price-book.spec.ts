import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { chargeBetween, HOUR, usd } from '#kernel';
import { priceTermsSchema } from '#contracts';
import { chargedUntil, chargeTerms, costTail, discounted, plainTerms, priceAt, priceOf } from './index.js';

const terms = priceTermsSchema.parse({
  marginBps: { hyperscaler: 1_000, own: 4_000 },
  plans: { research: { discountBps: 500 } },
  leaseMinimumS: 60,
});
const bps = fc.nat(10_000);
const cost = fc.bigInt({ min: 0n, max: usd('1000') });

describe('the version in force', () => {
  const v = (version: number, effectiveAt: number) => ({ version, effectiveAt });

  it('is the latest that has begun, and of two from one instant on the newer', () => {
    const book = [v(3, 200), v(1, 100), v(4, 200), v(2, 300)];
    expect(priceAt(book, 99)).toBeNull();
    expect(priceAt(book, 100)?.version).toBe(1);
    expect(priceAt(book, 299)?.version).toBe(4);
    expect(priceAt(book, 300)?.version).toBe(2);
  });

  it('does not depend on the order, and a version that begins later changes nothing before', () => {
    const versions = fc.uniqueArray(fc.record({ version: fc.nat(50), effectiveAt: fc.nat(50) }), {
      selector: (x) => x.version,
      minLength: 1,
    });
    fc.assert(
      fc.property(versions, fc.nat(60), fc.nat(60), (book, at, later) => {
        const now = priceAt(book, at);
        expect(priceAt([...book].reverse(), at)).toEqual(now);
        expect(priceAt([...book, v(99, at + 1 + later)], at)).toEqual(now);
      }),
    );
  });
});

describe('the terms of a lease', () => {
  it('take the margin of the kind of provider, else the provider’s own, and the better of two discounts', () => {
    const of = { priceClass: 'hyperscaler', providerMarginBps: 700, plan: 'research', commitmentBps: 300 } as const;
    expect(chargeTerms({ version: 7, terms }, of)).toEqual({
      bookVersion: 7,
      marginBps: 1_000,
      discountBps: 500,
      leaseMinimumMs: 60_000,
      slaCreditBps: 0,
    });
    expect(chargeTerms({ version: 7, terms }, { ...of, priceClass: 'bare-metal' }).marginBps).toBe(700);
    expect(chargeTerms({ version: 7, terms }, { ...of, commitmentBps: 900, plan: 'none' }).discountBps).toBe(900);
    expect(chargeTerms(null, { ...of, commitmentBps: 0 })).toEqual(plainTerms(700));
  });

  it('charge at least the least time, and never less than what ran', () => {
    expect(chargedUntil(1_000, 2_000, { leaseMinimumMs: 60_000 })).toBe(61_000);
    expect(chargedUntil(1_000, 90_000, { leaseMinimumMs: 60_000 })).toBe(90_000);
  });

  it('give a price that is never negative and monotone in cost, margin and discount', () => {
    expect(priceOf(usd('2'), { marginBps: 1_000, discountBps: 500 })).toBe(usd('2.09'));
    fc.assert(
      fc.property(cost, cost, bps, bps, bps, (a, b, margin, m, n) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        const [less, more] = m < n ? [m, n] : [n, m];
        expect(priceOf(low, { marginBps: margin, discountBps: more }) >= 0n).toBe(true);
        expect(
          priceOf(low, { marginBps: margin, discountBps: m }) <= priceOf(high, { marginBps: margin, discountBps: m }),
        ).toBe(true);
        expect(
          priceOf(a, { marginBps: margin, discountBps: more }) <= priceOf(a, { marginBps: margin, discountBps: less }),
        ).toBe(true);
        expect(priceOf(a, { marginBps: less, discountBps: 0 }) <= priceOf(a, { marginBps: more, discountBps: 0 })).toBe(
          true,
        );
        expect(discounted(a, 10_000)).toBe(0n);
      }),
    );
  });
});

describe('the vendor’s tail', () => {
  it('is what minimum and increment add to the time that was used', () => {
    const tail = costTail(usd('3.6'), 0, 90_500, { minimumS: 60, incrementS: 60 });
    expect(tail).toEqual({ billedMs: 120_000, usedNano: usd('0.0905'), tailNano: usd('0.0295') });
    expect(costTail(usd('3.6'), 5, 5, { minimumS: 60, incrementS: 60 })).toEqual({
      billedMs: 0,
      usedNano: 0n,
      tailNano: 0n,
    });
  });

  it('and the used part add up to the cost of the billed time', () => {
    const billing = fc.record({ minimumS: fc.nat(3_600), incrementS: fc.integer({ min: 1, max: 3_600 }) });
    fc.assert(
      fc.property(cost, fc.nat(48 * HOUR), billing, (perHour, used, b) => {
        const { billedMs, usedNano, tailNano } = costTail(perHour, 0, used, b);
        expect(tailNano >= 0n).toBe(true);
        expect(usedNano + tailNano).toBe(chargeBetween(perHour, 0, 0, billedMs));
      }),
    );
  });
});

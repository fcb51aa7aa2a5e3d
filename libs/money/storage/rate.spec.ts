import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { HOUR, usd } from '#kernel';
import { priceTermsSchema } from '#contracts';
import { mbHours, rateUnits, storagePrices } from './rate.js';

const terms = priceTermsSchema.parse({
  storage: { gbHour: String(usd('0.000035')), egressGb: String(usd('0.05')), freeGbHours: '720', freeEgressGb: '1' },
});

describe('prices of files', () => {
  it('are nothing where the book does not say them', () => {
    const nothing = { perGb: 0n, freeUnits: 0n };
    for (const t of [null, priceTermsSchema.parse({}), priceTermsSchema.parse({ storage: {} })]) {
      expect(storagePrices(t).kept).toEqual({ ...nothing, unitsPerGb: 1_000n });
      expect(storagePrices(t).sent).toEqual({ ...nothing, unitsPerGb: 1_000_000_000n });
    }
  });

  it('count GB-hours in MB-hours and GB in bytes', () => {
    const { kept, sent } = storagePrices(terms);
    expect([kept.freeUnits, sent.freeUnits]).toEqual([720_000n, 1_000_000_000n]);
    expect(mbHours(10n ** 9n * BigInt(HOUR))).toBe(1_000n);
    expect(mbHours(10n ** 6n * BigInt(HOUR) - 1n)).toBe(0n);
  });
});

describe('rating', () => {
  const price = { perGb: usd('0.05'), unitsPerGb: 1_000n, freeUnits: 500n };
  it('takes the free tier first, to its last unit', () => {
    const none = { freeUsed: 0n, paid: 0n };
    expect(rateUnits(price, 500n, none)).toEqual({ free: 500n, paid: 0n, amountNano: 0n });
    expect(rateUnits(price, 501n, none)).toEqual({ free: 500n, paid: 1n, amountNano: usd('0.00005') });
    expect(rateUnits(price, 10n, { freeUsed: 499n, paid: 0n })).toMatchObject({ free: 1n, paid: 9n });
    expect(rateUnits(price, 10n, { freeUsed: 500n, paid: 3n })).toMatchObject({ free: 0n, paid: 10n });
    // A book that gives less than was used already takes nothing back.
    expect(rateUnits(price, 10n, { freeUsed: 900n, paid: 0n })).toMatchObject({ free: 0n, paid: 10n });
    expect(() => rateUnits(price, -1n, none)).toThrow(RangeError);
  });

  it('comes to the same however a month is cut', () => {
    const one = fc.bigInt({ min: 0n, max: 10n ** 7n });
    const odd = fc.record({
      perGb: fc.bigInt({ min: 0n, max: usd('3') }),
      unitsPerGb: fc.constantFrom(7n, 1_000n),
      freeUnits: one,
    });
    fc.assert(
      fc.property(odd, fc.array(one, { maxLength: 20 }), (p, parts) => {
        let [freeUsed, paid, amount] = [0n, 0n, 0n];
        for (const part of parts) {
          const r = rateUnits(p, part, { freeUsed, paid });
          expect(r.free + r.paid).toBe(part);
          freeUsed += r.free;
          paid += r.paid;
          amount += r.amountNano;
        }
        const whole = rateUnits(
          p,
          parts.reduce((a, n) => a + n, 0n),
          { freeUsed: 0n, paid: 0n },
        );
        expect({ free: freeUsed, paid, amountNano: amount }).toEqual(whole);
      }),
    );
  });
});

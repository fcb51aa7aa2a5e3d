import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  chargeBetween,
  divRound,
  formatCents,
  formatUsd,
  NANO_PER_USD,
  splitByLargestRemainder,
  usd,
  usdFromNumber,
} from './money.js';

const amount = fc.bigInt({ min: -(10n ** 24n), max: 10n ** 24n });

describe('dollars as text', () => {
  it.each([
    ['12.50', 12_500_000_000n],
    [' 7 ', 7_000_000_000n],
    ['-0.000000001', -1n],
    ['0.0000000005', 1n],
    ['0.0000000004', 0n],
    ['-0.0000000005', -1n],
    ['0.9999999999', 1_000_000_000n],
    ['123456789012345678901.000000001', 123_456_789_012_345_678_901_000_000_001n],
  ])('reads %s', (text, nano) => {
    expect(usd(text)).toBe(nano);
  });

  it.each(['', '1,5', '1e3', '.5', '5.', '+1', '--1', '1 000', 'NaN', '0x10', '$5', '1.2.3'])(
    'refuses "%s"',
    (text) => {
      expect(() => usd(text)).toThrow(RangeError);
    },
  );

  it('takes numbers of a price list, and refuses what is no amount', () => {
    expect(usdFromNumber(0.1 + 0.2)).toBe(300_000_000n);
    expect(usdFromNumber(98.32)).toBe(98_320_000_000n);
    for (const bad of [NaN, Infinity, -Infinity, 1e21]) expect(() => usdFromNumber(bad)).toThrow(RangeError);
  });

  it.each([
    [1_234_560_000_000n, '$1,234.56'],
    [-1n, '-$0.000000001'],
    [0n, '$0.00'],
    [1_500_000_000n, '$1.50'],
    [1_000_000_000_000_000_000n, '$1,000,000,000.00'],
    [40_100_000n, '$0.0401'],
  ])('writes %s', (nano, text) => {
    expect(formatUsd(nano)).toBe(text);
  });

  it('writes and reads back any amount', () => {
    fc.assert(
      fc.property(amount, (n) => {
        expect(usd(formatUsd(n).replace(/[$,]/g, ''))).toBe(n);
      }),
    );
  });

  it.each([
    [44_999_999n, '$0.04'],
    [45_000_000n, '$0.05'],
    [-45_000_000n, '-$0.05'],
    [1_999_999_999n, '$2.00'],
  ])('rounds %s to whole cents, halves away from zero', (nano, text) => {
    expect(formatCents(nano)).toBe(text);
  });
});

describe('division', () => {
  it('rounds to the nearest, halves away from zero', () => {
    fc.assert(
      fc.property(amount, fc.bigInt({ min: 1n, max: 10n ** 12n }), (n, d) => {
        const q = divRound(n, d);
        const off = n - q * d;
        const doubled = 2n * (off < 0n ? -off : off);
        expect(doubled <= d).toBe(true);
        // A half goes away from zero: what is left points towards zero.
        if (doubled === d) expect(off > 0n).toBe(n < 0n);
        expect(divRound(-n, d)).toBe(-q);
      }),
    );
  });

  it('refuses a divisor that is not positive', () => {
    expect(() => divRound(1n, 0n)).toThrow(RangeError);
    expect(() => divRound(1n, -1n)).toThrow(RangeError);
  });
});

describe('the charge of an interval', () => {
  const start = Date.UTC(2026, 10, 21);
  const perHour = fc.bigInt({ min: 0n, max: 1_000n * NANO_PER_USD });

  it('is the same sum however time is cut', () => {
    fc.assert(
      fc.property(perHour, fc.array(fc.nat(40 * 24 * 3_600_000), { minLength: 1, maxLength: 30 }), (price, marks) => {
        const cuts = [0, ...marks].sort((a, b) => a - b);
        const end = cuts.at(-1) ?? 0;
        let sum = 0n;
        for (let i = 1; i < cuts.length; i++) {
          const part = chargeBetween(price, start, start + (cuts[i - 1] ?? 0), start + (cuts[i] ?? 0));
          expect(part >= 0n).toBe(true);
          sum += part;
        }
        expect(sum).toBe(divRound(price * BigInt(end), 3_600_000n));
      }),
    );
  });

  it('is one hour’s price for one hour, and nothing for no time', () => {
    expect(chargeBetween(usd('2.19'), start, start, start + 3_600_000)).toBe(usd('2.19'));
    expect(chargeBetween(usd('2.19'), start, start + 5, start + 5)).toBe(0n);
  });

  it('refuses time that runs backwards', () => {
    expect(() => chargeBetween(1n, start, start + 2, start + 1)).toThrow(RangeError);
    expect(() => chargeBetween(1n, start, start - 1, start + 1)).toThrow(RangeError);
  });
});

describe('a split by weights', () => {
  const weights = fc
    .array(fc.bigInt({ min: 0n, max: 10n ** 15n }), { minLength: 1, maxLength: 40 })
    .filter((w) => w.some((x) => x > 0n));

  it('adds up, and no part is off its share by one or more', () => {
    fc.assert(
      fc.property(amount, weights, (total, w) => {
        const parts = splitByLargestRemainder(total, w);
        const sum = w.reduce((a, x) => a + x, 0n);
        expect(parts.length).toBe(w.length);
        expect(parts.reduce((a, p) => a + p, 0n)).toBe(total);
        parts.forEach((p, i) => {
          const off = p * sum - total * (w[i] ?? 0n);
          expect((off < 0n ? -off : off) < sum).toBe(true);
          if (w[i] === 0n) expect(p).toBe(0n);
        });
      }),
    );
  });

  it('gives ties to the earlier part', () => {
    expect(splitByLargestRemainder(5n, [1n, 1n, 1n])).toEqual([2n, 2n, 1n]);
    expect(splitByLargestRemainder(-5n, [1n, 1n, 1n])).toEqual([-2n, -2n, -1n]);
  });

  it('refuses weights without a sum', () => {
    expect(() => splitByLargestRemainder(1n, [])).toThrow(RangeError);
    expect(() => splitByLargestRemainder(1n, [0n, 0n])).toThrow(RangeError);
    expect(() => splitByLargestRemainder(1n, [3n, -1n])).toThrow(RangeError);
  });
});

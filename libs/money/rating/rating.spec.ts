import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { usd } from '#kernel';
import { billedMs, chargePerHour } from './index.js';

describe('the tenant’s price', () => {
  it('is cost plus margin, to the nano-dollar', () => {
    expect(chargePerHour(usd('2'), 1_000)).toBe(usd('2.2'));
    expect(chargePerHour(usd('0.40'), 0)).toBe(usd('0.40'));
    expect(chargePerHour(5n, 1_000)).toBe(6n);
    expect(chargePerHour(4n, 1_000)).toBe(4n);
  });

  it('never falls below cost and rises with both', () => {
    const cost = fc.bigInt({ min: 0n, max: usd('1000') });
    const bps = fc.nat(100_000);
    fc.assert(
      fc.property(cost, cost, bps, bps, (a, b, m, n) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        expect(chargePerHour(low, m) >= low).toBe(true);
        expect(chargePerHour(high, m) >= chargePerHour(low, m)).toBe(true);
        expect(chargePerHour(a, Math.max(m, n)) >= chargePerHour(a, Math.min(m, n))).toBe(true);
      }),
    );
  });
});

describe('the time that a vendor bills', () => {
  it.each([
    [0, 60, 1, 0],
    [1, 60, 1, 60_000],
    [60_000, 60, 1, 60_000],
    [60_001, 60, 1, 61_000],
    [1, 0, 3_600, 3_600_000],
    [3_600_000, 0, 3_600, 3_600_000],
    [3_600_001, 0, 3_600, 7_200_000],
    [1_234, 0, 0, 1_234],
    [-5, 60, 60, 0],
  ])('%s ms, at least %s s, in steps of %s s: %s ms', (used, minimumS, incrementS, billed) => {
    expect(billedMs(used, { minimumS, incrementS })).toBe(billed);
  });

  it('covers what was used, by less than one step over it, beyond the minimum', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e9 }),
        fc.nat(3_600),
        fc.integer({ min: 1, max: 3_600 }),
        (used, min, inc) => {
          const billed = billedMs(used, { minimumS: min, incrementS: inc });
          expect(billed).toBeGreaterThanOrEqual(used);
          expect(billed).toBeGreaterThanOrEqual(min * 1_000);
          if (billed > min * 1_000) expect(billed - used).toBeLessThan(inc * 1_000);
        },
      ),
    );
  });
});

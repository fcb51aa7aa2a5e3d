import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { usd } from '#kernel';
import { NANO_PER_CENT, splitCents } from './cents.js';

const sum = (all: readonly bigint[]): bigint => all.reduce((a, n) => a + n, 0n);
const abs = (n: bigint): bigint => (n < 0n ? -n : n);

describe('the lines of an invoice in cents', () => {
  it.each([
    ['charges', 0n],
    ['charges and corrections', -usd('1000')],
  ])('add up to the total whatever the %s are, and none is off by a cent', (_, min) => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min, max: usd('100000') }), { maxLength: 30 }), (amounts) => {
        const { cents, totalCents } = splitCents(amounts);
        expect(sum(cents)).toBe(totalCents);
        expect(abs(totalCents * NANO_PER_CENT - sum(amounts)) <= NANO_PER_CENT / 2n).toBe(true);
        for (const [i, n] of amounts.entries()) {
          const off = abs((cents[i] ?? 0n) * NANO_PER_CENT - n);
          expect(off < NANO_PER_CENT).toBe(true);
          if (n % NANO_PER_CENT === 0n) expect(off).toBe(0n);
        }
      }),
    );
  });

  it('share by largest remainder, the earlier first where remainders are the same', () => {
    const third = usd('0.01') / 3n;
    expect(splitCents([third, third, third])).toEqual({ cents: [1n, 0n, 0n], totalCents: 1n });
    expect(splitCents([third, third + 1n, third])).toEqual({ cents: [0n, 1n, 0n], totalCents: 1n });
    expect(splitCents([-third, third * 2n])).toEqual({ cents: [0n, 0n], totalCents: 0n });
    expect(splitCents([])).toEqual({ cents: [], totalCents: 0n });
  });
});

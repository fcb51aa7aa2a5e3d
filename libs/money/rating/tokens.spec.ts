import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { priceTermsSchema } from '#contracts';
import { rateTokens, type TokenCounts } from './index.js';

const terms = priceTermsSchema.parse({
  tokens: { small: { input: '150000000', cached: '75000000', output: '600000000' } },
  free: { input: '1000' },
});
const none: TokenCounts = { input: 0n, cached: 0n, output: 0n };
const sum = (a: TokenCounts, b: TokenCounts): TokenCounts => ({
  input: a.input + b.input,
  cached: a.cached + b.cached,
  output: a.output + b.output,
});
const minus = (a: TokenCounts, b: TokenCounts): TokenCounts => ({
  input: a.input - b.input,
  cached: a.cached - b.cached,
  output: a.output - b.output,
});

describe('the price of tokens', () => {
  it('is per million by kind, after what is free', () => {
    const counts = { input: 3_000n, cached: 10_000n, output: 1_000n };
    // 2,000 x $0.15 + 10,000 x $0.075 + 1,000 x $0.60 per million
    expect(rateTokens(terms, 'small', counts, { used: none, paid: none })).toEqual({
      free: { input: 1_000n, cached: 0n, output: 0n },
      amountNano: 300_000n + 750_000n + 600_000n,
    });
    expect(rateTokens(terms, 'unknown', counts, { used: none, paid: none })).toBeNull();
  });

  it('has a least price for a request that is not free', () => {
    const least = { ...terms, requestMinimumNano: '500' };
    const one = { ...none, input: 1n };
    expect(rateTokens(least, 'small', one, { used: none, paid: none })?.amountNano).toBe(0n);
    expect(rateTokens(least, 'small', one, { used: { ...none, input: 1_000n }, paid: none })?.amountNano).toBe(500n);
  });

  it('adds up to the same however a month is cut, is never negative and rises with the counts', () => {
    const counts = fc.record({
      input: fc.bigInt({ min: 0n, max: 5_000n }),
      cached: fc.bigInt({ min: 0n, max: 5_000n }),
      output: fc.bigInt({ min: 0n, max: 5_000n }),
    });
    fc.assert(
      fc.property(fc.array(counts, { minLength: 1, maxLength: 8 }), (requests) => {
        let [used, paid, total] = [none, none, 0n];
        for (const request of requests) {
          const rated = rateTokens(terms, 'small', request, { used, paid });
          if (!rated) throw new Error('there is a price');
          expect(rated.amountNano >= 0n).toBe(true);
          used = sum(used, request);
          paid = sum(paid, minus(request, rated.free));
          total += rated.amountNano;
        }
        expect(rateTokens(terms, 'small', used, { used: none, paid: none })?.amountNano).toBe(total);
      }),
    );
  });
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { priceTermsSchema } from '#contracts';
import { rateTokens, mostForTokens, tokenTerms, type TokenCounts } from './index.js';

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
      byKind: { input: 300_000n, cached: 750_000n, output: 600_000n },
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

describe('the terms of a job that is paid by tokens', () => {
  const book = { version: 3, terms: { ...terms, plans: { lab: { discountBps: 1_000 } } } };

  it('are those of its model, less the best discount; without a price there are none', () => {
    const none = { plan: null, commitmentBps: 0 };
    expect(tokenTerms(null, 'small', none)).toBeNull();
    expect(tokenTerms(book, 'large', none)).toBeNull();
    expect(tokenTerms(book, 'small', none)).toEqual({
      bookVersion: 3,
      discountBps: 0,
      tokens: { small: terms.tokens['small'] },
      free: { input: '1000' },
      requestMinimumNano: '0',
    });
    const less = tokenTerms(book, 'small', { plan: 'lab', commitmentBps: 500 });
    expect([less?.discountBps, less?.tokens['small']?.input]).toEqual([1_000, '135000000']);
    expect(tokenTerms(book, 'small', { plan: 'gone', commitmentBps: 2_000 })?.tokens['small']?.output).toBe(
      '480000000',
    );
  });

  it('say the most that tokens can cost: never less than what they come to, in any parts', () => {
    const price = fc.bigInt({ min: 0n, max: 10n ** 10n }).map(String);
    const count = fc.bigInt({ min: 0n, max: 100_000n });
    const spec = fc.record({
      input: price,
      output: price,
      least: fc.bigInt({ min: 0n, max: 10_000n }),
      paid: count,
      parts: fc.array(fc.record({ input: count, output: count }), { minLength: 1, maxLength: 8 }),
    });
    fc.assert(
      fc.property(spec, ({ input, output, least, paid, parts }) => {
        const t = {
          bookVersion: 1,
          discountBps: 0,
          tokens: { m: { input, cached: '0', output } },
          free: {},
          requestMinimumNano: String(least),
        };
        const total = (kind: 'input' | 'output'): bigint => parts.reduce((n, p) => n + p[kind], 0n);
        const requests = BigInt(parts.length);
        const most = mostForTokens(t, 'm', { input: total('input'), output: total('output'), requests });
        let before = { input: paid, cached: 0n, output: paid };
        let cost = 0n;
        for (const part of parts) {
          const counts = { ...part, cached: 0n };
          cost += rateTokens(t, 'm', counts, { used: before, paid: before })?.amountNano ?? 0n;
          before = sum(before, counts);
        }
        expect(cost <= most).toBe(true);
      }),
    );
    expect(() =>
      mostForTokens({ ...terms, bookVersion: 1, discountBps: 0 }, 'no', { input: 1n, output: 1n, requests: 1n }),
    ).toThrow('no price');
  });
});

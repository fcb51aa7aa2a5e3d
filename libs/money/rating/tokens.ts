import { divRound } from '#kernel';
import { tokenKinds, type PriceTerms, type TokenKind } from '#contracts';

export type TokenCounts = Readonly<Record<TokenKind, bigint>>;

const MILLION = 1_000_000n;

export interface RatedTokens {
  /** What of the counts was free. */
  readonly free: TokenCounts;
  readonly amountNano: bigint;
}

/**
 * Price of tokens of one model for an organization that has used `before` of its month already: the free tier first, the rest per
 * million. The amount is a difference of cumulative roundings, so however a month is cut into requests, they add up to the same
 * (but for the least price of a request). Null: the book has no price for the model.
 */
export function rateTokens(
  terms: PriceTerms,
  model: string,
  counts: TokenCounts,
  before: {
    /** Of all models, for the free tier. */ readonly used: TokenCounts;
    /** Of this model, beyond it. */ readonly paid: TokenCounts;
  },
): RatedTokens | null {
  const price = terms.tokens[model];
  if (!price) return null;
  const free = { input: 0n, cached: 0n, output: 0n };
  let amountNano = 0n;
  for (const kind of tokenKinds) {
    if (counts[kind] < 0n) throw new RangeError('tokens cannot be negative');
    const left = positive(BigInt(terms.free[kind] ?? '0') - before.used[kind]);
    free[kind] = counts[kind] < left ? counts[kind] : left;
    const perMillion = BigInt(price[kind]);
    const upTo = (n: bigint): bigint => divRound(perMillion * n, MILLION);
    amountNano += upTo(before.paid[kind] + counts[kind] - free[kind]) - upTo(before.paid[kind]);
  }
  const paysFor = tokenKinds.some((kind) => counts[kind] > free[kind]);
  const least = BigInt(terms.requestMinimumNano);
  return { free, amountNano: paysFor && amountNano < least ? least : amountNano };
}

const positive = (n: bigint): bigint => (n > 0n ? n : 0n);

import { divRound } from '#kernel';
import { tokenKinds, type PriceTerms, type TokenKind } from '#contracts';
import { discounted, planBpsOf } from './lease-price.js';

export type TokenCounts = Readonly<Record<TokenKind, bigint>>;

const MILLION = 1_000_000n;

export interface RatedTokens {
  /** What of the counts was free. */
  readonly free: TokenCounts;
  /** Price by kind; together with what the least price of a request adds they are the amount. */
  readonly byKind: TokenCounts;
  readonly amountNano: bigint;
}

/**
 * Price of tokens of one model for an organization that has used `before` of its month already: the free tier first, the rest per
 * million. The amount is a difference of cumulative roundings, so however a month is cut into requests, they add up to the same
 * (but for the least price of a request). Null: the book has no price for the model.
 */
export function rateTokens(
  terms: Pick<PriceTerms, 'tokens' | 'free' | 'requestMinimumNano'>,
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
  const byKind = { input: 0n, cached: 0n, output: 0n };
  for (const kind of tokenKinds) {
    if (counts[kind] < 0n) throw new RangeError('tokens cannot be negative');
    const left = positive(BigInt(terms.free[kind] ?? '0') - before.used[kind]);
    free[kind] = counts[kind] < left ? counts[kind] : left;
    const perMillion = BigInt(price[kind]);
    const upTo = (n: bigint): bigint => divRound(perMillion * n, MILLION);
    byKind[kind] = upTo(before.paid[kind] + counts[kind] - free[kind]) - upTo(before.paid[kind]);
  }
  const amountNano = tokenKinds.reduce((n, kind) => n + byKind[kind], 0n);
  const paysFor = tokenKinds.some((kind) => counts[kind] > free[kind]);
  const least = BigInt(terms.requestMinimumNano);
  return { free, byKind, amountNano: paysFor && amountNano < least ? least : amountNano };
}

const positive = (n: bigint): bigint => (n > 0n ? n : 0n);

/** What the tokens of one job cost, from the price book and the discount in force when it was submitted. */
export interface TokenTerms extends Pick<PriceTerms, 'tokens' | 'free' | 'requestMinimumNano'> {
  readonly bookVersion: number;
  readonly discountBps: number;
}

/** A tenant's terms for one model; null where the book has no price for it. The best discount counts, as for machines. */
export function tokenTerms(
  book: { readonly version: number; readonly terms: PriceTerms } | null,
  model: string,
  of: { readonly plan: string | null; readonly commitmentBps: number },
): TokenTerms | null {
  const price = book?.terms.tokens[model];
  if (!book || !price) return null;
  const discountBps = Math.max(planBpsOf(book, of.plan), of.commitmentBps);
  const less = (nano: string): string => String(discounted(BigInt(nano), discountBps));
  return {
    bookVersion: book.version,
    discountBps,
    tokens: { [model]: { input: less(price.input), cached: less(price.cached), output: less(price.output) } },
    free: book.terms.free,
    requestMinimumNano: book.terms.requestMinimumNano,
  };
}

/** The most that so many tokens and requests can cost in however many parts they come; the free tier may have been used up. */
export function mostForTokens(
  terms: TokenTerms,
  model: string,
  most: { readonly input: bigint; readonly output: bigint; readonly requests: bigint },
): bigint {
  const price = terms.tokens[model];
  if (!price) throw new Error(`the terms have no price for ${model}`);
  const dearest = BigInt(price.input) > BigInt(price.cached) ? BigInt(price.input) : BigInt(price.cached);
  const up = (perMillion: bigint, n: bigint): bigint => (perMillion * n + MILLION - 1n) / MILLION;
  // Differences of roundings may come to a nano-dollar more for each kind.
  return (
    up(dearest, most.input) +
    up(BigInt(price.output), most.output) +
    BigInt(terms.requestMinimumNano) * most.requests +
    10n
  );
}

import { chargeBetween, divRound } from '#kernel';
import type { PriceClass, PriceTerms } from '#contracts';

/** What the tenant pays per hour for capacity that costs the broker `costPerHour`: cost plus margin in basis points. */
export function chargePerHour(costPerHour: bigint, marginBps: number): bigint {
  return costPerHour + divRound(costPerHour * BigInt(marginBps), 10_000n);
}

/** A price after a discount; at 10,000 basis points it is free. */
export function discounted(price: bigint, discountBps: number): bigint {
  return price - divRound(price * BigInt(discountBps), 10_000n);
}

/** Milliseconds that a vendor bills for `usedMs` of running: at least the minimum, then whole increments. */
export function billedMs(usedMs: number, billing: { readonly minimumS: number; readonly incrementS: number }): number {
  if (usedMs <= 0) return 0;
  const step = Math.max(billing.incrementS, 0.001) * 1_000;
  return Math.max(billing.minimumS * 1_000, Math.ceil(usedMs / step) * step);
}

/** On what terms a lease is charged, from the price book in force when it was asked for; kept with the lease, whatever the book says later. */
export interface ChargeTerms {
  /** The version of the price book; null: there was none, and the provider's own margin holds. */
  readonly bookVersion: number | null;
  readonly marginBps: number;
  /** Of the plan or of a commitment, whichever is more. */
  readonly discountBps: number;
  readonly leaseMinimumMs: number;
  readonly slaCreditBps: number;
  /** The tenant pays for tokens, and nothing for the machine's time. */
  readonly paidBy?: 'tokens';
  /** What the tenant was quoted, whatever the machine costs the broker meanwhile. */
  readonly quoted?: { readonly quoteId: string; /** Nano-dollars. */ readonly perHour: string };
}

/** The provider's margin and nothing else: what holds before there is a price book. */
export function plainTerms(marginBps: number): ChargeTerms {
  return { bookVersion: null, marginBps, discountBps: 0, leaseMinimumMs: 0, slaCreditBps: 0 };
}

/** What a plan takes off under a version of the book; a plan that it does not have takes nothing off. */
export function planBpsOf(book: { readonly terms: PriceTerms } | null, plan: string | null): number {
  return plan === null ? 0 : (book?.terms.plans[plan]?.discountBps ?? 0);
}

/** A tenant's terms under a version of the book. Discounts do not add up: the best one counts. */
export function chargeTerms(
  book: { readonly version: number; readonly terms: PriceTerms } | null,
  of: {
    readonly priceClass: PriceClass;
    readonly providerMarginBps: number;
    readonly plan: string | null;
    readonly commitmentBps: number;
  },
): ChargeTerms {
  const { providerMarginBps, commitmentBps } = of;
  if (book === null) return { ...plainTerms(providerMarginBps), discountBps: commitmentBps };
  const { terms } = book;
  return {
    bookVersion: book.version,
    marginBps: terms.marginBps[of.priceClass] ?? providerMarginBps,
    discountBps: Math.max(planBpsOf(book, of.plan), commitmentBps),
    leaseMinimumMs: terms.leaseMinimumS * 1_000,
    slaCreditBps: terms.slaCreditBps,
  };
}

/** What a tenant on these terms pays per hour. */
export function priceOf(
  costPerHour: bigint,
  terms: Pick<ChargeTerms, 'marginBps' | 'discountBps' | 'paidBy' | 'quoted'>,
): bigint {
  if (terms.paidBy === 'tokens') return 0n;
  if (terms.quoted) return BigInt(terms.quoted.perHour);
  return discounted(chargePerHour(costPerHour, terms.marginBps), terms.discountBps);
}

/** The greatest price to make a charge from, `costPerHour` at most, at which a tenant on these terms pays no more than `mostPerHour`. */
export function basisWithin(
  mostPerHour: bigint,
  costPerHour: bigint,
  terms: Pick<ChargeTerms, 'marginBps' | 'discountBps' | 'paidBy' | 'quoted'>,
): bigint {
  let [low, high] = [0n, costPerHour];
  while (low < high) {
    const middle = (low + high + 1n) / 2n;
    if (priceOf(middle, terms) <= mostPerHour) low = middle;
    else high = middle - 1n;
  }
  return low;
}

/** Until when a lease is charged that its tenant lets go at `nowMs`. */
export function chargedUntil(acceptedAtMs: number, nowMs: number, terms: Pick<ChargeTerms, 'leaseMinimumMs'>): number {
  return Math.max(nowMs, acceptedAtMs + terms.leaseMinimumMs);
}

/** The cost of a lease split at the end of its use: what was used, and the tail that the vendor's minimum and increment add. */
export function costTail(
  costPerHour: bigint,
  bootedAtMs: number,
  usedUntilMs: number,
  billing: { readonly minimumS: number; readonly incrementS: number },
): { readonly billedMs: number; readonly usedNano: bigint; readonly tailNano: bigint } {
  const usedMs = Math.max(0, usedUntilMs - bootedAtMs);
  const billed = Math.max(usedMs, billedMs(usedMs, billing));
  return {
    billedMs: billed,
    usedNano: chargeBetween(costPerHour, bootedAtMs, bootedAtMs, bootedAtMs + usedMs),
    tailNano: chargeBetween(costPerHour, bootedAtMs, bootedAtMs + usedMs, bootedAtMs + billed),
  };
}

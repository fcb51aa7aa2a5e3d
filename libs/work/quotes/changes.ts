import { isDeepStrictEqual } from 'node:util';
import { DomainError, formatUsd } from '#kernel';
import type { OfferView, RejectionDimension } from '#contracts';
import { priceOf, type ChargeTerms } from '#money/rating';
import type { QuoteRow } from './quotes.table.js';

/** What makes an offer the machine that was quoted. */
type Machine = Pick<
  OfferView,
  'accelerator' | 'count' | 'vramGiB' | 'isolation' | 'interconnect' | 'vcpus' | 'ramGiB' | 'pricing' | 'region'
>;

/** What a quote is held against. */
export interface Today {
  /** The quoted offer as it is now; null: it is gone. */
  readonly offer: {
    readonly machine: Machine;
    readonly pricePerHour: bigint;
    readonly unavailable: RejectionDimension | null;
  } | null;
  /** The tenant's terms under the book in force now. */
  readonly terms: ChargeTerms;
}

/** What the same work costs an hour at the tenant's price of today. */
export interface Instead {
  /** Another machine; null: the quoted one. */
  readonly name: string | null;
  readonly perHour: bigint;
}

export type QuoteChange = 'used' | 'expired' | 'offer-gone' | 'offer-changed' | 'out-of-stock' | 'price-changed';

type Quoted = Pick<QuoteRow, 'id' | 'costPerHour' | 'chargePerHour' | 'terms' | 'expiresAt' | 'jobId' | 'offer'>;

/** What comes and goes with an offer that stays what it is. */
const OF_THE_MOMENT: readonly RejectionDimension[] = ['doubtful', 'stale', 'no-stock', 'cooling-down'];

/** Whether an offer is the machine that was quoted, or more of it. */
export function isSameMachine(quoted: Machine, now: Machine): boolean {
  const same = (['accelerator', 'count', 'pricing', 'region', 'isolation'] as const).every((k) => quoted[k] === now[k]);
  const noLess = (['vramGiB', 'vcpus', 'ramGiB'] as const).every((k) => (now[k] ?? 0) >= (quoted[k] ?? 0));
  return same && noLess && isDeepStrictEqual(quoted.interconnect, now.interconnect);
}

/**
 * What keeps a quote from being taken; null = nothing. The vendor's own price is no reason, up or down: that is what a quote is for. A
 * new price book, plan or commitment is one where the machine as it was quoted would cost the tenant something else.
 */
export function changeOf(quote: Quoted, today: Today, nowMs: number): QuoteChange | null {
  if (quote.jobId !== null) return 'used';
  if (quote.expiresAt <= nowMs) return 'expired';
  if (today.offer === null) return 'offer-gone';
  if (today.offer.unavailable === 'not-rentable') return 'offer-gone';
  if (!isSameMachine(quote.offer, today.offer.machine)) return 'offer-changed';
  if (today.offer.unavailable !== null)
    return OF_THE_MOMENT.includes(today.offer.unavailable) ? 'out-of-stock' : 'offer-changed';
  return priceOf(quote.costPerHour, today.terms) === quote.chargePerHour ? null : 'price-changed';
}

/** What the same work costs an hour now: on the quoted machine where it can be had, else on the best other one. */
export function priceToday(today: Today, instead: Instead | null): Instead | null {
  const { offer, terms } = today;
  if (offer !== null && offer.unavailable === null) return { name: null, perHour: priceOf(offer.pricePerHour, terms) };
  return instead;
}

/** The refusal that says what changed, with the old and the new price; `now` is null where nothing fits, and left out where nobody looked. */
export function refusal(quote: Quoted, change: QuoteChange, now?: Instead | null): DomainError {
  const was = `It was quoted at ${formatUsd(quote.chargePerHour)} an hour`;
  const prices = now === undefined ? `${was}.` : `${was}; ${wordsOf(now)}.`;
  const machine = `${quote.offer.sku} in ${quote.offer.region}`;
  const words: Record<QuoteChange, string> = {
    used: `The quote is used by ${quote.jobId ?? 'another job'} already; a quote is for one job.`,
    expired: `The quote was good until ${new Date(quote.expiresAt).toISOString()}. ${prices}`,
    'offer-gone': `${machine} is not offered any more. ${prices}`,
    'offer-changed': `${machine} is not what was quoted any more. ${prices}`,
    'out-of-stock': `${machine} cannot be had now. ${prices}`,
    'price-changed': `The price book changed since. ${prices}`,
  };
  return new DomainError('conflict', `quote-${change}`, words[change], {
    field: 'quoteId',
    fix: 'Ask for another quote, or leave quoteId out to rent at the price of the day.',
    facts: {
      quotedPricePerHour: String(quote.chargePerHour),
      ...(now ? { pricePerHour: String(now.perHour) } : {}),
    },
  });
}

function wordsOf(now: Instead | null): string {
  if (now === null) return 'nothing that can be rented now fits the same work';
  if (now.name === null) return `now it costs ${formatUsd(now.perHour)}`;
  return `the best that can be rented now is ${now.name} at ${formatUsd(now.perHour)}`;
}

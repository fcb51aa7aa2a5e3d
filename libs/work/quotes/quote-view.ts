import type { QuoteState, QuoteView } from '#contracts';
import { burn } from '#compute/leases';
import type { QuoteRow } from './quotes.table.js';

export function stateOf(quote: Pick<QuoteRow, 'jobId' | 'expiresAt'>, nowMs: number): QuoteState {
  if (quote.jobId !== null) return 'used';
  return quote.expiresAt <= nowMs ? 'expired' : 'open';
}

export function toQuoteView(quote: QuoteRow, nowMs: number): QuoteView {
  const { terms, expectedS, chargePerHour } = quote;
  return {
    id: quote.id as QuoteView['id'],
    projectId: quote.projectId as QuoteView['projectId'],
    state: stateOf(quote, nowMs),
    createdAt: new Date(quote.createdAt).toISOString(),
    expiresAt: new Date(quote.expiresAt).toISOString(),
    pricePerHour: String(chargePerHour),
    expectedS,
    expectedCharge: String(burn(chargePerHour, Math.max(expectedS * 1_000, terms.leaseMinimumMs))),
    terms: {
      bookVersion: terms.bookVersion,
      marginBps: terms.marginBps,
      discountBps: terms.discountBps,
      leaseMinimumS: terms.leaseMinimumMs / 1_000,
    },
    offer: quote.offer,
    workload: quote.workload,
    placementId: quote.placementId as QuoteView['placementId'],
    jobId: quote.jobId as QuoteView['jobId'],
    usedAt: quote.usedAt === null ? null : new Date(quote.usedAt).toISOString(),
  };
}

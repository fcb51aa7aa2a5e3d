import { DomainError, MINUTE, newId, notFound, type Clock, type Random } from '#kernel';
import { toOfferView, type Offer, type PlacementView, type Workload } from '#contracts';
import { within, WORKER, type Actor, type Store, type Tx } from '#platform/database';
import { priceOf, type ChargeTerms, type Prices } from '#money/rating';
import type { Placements } from '#market/placement';
import type { Providers } from '#compute/providers';
import { changeOf, isSameMachine, priceToday, refusal, type Instead, type QuoteChange, type Today } from './changes.js';
import { quotes, type QuoteRow } from './quotes.table.js';

/** For how long a price is locked. */
export const QUOTE_OPEN_MS = 10 * MINUTE;
/** A job that takes its quote in the last moment still has this long to find its machine. */
export const QUOTE_LEASE_MS = MINUTE;
/** Candidates that the decision behind a quote keeps. */
const KEPT = 5;

export interface QuotesDeps {
  readonly store: Store;
  readonly placements: Pick<Placements, 'preview' | 'get' | 'estimate' | 'offerNow'>;
  readonly providers: Pick<Providers, 'priceBasis'>;
  readonly prices: Pick<Prices, 'termsFor'>;
  readonly clock: Clock;
  readonly random: Random;
}

/** The quoted machine as it is now, on the quoted terms; or why the market's price holds again. */
export type QuotedMachine =
  { readonly offer: Offer; readonly terms: ChargeTerms; readonly placementId: string } | { readonly why: string };

/** A quote, and the decision behind it. */
interface Made {
  readonly quote: QuoteRow;
  readonly decision: PlacementView;
}

/** Machines that start together cannot be rented yet: what would be rented is one of them, at the price and speed of all. */
export function requireOneMachine({ nodes }: Pick<Workload, 'nodes'>, field: string): void {
  if (nodes > 1)
    throw new DomainError('invalid', 'gang-not-rentable', `${nodes} machines at once cannot be rented yet.`, {
      field,
      fix: 'Leave nodes out to rent one machine. POST /v1/placements/preview compares offers for gangs.',
    });
}

/** Prices that are locked for a tenant. */
export class Quotes {
  constructor(private readonly d: QuotesDeps) {}

  /**
   * Takes the decision, and locks the price of its winner; `also` runs in the transaction that writes it. Throws unprocessable
   * when nothing that can be rented fits.
   */
  async make(
    actor: Actor,
    of: { organizationId: string; projectId: string; workload: Workload },
    also: (tx: Tx, made: Made) => Promise<void> = () => Promise.resolve(),
  ): Promise<Made> {
    const { organizationId, projectId, workload } = of;
    if (workload.constraints.deadlineS !== undefined)
      throw new DomainError(
        'invalid',
        'quote-with-deadline',
        'Work with a deadline may have to change machines: no price can be quoted.',
        {
          field: 'workload.constraints.deadlineS',
          fix: 'Leave the deadline out of the quote, or submit the job without one.',
        },
      );
    requireOneMachine(workload, 'workload.nodes');
    const decision = await this.d.placements.preview(actor, { ...of, scope: 'rentable', limit: KEPT });
    const [best] = decision.candidates;
    if (!best)
      throw new DomainError('unprocessable', 'nothing-fits', 'Nothing that can be rented now fits.', {
        fix: [...(decision.contradictions ?? []), ...decision.hints].join(' ') || 'Ask for less.',
        facts: { placementId: decision.id },
        retryable: true,
      });
    const { offer, expectedS } = best;
    const costPerHour = BigInt(offer.pricePerHour);
    const terms = await this.d.store.transaction(WORKER, (tx) =>
      this.termsNow(tx, { organizationId, projectId }, offer.providerId),
    );
    const quote = await this.d.store.transaction(actor, async (tx) => {
      const now = await tx.now();
      const row: QuoteRow = {
        id: newId('quote', this.d.clock.now(), this.d.random),
        organizationId,
        projectId,
        placementId: decision.id,
        providerId: offer.providerId,
        offerId: offer.id,
        offer,
        workload,
        costPerHour,
        chargePerHour: priceOf(costPerHour, terms),
        terms,
        expectedS,
        createdAt: now,
        expiresAt: now + QUOTE_OPEN_MS,
        jobId: null,
        usedAt: null,
      };
      await tx.insert(quotes, row);
      await also(tx, { quote: row, decision });
      return row;
    });
    return { quote, decision };
  }

  async get(actor: Actor, id: string): Promise<Made> {
    const quote = await this.d.store.transaction(actor, (tx) => tx.first(quotes, { id, ...within(actor) }));
    if (!quote) throw notFound('quote', id);
    return { quote, decision: await this.d.placements.get(actor, quote.placementId) };
  }

  /** The quote that a job of that project wants to use. Throws a conflict that says what changed, with the old and the new price. */
  async openFor(actor: Actor, of: { organizationId: string; projectId: string; quoteId: string }): Promise<QuoteRow> {
    const { quoteId, organizationId, projectId } = of;
    const found = await this.d.store.transaction(actor, async (tx) => ({
      quote: await tx.first(quotes, { id: quoteId, organizationId, projectId }),
      now: await tx.now(),
    }));
    const { quote, now } = found;
    if (!quote)
      throw new DomainError('invalid', 'unknown-quote', `There is no quote ${quoteId} here.`, {
        field: 'quoteId',
        fix: 'Ask for one in the project of the job (POST /v1/quotes).',
      });
    const today = await this.d.store.transaction(WORKER, (tx) => this.todayOf(tx, quote));
    const change = changeOf(quote, today, now);
    if (change !== null) throw await this.refusalOf(quote, change, today);
    return quote;
  }

  /** Gives the quote to that job, in the transaction that makes it. Of several jobs one gets it; the others' transactions are undone. */
  async take(tx: Tx, quote: QuoteRow, jobId: string): Promise<void> {
    const { id, organizationId, projectId } = quote;
    const now = await tx.now();
    const [taken] = await tx.update(
      quotes,
      { id, organizationId, projectId, jobId: { isNull: true }, expiresAt: { gt: now } },
      { jobId, usedAt: now },
    );
    if (taken) return;
    const as = await tx.first(quotes, { id, organizationId, projectId });
    if (as === null || as.jobId === null) throw refusal(quote, 'expired');
    throw refusal(as, 'used');
  }

  /** The machine for the first lease of the job that uses this quote. */
  async machineFor(tx: Tx, quoteId: string): Promise<QuotedMachine> {
    const now = await tx.now();
    const quote = await tx.first(quotes, { id: quoteId });
    if (!quote || now >= Math.max(quote.expiresAt, (quote.usedAt ?? 0) + QUOTE_LEASE_MS))
      return { why: 'the quote has expired' };
    const found = await this.d.placements.offerNow(tx, quote);
    if (!found) return { why: 'the quoted machine is not offered any more' };
    if (!isSameMachine(quote.offer, toOfferView(found.offer))) return { why: 'the quoted machine is not what it was' };
    if (found.unavailable !== null) return { why: `the quoted machine cannot be had now (${found.unavailable})` };
    const quoted = { quoteId, perHour: String(quote.chargePerHour) };
    return { offer: found.offer, terms: { ...quote.terms, quoted }, placementId: quote.placementId };
  }

  private async refusalOf(quote: QuoteRow, change: QuoteChange, today: Today): Promise<DomainError> {
    if (change === 'used') return refusal(quote, change);
    const onIt = priceToday(today, null);
    return refusal(quote, change, onIt ?? priceToday(today, await this.bestInstead(quote)));
  }

  private async bestInstead(quote: QuoteRow): Promise<Instead | null> {
    const { projectId, workload } = quote;
    const best = await this.d.placements.estimate({ projectId, workload });
    if ('why' in best) return null;
    const { offer } = best;
    const terms = await this.d.store.transaction(WORKER, (tx) => this.termsNow(tx, quote, offer.providerId));
    return { name: `${offer.sku} in ${offer.region}`, perHour: priceOf(offer.pricePerHour, terms) };
  }

  private async todayOf(tx: Tx, quote: QuoteRow): Promise<Today> {
    const found = await this.d.placements.offerNow(tx, quote);
    return {
      offer: found && {
        machine: toOfferView(found.offer),
        pricePerHour: found.offer.pricePerHour,
        unavailable: found.unavailable,
      },
      terms: await this.termsNow(tx, quote, quote.providerId),
    };
  }

  private async termsNow(
    tx: Tx,
    { organizationId, projectId }: Pick<QuoteRow, 'organizationId' | 'projectId'>,
    providerId: string,
  ): Promise<ChargeTerms> {
    const basis = await this.d.providers.priceBasis(tx, providerId);
    return this.d.prices.termsFor(tx, { organizationId, projectId, ...basis }, await tx.now());
  }
}

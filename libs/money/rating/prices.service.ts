import { DomainError, newId, notFound, type Clock, type Random } from '#kernel';
import type { PriceClass, PriceTerms } from '#contracts';
import { projects } from '#identity/tenancy';
import { WORKER, type Store, type Tx } from '#platform/database';
import { commitmentBpsAt } from './commitment.js';
import { chargeTerms, planBpsOf, type ChargeTerms } from './lease-price.js';
import { tokenTerms, type TokenTerms } from './tokens.js';
import { priceAt } from './price-book.js';
import { commitments, organizationPlans, priceBooks, type CommitmentRow, type PriceBookRow } from './rating.table.js';

export interface PricedFor {
  readonly organizationId: string;
  readonly projectId: string;
  readonly priceClass: PriceClass;
  readonly providerMarginBps: number;
}

const ESTIMATE_TTL_MS = 5_000;
const MOST_ESTIMATED = 10_000;

/** The price book, who is on which plan, and who has committed to what. */
export class Prices {
  private readonly estimated = new Map<string, { terms: ChargeTerms; readAtMs: number }>();

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** Adds a version that takes effect now or later; those before it stay as they are. */
  async publish(tx: Tx, of: { effectiveAt?: number; terms: PriceTerms; note?: string }): Promise<PriceBookRow> {
    const now = await tx.now();
    const effectiveAt = notPast(of.effectiveAt, now);
    const [latest] = await tx.find(priceBooks, {}, { orderBy: [['version', 'desc']], limit: 1 });
    const row: PriceBookRow = {
      id: newId('priceBook', this.clock.now(), this.random),
      version: (latest?.version ?? 0) + 1,
      effectiveAt,
      terms: of.terms,
      note: of.note ?? null,
      createdAt: now,
    };
    // Two at once: one of them meets the other's version and is refused.
    const [added] = await tx.insertNew(priceBooks, [row]);
    if (!added)
      throw new DomainError('conflict', 'price-book-changed', 'Somebody else has just published a version.', {
        fix: 'Look at it and publish again.',
        retryable: true,
      });
    return row;
  }

  /** All versions, newest first. */
  book(tx: Tx): Promise<PriceBookRow[]> {
    return tx.find(priceBooks, {}, { orderBy: [['version', 'desc']] });
  }

  async inForce(tx: Tx, atMs: number): Promise<PriceBookRow | null> {
    return priceAt(await tx.find(priceBooks, { effectiveAt: { lte: atMs } }), atMs);
  }

  /** Puts an organization on a plan from now or later; null takes it off. */
  async setPlan(tx: Tx, organizationId: string, plan: string | null, effectiveAt?: number): Promise<void> {
    const at = notPast(effectiveAt, await tx.now());
    if (plan !== null) {
      const book = await this.inForce(tx, at);
      if (!book?.terms.plans[plan])
        throw new DomainError('invalid', 'plan-unknown', `The price book in force then has no plan "${plan}".`, {
          field: 'plan',
        });
    }
    const rows = await tx.find(organizationPlans, { organizationId });
    await tx.insert(organizationPlans, { organizationId, n: rows.length + 1, plan, effectiveAt: at });
  }

  async planAt(tx: Tx, organizationId: string, atMs: number): Promise<string | null> {
    const rows = await tx.find(organizationPlans, { organizationId, effectiveAt: { lte: atMs } });
    return (
      priceAt(
        rows.map((r) => ({ ...r, version: r.n })),
        atMs,
      )?.plan ?? null
    );
  }

  /** A promise of spending in whole hours or calendar months for a discount, from now or later until `endsAt`; by one project, where it is named. */
  async commit(
    tx: Tx,
    of: Pick<CommitmentRow, 'organizationId' | 'per' | 'amountNano' | 'discountBps' | 'endsAt'> & {
      startsAt?: number;
      projectId?: string | null;
    },
  ): Promise<CommitmentRow> {
    const { startsAt: wanted, projectId = null, ...rest } = of;
    const { organizationId } = of;
    if (projectId !== null && !(await tx.first(projects, { id: projectId, organizationId })))
      throw notFound('project', projectId);
    const now = await tx.now();
    const startsAt = notPast(wanted, now);
    if (of.endsAt <= startsAt)
      throw new DomainError('invalid', 'ends-before-start', 'The commitment ends before it starts.', {
        field: 'endsAt',
      });
    if (of.amountNano <= 0n)
      throw new DomainError('invalid', 'amount-not-positive', 'A commitment is for more than nothing.', {
        field: 'amount',
      });
    const row: CommitmentRow = {
      ...rest,
      projectId,
      id: newId('commitment', this.clock.now(), this.random),
      startsAt,
      settledThrough: startsAt,
      owedNano: 0n,
      createdAt: now,
      version: 1,
      wakeAt: startsAt,
    };
    await tx.insert(commitments, row);
    return row;
  }

  /** On what terms a tenant rents at an instant. */
  async termsFor(tx: Tx, of: PricedFor, atMs: number): Promise<ChargeTerms> {
    const { organizationId, projectId, priceClass, providerMarginBps } = of;
    const book = await this.inForce(tx, atMs);
    const plan = book === null ? null : await this.planAt(tx, organizationId, atMs);
    const commitmentBps = commitmentBpsAt(await this.promised(tx, organizationId, atMs), projectId, atMs);
    return chargeTerms(book, { priceClass, providerMarginBps, plan, commitmentBps });
  }

  /** The book in force at an instant, and what the plan or a commitment takes off for each project, in basis points: the best one counts. */
  async discountsFor(
    tx: Tx,
    organizationId: string,
    atMs: number,
  ): Promise<{ terms: PriceTerms | null; bpsOf: (projectId: string) => number }> {
    const book = await this.inForce(tx, atMs);
    const planBps = planBpsOf(book, await this.planAt(tx, organizationId, atMs));
    const promised = await this.promised(tx, organizationId, atMs);
    const bpsOf = (projectId: string): number => Math.max(planBps, commitmentBpsAt(promised, projectId, atMs));
    return { terms: book?.terms ?? null, bpsOf };
  }

  private promised(tx: Tx, organizationId: string, atMs: number): Promise<CommitmentRow[]> {
    return tx.find(commitments, { organizationId, endsAt: { gt: atMs } });
  }

  /** What tokens of a model cost a tenant from an instant on; null where the book has no price for it. */
  async tokenTermsFor(
    tx: Tx,
    { organizationId, projectId }: Pick<PricedFor, 'organizationId' | 'projectId'>,
    model: string,
    atMs: number,
  ): Promise<TokenTerms | null> {
    const book = await this.inForce(tx, atMs);
    if (!book?.terms.tokens[model]) return null;
    const plan = await this.planAt(tx, organizationId, atMs);
    const commitmentBps = commitmentBpsAt(await this.promised(tx, organizationId, atMs), projectId, atMs);
    return tokenTerms(book, model, { plan, commitmentBps });
  }

  /** The same for an estimate, as read at most five seconds ago. */
  async estimate(store: Store, of: PricedFor): Promise<ChargeTerms> {
    const key = `${of.organizationId} ${of.projectId} ${of.priceClass} ${of.providerMarginBps}`;
    const nowMs = this.clock.now();
    const known = this.estimated.get(key);
    if (known && nowMs - known.readAtMs < ESTIMATE_TTL_MS) return known.terms;
    const terms = await store.transaction(WORKER, async (tx) => this.termsFor(tx, of, await tx.now()));
    if (this.estimated.size >= MOST_ESTIMATED) this.estimated.clear();
    this.estimated.set(key, { terms, readAtMs: nowMs });
    return terms;
  }
}

/** Prices never change backwards: what was rented was rented at the price of its time. */
function notPast(wanted: number | undefined, nowMs: number): number {
  if (wanted === undefined) return nowMs;
  if (wanted < nowMs)
    throw new DomainError('invalid', 'effective-in-the-past', 'It can take effect now or later, not in the past.', {
      field: 'effectiveAt',
      fix: 'Leave it out to let it take effect now.',
    });
  return wanted;
}

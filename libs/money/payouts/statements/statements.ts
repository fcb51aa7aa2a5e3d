import { DAY, DomainError, newId, notFound } from '#kernel';
import { audit, type Author } from '#identity/audit';
import { organizations } from '#identity/tenancy';
import { within, WORKER, type Actor, type Tx } from '#platform/database';
import { NANO_PER_CENT, nextNumber, type Party } from '#money/billing';
import { account, accounts } from '#money/ledger';
import { monthEnd, monthStart } from '#money/metering';
import { newPayout, wakeTransfer } from '../effects/begin.js';
import { move, openAccounts, termsOf, type Payee, type PayoutParts } from '../parts.js';
import type { ProviderToPay } from '../ports.js';
import { payouts } from '../rows/payouts.table.js';
import {
  holdbacks,
  movements,
  statementLines,
  statements,
  type StatementLineRow,
  type StatementRow,
} from '../rows/statements.table.js';
import type { PayoutTerms } from '../terms.js';
import { unstatedAccruals } from './accrual.js';
import { unstatedAdjustments } from './adjustments.js';
import { composeStatement, KEPT_BACK, PAID_OUT, type ComposedStatement } from './compose.js';

/** A statement with its lines; of a preview `row.number` is empty and nothing of it is written. */
export interface StatementView {
  readonly row: StatementRow;
  readonly lines: readonly StatementLineRow[];
}

interface Composed {
  readonly provider: ProviderToPay;
  readonly terms: PayoutTerms;
  readonly of: ComposedStatement;
  readonly row: StatementRow;
  readonly payoutId: string;
}

/** One statement per provider and month. */
export class Statements {
  constructor(private readonly d: PayoutParts) {}

  /**
   * Writes the statement of the month of `atMs`, moves what was earned from payable to due less the holdback, and sets the payout aside.
   * Again, or at once on two workers, gives the one that there is; null: nothing happened that a statement could tell of.
   */
  make(providerId: string, atMs: number, by: Author): Promise<{ row: StatementRow; again: boolean } | null> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const provider = await this.provider(tx, providerId);
      await openAccounts(tx, this.d, provider);
      // The provider's statements are made one after the other: whoever makes one holds this row.
      await tx.first(accounts, { id: account.due(providerId) }, { lock: 'update' });
      const periodStart = monthStart(atMs);
      const known = await tx.first(statements, { providerId, periodStart });
      if (known) return { row: known, again: true };
      const now = await tx.now();
      if (now < monthEnd(atMs)) throw notOver(monthEnd(atMs));
      const later = await tx.first(statements, { providerId, periodStart: { gt: periodStart } });
      if (later) throw alreadyLater(later);
      const composed = await this.compose(tx, provider, periodStart, now);
      if (composed.of.lines.length === 0) return null;
      return { row: await this.write(tx, composed, by), again: false };
    });
  }

  /** What the statement of the month of `atMs` would be if it were made now. */
  async preview(actor: Actor, providerId: string, atMs: number): Promise<StatementView> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const provider = await this.provider(tx, providerId, actor);
      const periodStart = monthStart(atMs);
      const known = await tx.first(statements, { providerId, periodStart });
      if (known) return { row: known, lines: await linesOf(tx, known.id) };
      const { row, of } = await this.compose(tx, provider, periodStart, await tx.now());
      return { row, lines: numbered(row, of) };
    });
  }

  list(
    actor: Actor,
    filter: { providerId?: string; organizationId?: string },
    page: { limit: number; after?: readonly unknown[] },
  ): Promise<StatementRow[]> {
    const order = [
      ['periodStart', 'desc'],
      ['id', 'desc'],
    ] as const;
    return this.d.store.transaction(actor, (tx) =>
      tx.find(statements, { ...filter, ...own(actor) }, { orderBy: order, ...page }),
    );
  }

  get(actor: Actor, id: string): Promise<StatementView> {
    return this.d.store.transaction(actor, async (tx) => {
      const row = await tx.first(statements, { id, ...own(actor) });
      if (!row) throw notFound('statement', id);
      return { row, lines: await linesOf(tx, id) };
    });
  }

  private async provider(tx: Tx, id: string, actor: Actor = WORKER): Promise<ProviderToPay> {
    const provider = await this.d.providers.get(tx, id);
    const foreign = actor.as === 'tenant' && provider?.organizationId !== actor.organizationId;
    if (!provider || foreign) throw notFound('provider', id);
    return provider;
  }

  private async compose(tx: Tx, provider: ProviderToPay, periodStart: number, now: number): Promise<Composed> {
    const { id: providerId, organizationId } = provider;
    const terms = await termsOf(tx, provider);
    const [last] = await tx.find(statements, { providerId }, { orderBy: [['periodStart', 'desc']], limit: 1 });
    const moved = await tx.find(
      movements,
      { providerId, statementId: { isNull: true } },
      {
        orderBy: [
          ['at', 'asc'],
          ['id', 'asc'],
        ],
      },
    );
    const id = newId('payoutStatement', now, this.d.random);
    const payoutId = newId('payout', now, this.d.random);
    const of = composeStatement({
      openingNano: last?.closingNano ?? 0n,
      accruals: await unstatedAccruals(tx, providerId, periodStart),
      adjustments: await unstatedAdjustments(tx, providerId, periodStart),
      moved,
      terms,
      atMs: now,
      ids: { statement: id, payout: payoutId },
    });
    const balance = async (of: string): Promise<bigint> => (await tx.first(accounts, { id: of }))?.balanceNano ?? 0n;
    const { openingNano, closingNano, openingCents, closingCents, accruedNano, payoutCents, holdbackNano } = of;
    const row: StatementRow = {
      id,
      organizationId,
      providerId,
      providerName: provider.name,
      periodStart,
      periodEnd: monthEnd(periodStart),
      number: '',
      issuedAt: now,
      openingNano,
      closingNano,
      openingCents,
      closingCents,
      accruedNano,
      payoutCents,
      heldBackNano: (await balance(account.holdback(providerId))) + holdbackNano,
      disputedNano: await balance(account.disputed(providerId)),
      payee: await payeeOf(tx, provider),
      payer: this.d.settings.seller,
      transactionId: null,
    };
    return { provider, terms, of, row, payoutId };
  }

  private async write(
    tx: Tx,
    { provider, terms, of, row: draft, payoutId }: Composed,
    by: Author,
  ): Promise<StatementRow> {
    const { id: statementId, providerId, organizationId, issuedAt, periodStart } = draft;
    const payable = account.payable(providerId);
    const name = `accruals of ${new Date(periodStart).toISOString().slice(0, 7)}`;
    const accrual = { kind: 'accrual', reference: statementId, note: name, against: payable } as const;
    const transactionId =
      of.accruedNano === 0n ? null : await move(tx, this.d, provider, { ...accrual, amountNano: of.accruedNano });
    const number = await nextNumber(tx, this.d.series ?? 'PS', issuedAt);
    const row = { ...draft, number, transactionId };
    await tx.insert(statements, row);
    await tx.insert(statementLines, numbered(row, of));
    if (of.holdbackNano > 0n) await this.keepBack(tx, row, of.holdbackNano, terms);
    if (of.payoutCents > 0n) await this.setAside(tx, row, payoutId, terms);
    await tx.update(movements, { providerId, statementId: { isNull: true } }, { statementId });
    await this.check(tx, row);
    const after = { number, accruedNano: row.accruedNano, payoutCents: row.payoutCents, closingNano: row.closingNano };
    await audit(tx, { by, organizationId, action: 'payout-statement.issue', subject: statementId, after });
    await this.d.outbox.add(tx, {
      organizationId,
      topic: 'payout-statement.issued',
      payload: { statementId, providerId, number, payoutCents: String(row.payoutCents) },
    });
    return row;
  }

  private async keepBack(tx: Tx, row: StatementRow, amountNano: bigint, terms: PayoutTerms): Promise<void> {
    const { id: statementId, organizationId, providerId, issuedAt, periodEnd } = row;
    await move(tx, this.d, payeeIds(row), {
      kind: 'holdback',
      reference: statementId,
      note: KEPT_BACK,
      amountNano: -amountNano,
      against: account.holdback(providerId),
    });
    await tx.insert(holdbacks, {
      id: newId('holdback', issuedAt, this.d.random),
      organizationId,
      providerId,
      statementId,
      amountNano,
      releaseAt: Math.max(issuedAt, periodEnd + terms.holdbackDays * DAY),
      releasedAt: null,
    });
  }

  private async setAside(tx: Tx, row: StatementRow, payoutId: string, terms: PayoutTerms): Promise<void> {
    const amountNano = -row.payoutCents * NANO_PER_CENT;
    const paid = { kind: 'payout', reference: payoutId, note: PAID_OUT, amountNano, against: account.payouts } as const;
    await move(tx, this.d, payeeIds(row), paid);
    const payout = await newPayout(tx, this.d, row, payoutId, terms);
    await tx.insert(payouts, payout);
    if (payout.state === 'intended') wakeTransfer(tx, this.d, payout.id);
  }

  /** The books say the same as the statement, or nothing of it is kept. */
  private async check(tx: Tx, { providerId, number, closingNano }: StatementRow): Promise<void> {
    const due = await tx.first(accounts, { id: account.due(providerId) });
    if (due?.balanceNano === closingNano) return;
    throw new Error(`statement ${number} closes at ${closingNano}, and ${due?.balanceNano} is due to ${providerId}`);
  }
}

const own = (actor: Actor): { organizationId?: string } => {
  const { organizationId } = within(actor);
  return organizationId === undefined ? {} : { organizationId };
};

const payeeIds = ({ providerId, organizationId }: StatementRow): Payee => ({ id: providerId, organizationId });

export const linesOf = (tx: Tx, statementId: string): Promise<StatementLineRow[]> =>
  tx.find(statementLines, { statementId }, { orderBy: [['n', 'asc']] });

function numbered({ id, organizationId, providerId }: StatementRow, of: ComposedStatement): StatementLineRow[] {
  return of.lines.map((line, n) => ({ ...line, statementId: id, n, organizationId, providerId }));
}

async function payeeOf(tx: Tx, { organizationId, name }: ProviderToPay): Promise<Party> {
  const organization = await tx.first(organizations, { id: organizationId });
  return { name: organization?.name ?? name, address: [], taxId: null, email: null };
}

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

function notOver(endMs: number): DomainError {
  return new DomainError('conflict', 'period-not-over', `The month of this statement ends on ${dayOf(endMs)}.`, {
    fix: 'Wait for its end; a preview shows what it comes to so far.',
  });
}

function alreadyLater({ number }: StatementRow): DomainError {
  return new DomainError('conflict', 'later-statement-exists', `Statement ${number} is of a later month.`, {
    fix: 'What belongs to this month and came late is on the next statement.',
  });
}

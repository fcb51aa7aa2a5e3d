import { DomainError, newId, notFound, type Clock, type Random } from '#kernel';
import type { Tx } from '#platform/database';
import { account, chart, ownAccounts, type AccountKind } from './chart.js';
import { accounts, entries, transactions, type AccountRow } from './ledger.table.js';
import { ledgerPost, ledgerReverse, USD } from './post.js';
import { GENESIS } from './seal.js';
import { chain } from './seal.table.js';

export interface Entry {
  readonly accountId: string;
  readonly amountNano: bigint;
  /** For credit accounts: a spend comes out of what is held, everything else moves what is available. */
  readonly from?: 'available' | 'held';
  /** What a bank takes back is gone whether it was spent or not: it may leave a credit below zero, and below its limit. */
  readonly below?: boolean;
  /** The account's currency, dollars when absent; entries sum to zero in each. */
  readonly currency?: string;
}

export interface Posting {
  /** Same key, same transaction: posting twice changes nothing. */
  readonly idempotencyKey: string;
  readonly kind: string;
  /** The tenant who may see it; null for the broker's own. */
  readonly organizationId: string | null;
  readonly reference: string;
  readonly entries: readonly Entry[];
}

/** Double entry in nano-dollars. Entries of a transaction sum to zero (checked here and by a constraint), nothing is ever changed. */
export class Ledger {
  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** Opens accounts that do not exist yet; harmless to repeat. */
  async open(
    tx: Tx,
    list: readonly { id: string; kind: AccountKind; organizationId: string | null; currency?: string }[],
  ): Promise<void> {
    await tx.insertNew(accounts, list.map(empty));
  }

  /** The broker's own accounts and the beginning of the chain; made once at first boot. */
  async openOwn(tx: Tx): Promise<void> {
    await this.open(tx, ownAccounts);
    await tx.insertNew(chain, [{ singleton: true, n: 0, hash: GENESIS, transactions: 0 }]);
  }

  /** Returns the transaction's id, or null when the key had been posted before. Account rows are locked in the order of their ids. */
  async post(tx: Tx, posting: Posting): Promise<string | null> {
    const moved = posting.entries.filter((e) => e.amountNano !== 0n);
    for (const currency of new Set(moved.map((e) => e.currency ?? USD))) {
      const sum = moved.reduce((a, e) => ((e.currency ?? USD) === currency ? a + e.amountNano : a), 0n);
      if (sum !== 0n)
        throw new Error(`ledger transaction ${posting.idempotencyKey} sums to ${sum} ${currency}, not zero`);
    }
    const id = newId('transaction', this.clock.now(), this.random);
    const { outcome, shortAccount } = await tx.call(ledgerPost, {
      id,
      key: posting.idempotencyKey,
      kind: posting.kind,
      organizationId: posting.organizationId,
      reference: posting.reference,
      reverses: null,
      at: await tx.now(),
      entries: moved.map((e) => ({ ...e, from: e.from ?? 'available', currency: e.currency ?? USD })),
    });
    if (outcome === 'short') throw tooLittle(shortAccount);
    return outcome === 'posted' ? id : null;
  }

  /**
   * Takes a transaction back by its exact mirror, as one database function. Each once: again gives the same reversal and changes nothing.
   * What was spent out of a hold comes back as available. `why` becomes the reversal's reference.
   */
  async reverse(tx: Tx, transactionId: string, why: string): Promise<{ id: string; again: boolean }> {
    const id = newId('transaction', this.clock.now(), this.random);
    const done = await tx.call(ledgerReverse, { id, transaction: transactionId, why, at: await tx.now() });
    if (done.outcome === 'unknown') throw notFound('transaction', transactionId);
    if (done.outcome === 'is-reversal')
      throw new DomainError('conflict', 'is-a-reversal', `${transactionId} is a reversal; post what is meant anew.`);
    if (done.outcome === 'short' || done.reversalId === null) throw tooLittle(done.shortAccount);
    return { id: done.reversalId, again: done.outcome === 'known' };
  }

  /**
   * Puts credit into a tenant's account; `kind` grant is a gift of the broker, payment is money that came in. Null: the key had given just this
   * before; it gives nothing else.
   */
  async credit(
    tx: Tx,
    organizationId: string,
    amountNano: bigint,
    kind: 'grant' | 'payment',
    idempotencyKey: string,
  ): Promise<string | null> {
    if (amountNano <= 0n)
      throw new DomainError('invalid', 'amount-not-positive', 'Credit must be more than zero.', { field: 'amount' });
    await this.open(tx, [{ id: account.credit(organizationId), kind: 'credit', organizationId }]);
    const credit = account.credit(organizationId);
    const posted = await this.post(tx, {
      idempotencyKey,
      kind,
      organizationId,
      reference: organizationId,
      entries: [
        { accountId: kind === 'grant' ? account.grants : account.cash, amountNano: -amountNano },
        { accountId: credit, amountNano },
      ],
    });
    if (posted !== null) return posted;
    const known = await tx.first(transactions, { idempotencyKey });
    const entry = known && (await tx.first(entries, { transactionId: known.id, accountId: credit }));
    if (known?.kind !== kind || entry?.amountNano !== amountNano) throw referenceUsed();
    return null;
  }

  /** A tenant's credit account; zeros when it was never opened. */
  async creditOf(tx: Tx, organizationId: string): Promise<AccountRow> {
    const id = account.credit(organizationId);
    return (await tx.first(accounts, { id })) ?? empty({ id, organizationId, kind: 'credit' });
  }
}

/** A new account. Those of the broker take part in every posting, and are therefore folded. */
function empty(a: { id: string; kind: AccountKind; organizationId: string | null; currency?: string }): AccountRow {
  const { bounded, owner } = chart[a.kind];
  const nothing = { balanceNano: 0n, availableNano: 0n, heldNano: 0n, creditLimitNano: 0n };
  return { ...a, ...nothing, bounded, currency: a.currency ?? USD, folded: owner === 'broker' };
}

/** Who repeats a request says the same again; anything else is something new, and must not be taken for done. */
export const referenceUsed = (): DomainError =>
  new DomainError('conflict', 'reference-used', 'This reference was used before, for another amount or kind.', {
    field: 'reference',
    fix: 'Give what is new a reference of its own.',
  });

const tooLittle = (accountId: string | null): DomainError =>
  new DomainError('payment-required', 'insufficient-credit', `Account ${accountId} does not exist or has too little.`);

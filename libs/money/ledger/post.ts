import type { Procedure, Tx } from '#platform/database';
import { accounts, entries, transactions } from './ledger.table.js';
import { unsealed } from './seal.table.js';

/** The currency of all that does not say another. */
export const USD = 'USD';

/** An entry as the function takes it; amounts are not zero. */
export interface PostedEntry {
  readonly accountId: string;
  readonly amountNano: bigint;
  readonly from: 'available' | 'held';
  /** Takes the amount even where less is available. */
  readonly below?: boolean;
  /** The account's; dollars when absent. */
  readonly currency?: string;
}

export interface PostArgs {
  readonly id: string;
  readonly key: string;
  readonly kind: string;
  readonly organizationId: string | null;
  readonly reference: string;
  readonly reverses: string | null;
  readonly at: number;
  readonly entries: readonly PostedEntry[];
}

export interface PostResult {
  /** `known`: the key was posted before and nothing was done. `short`: an account lacks the amount; the caller must undo everything. */
  readonly outcome: 'posted' | 'known' | 'short';
  readonly shortAccount: string | null;
}

/**
 * Writes a transaction with its entries and moves the accounts, in the order of their ids. Accounts that are folded are not touched: the
 * sealer moves them. An account of another currency is as good as none.
 */
export const ledgerPost: Procedure<PostArgs, PostResult> = {
  name: 'ledger_post',
  args: {
    id: 'text',
    key: 'text',
    kind: 'text',
    organizationId: 'text',
    reference: 'text',
    reverses: 'text',
    at: 'time',
    entries: 'json',
  },
  result: { outcome: 'text', shortAccount: 'text' },
  inMemory: async (tx, { id, key, kind, organizationId, reference, reverses, at, entries: list }) => {
    const row = { id, idempotencyKey: key, kind, organizationId, reference, reverses, at };
    if ((await tx.insertNew(transactions, [row])).length === 0) return { outcome: 'known', shortAccount: null };
    await tx.insert(unsealed, { transactionId: id, at });
    for (const entry of list.toSorted((a, b) => (a.accountId < b.accountId ? -1 : 1)))
      if (!(await move(tx, entry, reverses !== null))) return { outcome: 'short', shortAccount: entry.accountId };
    await tx.insert(
      entries,
      list.map(({ accountId, amountNano, currency }, n) => ({
        transactionId: id,
        n,
        accountId,
        organizationId: accountId === `credit:${organizationId}` ? organizationId : null,
        amountNano,
        currency: currency ?? USD,
        at,
      })),
    );
    return { outcome: 'posted', shortAccount: null };
  },
};

async function move(
  tx: Tx,
  { accountId, amountNano, from, below, currency }: PostedEntry,
  takesBack: boolean,
): Promise<boolean> {
  const row = await tx.first(accounts, { id: accountId, currency: currency ?? USD });
  if (!row || row.folded) return row !== null;
  const pocket = from === 'held' ? 'heldNano' : 'availableNano';
  // Only what takes back may use the credit limit: what was owed before is owed again.
  const limit = takesBack && from !== 'held' ? row.creditLimitNano : 0n;
  if (row.bounded && below !== true && amountNano < 0n && row[pocket] + limit < -amountNano) return false;
  await tx.update(accounts, { id: accountId }, { balanceNano: { add: amountNano }, [pocket]: { add: amountNano } });
  return true;
}

export interface ReverseArgs {
  readonly id: string;
  readonly transaction: string;
  readonly why: string;
  readonly at: number;
}

export interface ReverseResult {
  /** `known`: it was reversed before, by `reversalId`. `is-reversal`: what takes back is not taken back. `short`: as of a posting. */
  readonly outcome: 'reversed' | 'known' | 'unknown' | 'is-reversal' | 'short';
  readonly reversalId: string | null;
  readonly shortAccount: string | null;
}

/** Posts the exact mirror of a transaction, once; what was spent out of a hold comes back as available. */
export const ledgerReverse: Procedure<ReverseArgs, ReverseResult> = {
  name: 'ledger_reverse',
  args: { id: 'text', transaction: 'text', why: 'text', at: 'time' },
  result: { outcome: 'text', reversalId: 'text', shortAccount: 'text' },
  inMemory: async (tx, { id, transaction, why, at }) => {
    const original = await tx.first(transactions, { id: transaction });
    const none = { reversalId: null, shortAccount: null };
    if (!original) return { outcome: 'unknown', ...none };
    if (original.reverses !== null) return { outcome: 'is-reversal', ...none };
    const list = await tx.find(entries, { transactionId: transaction }, { orderBy: [['n', 'asc']] });
    const { outcome, shortAccount } = await tx.call(ledgerPost, {
      id,
      key: `reverse:${transaction}`,
      kind: 'reversal',
      organizationId: original.organizationId,
      reference: why,
      reverses: transaction,
      at,
      entries: list.map((e) => ({
        accountId: e.accountId,
        currency: e.currency,
        amountNano: -e.amountNano,
        from: 'available' as const,
      })),
    });
    if (outcome === 'short') return { outcome, reversalId: null, shortAccount };
    const reversal = await tx.first(transactions, { reverses: transaction });
    return { outcome: outcome === 'posted' ? 'reversed' : 'known', reversalId: reversal?.id ?? null, shortAccount };
  },
};

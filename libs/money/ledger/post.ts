import type { Procedure, Tx } from '#platform/database';
import { accounts, entries, transactions } from './ledger.table.js';

/** An entry as the function takes it; amounts are not zero. */
export interface PostedEntry {
  readonly accountId: string;
  readonly amountNano: bigint;
  readonly from: 'available' | 'held';
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

/** Writes a transaction with its entries and moves the accounts, in the order of their ids. */
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
    await tx.insert(
      entries,
      list.map(({ accountId, amountNano }, n) => ({
        transactionId: id,
        n,
        accountId,
        organizationId: accountId === `credit:${organizationId}` ? organizationId : null,
        amountNano,
      })),
    );
    for (const entry of list.toSorted((a, b) => (a.accountId < b.accountId ? -1 : 1)))
      if (!(await move(tx, entry))) return { outcome: 'short', shortAccount: entry.accountId };
    return { outcome: 'posted', shortAccount: null };
  },
};

async function move(tx: Tx, { accountId, amountNano, from }: PostedEntry): Promise<boolean> {
  const pocket = from === 'held' ? 'heldNano' : 'availableNano';
  const bounded = accountId.startsWith('credit:') && amountNano < 0n;
  const done = await tx.update(
    accounts,
    { id: accountId, ...(bounded ? { [pocket]: { gte: -amountNano } } : {}) },
    { balanceNano: { add: amountNano }, [pocket]: { add: amountNano } },
  );
  return done.length === 1;
}

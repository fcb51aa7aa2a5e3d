import type { Procedure } from '#platform/database';
import { table } from '#platform/database';
import { account, accounts, entries, transactions } from '#money/ledger';

export const grantStates = ['open', 'spent', 'expired'] as const;

/** Promotional credit: spent before everything else, and what is left at its expiry goes back to the broker. */
export interface GrantRow {
  id: string;
  organizationId: string;
  /** The same reference is given once. */
  reference: string;
  amountNano: bigint;
  spentNano: bigint;
  returnedNano: bigint;
  /** Lower ones are spent first; among equals the one that expires soonest. */
  priority: number;
  expiresAt: number | null;
  state: (typeof grantStates)[number];
  createdAt: number;
}

export const grants = table<GrantRow>(
  'credit_grants',
  {
    id: 'text',
    organizationId: 'text',
    reference: 'text',
    amountNano: 'bigint',
    spentNano: 'bigint',
    returnedNano: 'bigint',
    priority: 'int',
    expiresAt: 'time',
    state: 'text',
    createdAt: 'time',
  },
  { key: ['id'], unique: [['organizationId', 'reference']] },
);

/** How much of an organization's charges its grants have been counted against. */
export interface GrantFoldRow {
  organizationId: string;
  chargedNano: bigint;
}

export const grantFolds = table<GrantFoldRow>(
  'credit_grant_folds',
  { organizationId: 'text', chargedNano: 'bigint' },
  { key: ['organizationId'] },
);

const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/**
 * Counts what was charged since the last time against the open grants, in their order; answers how much of it they paid, and all that was ever
 * charged. The credit account's row is locked, so that no charge comes in between.
 */
export const grantsFold: Procedure<{ organizationId: string }, { paidNano: bigint; chargedNano: bigint }> = {
  name: 'grants_fold',
  args: { organizationId: 'text' },
  result: { paidNano: 'bigint', chargedNano: 'bigint' },
  inMemory: async (tx, { organizationId }) => {
    await tx.first(accounts, { id: account.credit(organizationId) }, { lock: 'update' });
    const usage = await tx.find(transactions, { organizationId, kind: 'usage' });
    const own = await tx.find(entries, {
      transactionId: { in: usage.map((t) => t.id) },
      accountId: account.credit(organizationId),
    });
    const chargedNano = own.reduce((n, e) => n - e.amountNano, 0n);
    const before = (await tx.first(grantFolds, { organizationId }))?.chargedNano ?? 0n;
    await tx.upsert(grantFolds, [{ organizationId, chargedNano }]);
    let rest = chargedNano - before;
    let paidNano = 0n;
    const open = await tx.find(grants, { organizationId, state: 'open' });
    for (const grant of open.toSorted(firstSpent)) {
      const paid = least(rest, grant.amountNano - grant.spentNano - grant.returnedNano);
      if (paid <= 0n) continue;
      rest -= paid;
      paidNano += paid;
      const spentNano = grant.spentNano + paid;
      const done = spentNano + grant.returnedNano === grant.amountNano;
      const ended = grant.returnedNano > 0n ? 'expired' : 'spent';
      await tx.update(grants, { id: grant.id }, { spentNano, state: done ? ended : 'open' });
    }
    return { paidNano, chargedNano };
  },
};

type Order = Pick<GrantRow, 'id' | 'priority' | 'expiresAt'>;

/** The order in which grants are spent. */
export function firstSpent(a: Order, b: Order): number {
  const soon = (g: Order): number => g.expiresAt ?? Number.MAX_SAFE_INTEGER;
  return a.priority - b.priority || soon(a) - soon(b) || (a.id < b.id ? -1 : 1);
}

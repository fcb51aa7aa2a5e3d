import type { Tx } from '#platform/database';
import { account, accounts, type AccountRow } from '#money/ledger';

/**
 * How much may be set aside of a credit: what is available, and what is left of the credit limit. Invoices that are not paid count
 * against the limit like what is not on an invoice yet, so that nobody owes more than the limit in all.
 */
export function creditRoom(
  credit: { readonly availableNano: bigint; readonly creditLimitNano: bigint },
  receivableNano: bigint,
): bigint {
  const unpaid = receivableNano < 0n ? -receivableNano : 0n;
  const limit = credit.creditLimitNano - unpaid;
  return credit.availableNano + (limit > 0n ? limit : 0n);
}

/** The same of a tenant's account as it stands. */
export async function creditRoomOf(tx: Tx, credit: AccountRow): Promise<bigint> {
  if (credit.creditLimitNano === 0n || credit.organizationId === null) return credit.availableNano;
  const receivable = await tx.first(accounts, { id: account.receivable(credit.organizationId) });
  return creditRoom(credit, receivable?.balanceNano ?? 0n);
}

import { newId, type IdKind } from '#kernel';
import type { Tx } from '#platform/database';
import { freshEffect } from '#money/payments';
import type { PayoutParts } from '../parts.js';
import { payoutAccounts, type PayoutAccountRow, type PayoutRow } from '../rows/payouts.table.js';
import type { StatementRow } from '../rows/statements.table.js';
import type { PayoutTerms } from '../terms.js';

export const idFor = (d: Pick<PayoutParts, 'random'>, kind: IdKind, now: number): string => newId(kind, now, d.random);

/** The organization's account at the processor, if money can be transferred to it. */
export async function readyAccount(tx: Tx, organizationId: string): Promise<PayoutAccountRow | null> {
  const row = await tx.first(payoutAccounts, { organizationId });
  return row?.state === 'ready' && row.processorId !== null ? row : null;
}

/** Waits for approval, or goes out at once where the terms say so and there is an account for it. */
export async function newPayout(
  tx: Tx,
  d: Pick<PayoutParts, 'port'>,
  { id: statementId, providerId, organizationId, payoutCents }: StatementRow,
  id: string,
  { autoPay, method }: PayoutTerms,
): Promise<PayoutRow> {
  const now = await tx.now();
  const target = method === 'transfer' && d.port !== null ? await readyAccount(tx, organizationId) : null;
  const goes = autoPay && target !== null;
  return {
    ...freshEffect(id, organizationId, now, goes ? now : null),
    state: goes ? 'intended' : 'proposed',
    providerId,
    statementId,
    amountCents: payoutCents,
    method,
    accountId: target?.processorId ?? null,
    reference: null,
    proposedAt: now,
    paidAt: null,
    reversedCents: 0n,
    reversedAt: null,
  };
}

export function wakeTransfer(tx: Tx, d: Pick<PayoutParts, 'wake'>, payoutId: string): void {
  tx.afterCommit(() => d.wake.wake('payout', payoutId));
}

import { newId, type Random } from '#kernel';
import type { Tx } from '#platform/database';
import type { EffectRow } from './payments.table.js';

/** A row for something that is to be done at the processor: nothing was sent yet, and it is due now. */
export async function newIntent(
  tx: Tx,
  random: Random,
  kind: 'payment' | 'refund' | 'setup' | 'closing',
  organizationId: string,
): Promise<EffectRow> {
  const now = await tx.now();
  return {
    id: newId(kind, now, random),
    organizationId,
    version: 1,
    wakeAt: now,
    attempt: 1,
    keyAt: null,
    failures: 0,
    spent: false,
    processorId: null,
    code: null,
    message: null,
    createdAt: now,
  };
}

import { newId, type Random } from '#kernel';
import type { Tx } from '#platform/database';
import type { EffectRow } from './payments.table.js';

/** The columns of an effect of which nothing has been sent. */
export function freshEffect(id: string, organizationId: string, now: number, wakeAt: number | null): EffectRow {
  const nothing = { keyAt: null, failures: 0, spent: false, processorId: null, code: null, message: null };
  return { id, organizationId, version: 1, wakeAt, attempt: 1, ...nothing, createdAt: now };
}

/** A row for something that is to be done at the processor: nothing was sent yet, and it is due now. */
export async function newIntent(
  tx: Tx,
  random: Random,
  kind: 'payment' | 'refund' | 'setup' | 'closing',
  organizationId: string,
): Promise<EffectRow> {
  const now = await tx.now();
  return freshEffect(newId(kind, now, random), organizationId, now, now);
}

import { DAY } from '#kernel';
import { WORKER } from '#platform/database';
import { wakeDisputed } from './events.js';
import type { CardParts } from './parts.js';
import { disputes } from './payments.table.js';

/** Longer than banks take to decide over a dispute. */
const DISPUTED_FOR_MS = 180 * DAY;

/**
 * Compares the processor's disputes with ours and lets payments look again whose dispute we do not know as it is: its event never came.
 * What they then do is what the event would have made them do. Answers how many payments those are.
 */
export async function sweepDisputes({
  port,
  store,
  wake,
}: Pick<CardParts, 'port' | 'store' | 'wake'>): Promise<number> {
  const now = await store.transaction(WORKER, (tx) => tx.now());
  const told = await port.disputesSince(now - DISPUTED_FOR_MS);
  return store.transaction(WORKER, async (tx) => {
    const rows = await tx.find(disputes, { processorId: { in: told.map((t) => t.id) } });
    const known = new Map(rows.map((row) => [row.processorId, row]));
    const missed = told.filter((t) => {
      const row = known.get(t.id);
      return row?.state !== t.state || row.withdrawnCents !== t.withdrawnCents || row.feeCents !== t.feeCents;
    });
    let woken = 0;
    for (const processorId of new Set(missed.flatMap((t) => (t.paymentId === null ? [] : [t.paymentId])))) {
      const id = await wakeDisputed(tx, processorId);
      if (id === null) continue;
      woken++;
      tx.afterCommit(() => wake.wake('payment', id));
    }
    return woken;
  });
}

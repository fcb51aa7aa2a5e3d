import { DAY } from '#kernel';
import { WORKER, type Tx } from '#platform/database';
import { wakeDisputed } from './events.js';
import type { CardParts } from './parts.js';
import { disputes, refunds } from './payments.table.js';

/** Longer than banks take to decide over a dispute. */
const DISPUTED_FOR_MS = 180 * DAY;

/** Longer than the processor repeats an event that nobody takes. */
const REFUNDED_FOR_MS = 7 * DAY;

type Parts = Pick<CardParts, 'port' | 'store' | 'wake'>;

/**
 * Compares the processor's disputes with ours and lets payments look again whose dispute we do not know as it is: its event never came.
 * What they then do is what the event would have made them do. Answers how many payments those are.
 */
export async function sweepDisputes({ port, store, wake }: Parts): Promise<number> {
  const now = await store.transaction(WORKER, (tx) => tx.now());
  const told = await port.disputesSince(now - DISPUTED_FOR_MS);
  return store.transaction(WORKER, async (tx) => {
    const rows = await tx.find(disputes, { processorId: { in: told.map((t) => t.id) } });
    const known = new Map(rows.map((row) => [row.processorId, row]));
    const missed = told.filter((t) => {
      const row = known.get(t.id);
      return row?.state !== t.state || row.withdrawnCents !== t.withdrawnCents || row.feeCents !== t.feeCents;
    });
    return wakeAll(tx, wake, missed);
  });
}

/** The same for refunds that were made in the processor's own pages and that we have not booked. */
export async function sweepRefunds({ port, store, wake }: Parts): Promise<number> {
  const now = await store.transaction(WORKER, (tx) => tx.now());
  const told = (await port.refundsSince(now - REFUNDED_FOR_MS)).filter((t) => t.state !== 'failed');
  return store.transaction(WORKER, async (tx) => {
    const rows = await tx.find(refunds, { processorId: { in: told.map((t) => t.id) } });
    const ours = await tx.find(refunds, { id: { in: told.flatMap((t) => t.reference ?? []) } });
    const known = new Set([...rows.map((r) => r.processorId), ...ours.map((r) => r.id)]);
    const missed = told.filter((t) => !known.has(t.id) && (t.reference === null || !known.has(t.reference)));
    return wakeAll(tx, wake, missed);
  });
}

async function wakeAll(
  tx: Tx,
  wake: Parts['wake'],
  missed: readonly { readonly paymentId: string | null }[],
): Promise<number> {
  let woken = 0;
  for (const processorId of new Set(missed.flatMap((t) => t.paymentId ?? []))) {
    const id = await wakeDisputed(tx, processorId);
    if (id === null) continue;
    woken++;
    tx.afterCommit(() => wake.wake('payment', id));
  }
  return woken;
}

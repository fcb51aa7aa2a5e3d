import { DAY } from '#kernel';
import type { PaymentPort } from '#contracts';
import { WORKER } from '#platform/database';
import type { PayoutParts } from './parts.js';
import { payouts } from './rows/payouts.table.js';

/** For how long after a transfer it is looked at: a bank that is to pay it out has answered by then. */
const LOOKED_AT_MS = 180 * DAY;

/**
 * Finds transfers of which more came back than we have booked: somebody reversed them in the processor's own pages, and its event never
 * came. Their payouts look again and book it as the event would have made them do. Answers how many those are.
 */
export async function sweepReversals({
  port,
  store,
  wake,
}: Pick<PayoutParts, 'store' | 'wake'> & { port: Pick<PaymentPort, 'transfersSince'> }): Promise<number> {
  const now = await store.transaction(WORKER, (tx) => tx.now());
  const told = (await port.transfersSince(now - LOOKED_AT_MS)).filter((t) => t.reversedCents > 0n);
  if (told.length === 0) return 0;
  return store.transaction(WORKER, async (tx) => {
    const backCents = new Map(told.map((t) => [t.id, t.reversedCents]));
    const rows = await tx.find(payouts, { processorId: { in: [...backCents.keys()] }, state: 'paid' });
    let woken = 0;
    for (const { id, processorId, reversedCents } of rows) {
      if ((backCents.get(processorId ?? '') ?? 0n) <= reversedCents) continue;
      await tx.update(payouts, { id, state: 'paid' }, { wakeAt: now, version: { add: 1 } });
      tx.afterCommit(() => wake.wake('payout', id));
      woken++;
    }
    return woken;
  });
}

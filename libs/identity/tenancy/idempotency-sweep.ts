import { DAY } from '#kernel';
import { WORKER, type Store } from '#platform/database';
import { idempotencyKeys } from './tables.js';

/** How long the answer to a creating request is kept for its repetition. */
export const IDEMPOTENCY_KEPT_MS = DAY;

/** Deletes answers that have had their day; returns how many. For the worker, now and then. */
export function forgetOldIdempotencyKeys(store: Store): Promise<number> {
  return store.transaction(WORKER, async (tx) =>
    tx.remove(idempotencyKeys, { createdAt: { lte: (await tx.now()) - IDEMPOTENCY_KEPT_MS } }),
  );
}

import { DAY } from '#kernel';
import { WORKER, type Procedure, type Store } from '#platform/database';
import { EVENT_FUTURE_MS, EVENT_PAST_MS } from './event.js';
import { usageEvents, usageUnattributed } from './events.table.js';

/** Beyond the window in which an event is taken, its (source, id) is remembered for a day more. */
export const EVENTS_KEPT_MS = EVENT_PAST_MS + EVENT_FUTURE_MS + DAY;
const FORGOTTEN_AT_ONCE = 20_000;

const usageEventsForget: Procedure<{ before: number; most: number }, { forgotten: number }> = {
  name: 'usage_events_forget',
  args: { before: 'time', most: 'int' },
  result: { forgotten: 'int' },
  inMemory: async (tx, { before }) => ({ forgotten: await tx.remove(usageEvents, { receivedAt: { lt: before } }) }),
};

const usageUnattributedCount: Procedure<{ most: number }, { waiting: number }> = {
  name: 'usage_unattributed_count',
  args: { most: 'int' },
  result: { waiting: 'int' },
  inMemory: async (tx, { most }) => ({ waiting: (await tx.find(usageUnattributed, {}, { limit: most })).length }),
};

/** Forgets the ids that no event in the window can repeat; many steps of one transaction each, so that nobody waits for it. */
export async function forgetUsageEvents(store: Store): Promise<number> {
  for (let all = 0; ;) {
    const { forgotten } = await store.transaction(WORKER, async (tx) =>
      tx.call(usageEventsForget, { before: (await tx.now()) - EVENTS_KEPT_MS, most: FORGOTTEN_AT_ONCE }),
    );
    all += forgotten;
    if (forgotten < FORGOTTEN_AT_ONCE) return all;
  }
}

/** How many events of all tenants wait for somebody to say where they belong; no more than a million are counted. */
export async function unattributedWaiting(store: Store): Promise<number> {
  return (await store.transaction(WORKER, (tx) => tx.call(usageUnattributedCount, { most: 1_000_000 }))).waiting;
}

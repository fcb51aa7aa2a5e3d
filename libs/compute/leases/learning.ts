import { StaleVersion } from '#kernel';
import { WORKER, type Store, type Tx } from '#platform/database';
import { foldOutcomes, noteOutcome, tellThrough } from '#market/reliability';
import { leases } from './leases.table.js';
import { tellLosses } from './losses.js';
import { outcomeOfHours } from './outcomes.js';

const HOURS = 'lease-hours';

/**
 * Brings what leases lived through into the evidence of their providers: the hours that running ones completed since the
 * last look (else only short leases would be heard of), those that were lost together, then all outcomes that wait. Safe beside itself: who comes second
 * finds nothing.
 */
export async function learnFromLeases(store: Store): Promise<number> {
  try {
    await store.transaction(WORKER, tellHours);
    await store.transaction(WORKER, tellLosses);
    let folded = 0;
    for (;;) {
      const n = await store.transaction(WORKER, foldOutcomes);
      if (n === 0) return folded;
      folded += n;
    }
  } catch (error) {
    if (error instanceof StaleVersion) return 0;
    throw error;
  }
}

async function tellHours(tx: Tx): Promise<void> {
  const now = await tx.now();
  const through = await tellThrough(tx, HOURS, now);
  if (through === null) return;
  for (const lease of await tx.find(leases, { state: { in: ['ready', 'draining'] } })) {
    const outcome = outcomeOfHours(lease, through, now);
    if (outcome) await noteOutcome(tx, outcome);
  }
}

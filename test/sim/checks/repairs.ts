import { attemptTag, leaseTag } from '#adapters/sandbox-cloud';
import type { History } from '../history.js';

/**
 * What can leave a machine behind that no row wants. Not in here: crashes, stalls, freezes and answers that were lost. Whoever
 * takes over finds the machine in the vendor's list; only a vendor who shows it too late, twice, or not at all leaves one.
 */
const LEAVES_A_MACHINE = new Set([
  'effect-late',
  'double-create',
  'get-404-then-200',
  'get-stale',
  'list-empty-by-mistake',
  'list-truncated',
  'list-partial',
]);

/** A safety net may act only for what an injected fault has befallen, itself or what it was made for (invariant 13). */
export function explainsRepair(h: History, net: string, id: string): boolean {
  if (h.restored?.explains(net, id)) return true;
  if (net === 'direct-reconcile') return h.causes.kinds([id]).length > 0;
  const tags = h.cloud.machine(id)?.request.tags ?? {};
  const about = [id, tags[attemptTag] ?? '', tags[leaseTag] ?? ''];
  return h.causes.kinds(about).some((kind) => LEAVES_A_MACHINE.has(kind));
}

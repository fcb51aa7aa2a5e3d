import { attemptTag, leaseTag } from '#adapters/sandbox-cloud';
import { leaseAttempts } from '#compute/leases';
import type { History } from '../history.js';

const ALIVE = new Set(['pending', 'provisioning', 'running']);

/** At most one living machine for a lease, but for those of superseded attempts (watched) and what the vendor doubled by itself. */
export function checkMachines(h: History): void {
  const byLease = new Map<string, string[]>();
  for (const machine of h.cloud.machines()) {
    if (!ALIVE.has(machine.state)) continue;
    const { tags } = machine.request;
    const lease = tags[leaseTag] ?? 'none';
    const attempts = byLease.get(lease);
    if (attempts) attempts.push(tags[attemptTag] ?? 'none');
    else byLease.set(lease, [tags[attemptTag] ?? 'none']);
  }
  for (const [lease, attempts] of byLease) {
    if (attempts.length < 2) continue;
    const rows = new Map(h.store.rows(leaseAttempts).map((a) => [a.id, a]));
    // What a restored database does not know runs on beside what it rents anew.
    const here = h.restored?.happened ? attempts.filter((id) => rows.has(id)) : attempts;
    const live = here.filter((id) => rows.get(id)?.state !== 'superseded');
    const distinct = new Set(live);
    if (distinct.size > 1)
      h.failures.push(`lease ${lease} has ${live.length} machines, of attempts ${[...distinct].join(', ')}`);
    for (const attempt of distinct) {
      const twins = live.filter((a) => a === attempt).length;
      if (twins > 1 && !h.causes.kinds([attempt]).includes('double-create'))
        h.failures.push(`attempt ${attempt} has ${twins} machines, and the vendor doubled nothing`);
    }
  }
}

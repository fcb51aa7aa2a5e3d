import { WORKER, type Store } from '#platform/database';
import { Holds, type Renewal } from '#money/quotas';
import type { LeaseTimes } from './decide.js';
import { leases, type LeaseRow } from './leases.table.js';

/** What `perHour` burns in `ms`, rounded up. */
export function burn(perHour: bigint, ms: number): bigint {
  return (perHour * BigInt(Math.ceil(ms)) + 3_599_999n) / 3_600_000n;
}

type Clocked = Pick<LeaseRow, 'chargePerHour' | 'chargedThrough'>;
type Times = Pick<LeaseTimes, 'holdAheadMs' | 'renewEveryMs' | 'graceMs' | 'meterEveryMs' | 'checkpointMs' | 'pollMs'>;

/**
 * What a lease's hold must pay for: the time that has run and is not metered yet, then a short stretch ahead. Of time that ran beyond the
 * hold the tenant pays for one renewal and the grace at most: whatever is more comes from an outage and is the broker's.
 */
export function renewalFor({ chargePerHour, chargedThrough }: Clocked, nowMs: number, times: Times): Renewal {
  const pastMs = chargedThrough === null ? 0 : Math.max(0, nowMs - chargedThrough);
  return {
    // A charge is a difference of roundings and may be a nano-dollar more than the time costs.
    pastNano: pastMs === 0 ? 0n : burn(chargePerHour, pastMs) + 1n,
    aheadNano: burn(chargePerHour, times.holdAheadMs),
    mostNano: burn(chargePerHour, times.renewEveryMs + times.graceMs),
  };
}

/**
 * When a lease that cannot be renewed much longer stops; null while hold and parent together last beyond the next look and a grace.
 * The grace ends before the money does, so that nobody pays for it but the tenant's own hold.
 */
export function graceUntil(
  lease: Pick<LeaseRow, 'chargePerHour' | 'graceUntil'>,
  leftNano: bigint,
  nowMs: number,
  times: Times,
): number | null {
  if (lease.chargePerHour <= 0n) return null;
  const coveredMs = Number((leftNano * 3_600_000n) / lease.chargePerHour);
  if (coveredMs >= times.graceMs + times.meterEveryMs) return null;
  const end = nowMs + Math.max(0, Math.min(times.graceMs, coveredMs - 2 * times.pollMs));
  return lease.graceUntil === null ? end : Math.min(lease.graceUntil, end);
}

/** Whether the work on a lease should save what it has: its grace is about to end. */
export function checkpointDue(lease: Pick<LeaseRow, 'graceUntil'>, nowMs: number, times: Times): boolean {
  return lease.graceUntil !== null && nowMs >= lease.graceUntil - times.checkpointMs;
}

const RENEWED_AT_ONCE = 2_000;

/** Renews the hold of every running lease, all of a project in one call; returns how many there were. Harmless to repeat. */
export async function renewHolds(d: { store: Store; holds: Holds; times: Times }): Promise<number> {
  const byProject = new Map<string, LeaseRow[]>();
  const { running, nowMs } = await d.store.transaction(WORKER, async (tx) => {
    const running = await tx.find(leases, { state: { in: ['ready', 'draining'] }, want: 'run' });
    return { running, nowMs: await tx.now() };
  });
  // An idle lease pays from a hold of its own that covers all the time it is kept.
  const renewable = running.filter((l) => l.holdId !== null && l.jobId !== null);
  for (const lease of renewable) {
    const own = byProject.get(lease.projectId);
    if (own) own.push(lease);
    else byProject.set(lease.projectId, [lease]);
  }
  for (const own of byProject.values())
    for (let i = 0; i < own.length; i += RENEWED_AT_ONCE) {
      const part = own.slice(i, i + RENEWED_AT_ONCE);
      const renewals = Object.fromEntries(part.map((l) => [l.holdId, renewalFor(l, nowMs, d.times)] as const));
      await d.store.transaction(WORKER, (tx) => d.holds.renewMany(tx, renewals));
    }
  return renewable.length;
}

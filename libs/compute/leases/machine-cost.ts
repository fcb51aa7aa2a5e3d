import { chargeBetween } from '#kernel';
import type { Tx } from '#platform/database';
import { holds } from '#money/quotas';
import { leases, type LeaseRow } from './leases.table.js';

/** What a vendor has earned with a machine up to now; of one that has ended, what it was billed. */
export function machineCost(
  {
    costPerHour,
    reservedUntil,
    bootedAt,
    costThrough,
    endedAt,
  }: Pick<LeaseRow, 'costPerHour' | 'reservedUntil' | 'bootedAt' | 'costThrough' | 'endedAt'>,
  nowMs: number,
): bigint {
  if (bootedAt === null) return 0n;
  const fromMs = costFrom({ bootedAt, reservedUntil });
  return chargeBetween(costPerHour, fromMs, fromMs, Math.max(fromMs, costThrough ?? bootedAt, endedAt ?? nowMs));
}

/** From when a machine costs its price: from its boot, or from when its reservation is over. */
export function costFrom(of: { readonly bootedAt: number; readonly reservedUntil: number | null }): number {
  return Math.max(of.bootedAt, of.reservedUntil ?? of.bootedAt);
}

/**
 * What the machines have cost that were rented out of this hold: each has a part of it. Only for work that no warm machine does: a
 * machine that two jobs had would count whole for each.
 */
export async function machineCostOf(tx: Tx, jobHoldId: string, nowMs: number): Promise<bigint> {
  const parts = await tx.find(holds, { parentId: jobHoldId });
  const ids = parts.flatMap((part) => (part.leaseId === null ? [] : [part.leaseId]));
  if (ids.length === 0) return 0n;
  const rented = await tx.find(leases, { id: { in: ids } });
  return rented.reduce((sum, lease) => sum + machineCost(lease, nowMs), 0n);
}

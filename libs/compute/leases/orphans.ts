import { VendorError, type VendorMachine } from '#contracts';
import { WORKER, type Store } from '#platform/database';
import { Vendors } from '#compute/providers';
import { isAlive, type LeaseTimes } from './decide.js';
import { leaseAttempts, leases } from './leases.table.js';

export interface OrphanReport {
  repaired(net: string, kind: string, id: string): void;
  alarm(message: string): void;
}

/**
 * Compares a vendor's list with our rows, for this installation's own machines only (invariant 3): a machine that no
 * row wants is terminated after a grace period; one of a superseded attempt at sight. What is in flight is left alone.
 */
export async function sweepOrphans(
  deps: { store: Store; vendors: Vendors; installId: string; times: LeaseTimes; report: OrphanReport },
  providerId: string,
): Promise<{ seen: number; terminated: string[] }> {
  const { store, vendors, installId, times, report } = deps;
  const { port } = vendors.of(providerId);
  const askedAt = await store.transaction(WORKER, (tx) => tx.now());
  const machines: VendorMachine[] = [];
  try {
    for await (const machine of port.list(installId)) {
      // Not every vendor filters by tag; and what is stopping already is going.
      if (machine.installId === installId && isAlive(machine) && machine.state !== 'stopping') machines.push(machine);
    }
  } catch (error) {
    if (!(error instanceof VendorError)) throw error;
    return { seen: 0, terminated: [] };
  }
  if (machines.length === 0) return { seen: 0, terminated: [] };
  const ids = machines.map((m) => m.vendorId);
  const attemptIds = machines.flatMap((m) => (m.attemptId === null ? [] : [m.attemptId]));
  // The list may be as old as the vendor's window when it is asked for, and older when it arrives: whose lease ended since
  // then may be shown alive and be gone.
  const listOfMs = askedAt - port.describe().consistencyWindowMs;
  const { now, wanted, attempts } = await store.transaction(WORKER, async (tx) => ({
    now: await tx.now(),
    wanted: new Set(
      (await tx.find(leases, { vendorId: { in: ids } }))
        .filter((l) => l.endedAt === null || l.endedAt >= listOfMs)
        .map((l) => l.vendorId),
    ),
    attempts: new Map((await tx.find(leaseAttempts, { id: { in: attemptIds } })).map((a) => [a.id, a])),
  }));
  const terminated: string[] = [];
  for (const machine of machines) {
    if (wanted.has(machine.vendorId)) continue;
    const attempt = machine.attemptId === null ? undefined : attempts.get(machine.attemptId);
    if (attempt && (attempt.state === 'calling' || attempt.state === 'unknown')) continue;
    const atSight = attempt?.state === 'superseded';
    // A machine without an attempt is nobody's whatever its age: attempts are committed before the call.
    const ageMs = now - (machine.createdAtMs ?? attempt?.intentAt ?? 0);
    if (!atSight && ageMs < times.orphanGraceMs) continue;
    try {
      await port.terminate(machine.vendorId);
      terminated.push(machine.vendorId);
      report.repaired(atSight ? 'superseded-machine' : 'orphan', 'machine', machine.vendorId);
    } catch (error) {
      if (!(error instanceof VendorError)) throw error;
      report.alarm(
        `machine ${machine.vendorId} of ${providerId} belongs to nobody and could not be terminated: ${error.message}`,
      );
    }
  }
  return { seen: machines.length, terminated };
}

import type { Tx } from '#platform/database';
import { leaseAttempts, leases, type LeaseAttemptRow, type LeaseRow } from './leases.table.js';

/** A machine that a lease had at its vendor, from the call that asked for it until the lease's end (null: not yet). */
export interface MachineOfLease {
  readonly leaseId: string;
  readonly machineId: string;
  readonly fromMs: number;
  readonly toMs: number | null;
}

/** Who had a machine; those of attempts that failed or were superseded belong to their lease too. */
export const vendorMachines = {
  async ofMachines(tx: Tx, providerId: string, machineIds: readonly string[]): Promise<MachineOfLease[]> {
    const attempts = await tx.find(leaseAttempts, { providerId, vendorId: { in: machineIds } });
    const of = await tx.find(leases, { id: { in: [...new Set(attempts.map((a) => a.leaseId))] } });
    const named = await tx.find(leases, { providerId, vendorId: { in: machineIds } });
    return machinesOf([...of, ...named], attempts);
  },

  async ofLeases(tx: Tx, leaseIds: readonly string[]): Promise<MachineOfLease[]> {
    const of = await tx.find(leases, { id: { in: leaseIds } });
    return machinesOf(of, await tx.find(leaseAttempts, { leaseId: { in: leaseIds } }));
  },
};

function machinesOf(of: readonly LeaseRow[], attempts: readonly LeaseAttemptRow[]): MachineOfLease[] {
  const found = new Map<string, MachineOfLease>();
  for (const { id, vendorId, requestedAt, endedAt } of of) {
    const own = attempts.filter((a) => a.leaseId === id).map((a) => ({ machineId: a.vendorId, fromMs: a.intentAt }));
    // The lease's own name of its machine counts where no attempt has it.
    for (const { machineId, fromMs } of [{ machineId: vendorId, fromMs: requestedAt }, ...own])
      if (machineId !== null) found.set(`${id} ${machineId}`, { leaseId: id, machineId, fromMs, toMs: endedAt });
  }
  return [...found.values()];
}

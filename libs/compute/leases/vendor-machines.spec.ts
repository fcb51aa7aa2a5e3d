import { describe, expect, it } from '@jest/globals';
import { HOUR, ManualClock } from '#kernel';
import { MemoryStore, WORKER } from '#platform/database';
import { attemptWith, leaseWith, NOW } from '#testing';
import { leaseAttempts, leases } from './leases.table.js';
import { vendorMachines } from './vendor-machines.js';

describe('who had a machine', () => {
  it('is the lease, for the machines of all its attempts, from the call on', async () => {
    const store = new MemoryStore(new ManualClock(NOW));
    await store.transaction(WORKER, async (tx) => {
      await tx.insert(leases, [
        leaseWith({ vendorId: 'vm-2', endedAt: NOW + HOUR }),
        leaseWith({ id: 'lease_2', vendorId: 'vm-3' }),
        leaseWith({ id: 'lease_3', providerId: 'prv_2', vendorId: 'vm-1' }),
      ]);
      await tx.insert(leaseAttempts, [
        attemptWith({ vendorId: 'vm-1', state: 'superseded' }),
        attemptWith({ id: 'att_2', n: 2, vendorId: 'vm-2', intentAt: NOW + 60_000 }),
        attemptWith({ id: 'att_3', n: 3, vendorId: null }),
      ]);
      const first = { leaseId: 'lease_1', machineId: 'vm-1', fromMs: NOW, toMs: NOW + HOUR };
      const second = { leaseId: 'lease_1', machineId: 'vm-2', fromMs: NOW + 60_000, toMs: NOW + HOUR };
      const third = { leaseId: 'lease_2', machineId: 'vm-3', fromMs: NOW, toMs: null };
      const byId = (list: readonly { machineId: string }[]) =>
        list.toSorted((a, b) => (a.machineId < b.machineId ? -1 : 1));
      expect(await vendorMachines.ofMachines(tx, 'prv_1', ['vm-1'])).toContainEqual(first);
      const all = await vendorMachines.ofMachines(tx, 'prv_1', ['vm-1', 'vm-2', 'vm-3', 'vm-4']);
      expect(byId(all)).toEqual([first, second, third]);
      expect(byId(await vendorMachines.ofLeases(tx, ['lease_1', 'lease_2']))).toEqual([first, second, third]);
      expect(await vendorMachines.ofMachines(tx, 'prv_1', ['vm-4'])).toEqual([]);
    });
  });
});

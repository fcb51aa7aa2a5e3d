import { WORKER, type Store } from '#platform/database';
import { audit, type Author } from '#identity/audit';
import { orphans, sweepPauses, type OrphanRow, type SweepPauseRow } from './orphans.table.js';

export interface OrphanStanding {
  /** While it is set, orphans are reported and not terminated. */
  readonly pause: SweepPauseRow | null;
  readonly orphans: readonly OrphanRow[];
}

/** What an administrator sees and does about machines that nobody wants. */
export class Orphans {
  constructor(private readonly store: Store) {}

  standing(): Promise<OrphanStanding> {
    return this.store.transaction(WORKER, async (tx) => ({
      pause: await tx.first(sweepPauses, { singleton: true }),
      orphans: await tx.find(orphans, {}, { orderBy: [['firstSeenAt', 'asc']] }),
    }));
  }

  /** Lets the next sweep terminate these, paused or not; what is not reported is left out. Answers those that it now may. */
  confirm(by: Author, machines: readonly { providerId: string; vendorId: string }[]): Promise<OrphanRow[]> {
    return this.store.transaction(WORKER, async (tx) => {
      const confirmedAt = await tx.now();
      const out: OrphanRow[] = [];
      for (const { providerId, vendorId } of machines) {
        const where = { providerId, vendorId, confirmedAt: { isNull: true } };
        const [row] = await tx.update(orphans, where, { confirmedAt, confirmedBy: by.keyId });
        if (!row) continue;
        out.push(row);
        await audit(tx, { by, organizationId: null, action: 'orphan.confirm', subject: vendorId, after: row });
      }
      return out;
    });
  }

  /** From now on orphans are only reported. */
  pause(by: Author, reason: string): Promise<void> {
    return this.store.transaction(WORKER, async (tx) => {
      const after = { singleton: true, since: await tx.now(), reason, byKeyId: by.keyId };
      const [begun] = await tx.insertNew(sweepPauses, [after]);
      if (begun) await audit(tx, { by, organizationId: null, action: 'orphan-sweep.pause', subject: 'orphans', after });
    });
  }

  /** Orphans are terminated again; those that prove lost records wait for their confirmation all the same and pause it anew. */
  resume(by: Author): Promise<void> {
    return this.store.transaction(WORKER, async (tx) => {
      const before = await tx.first(sweepPauses, { singleton: true });
      if (!before) return;
      await tx.remove(sweepPauses, { singleton: true });
      await audit(tx, { by, organizationId: null, action: 'orphan-sweep.resume', subject: 'orphans', before });
    });
  }
}

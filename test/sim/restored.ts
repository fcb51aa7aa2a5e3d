import { leaseAttempts } from '#compute/leases';
import { orphans, Orphans, sweepPauses } from '#compute/orphans';
import { BROKER } from '#identity/audit';
import type { StoreBackup } from '#platform/database';
import { attemptTag } from '#adapters/sandbox-cloud';
import type { History } from './history.js';

/** A backup of the database is taken, and put back later; nothing else goes back in time. */
export interface Restore {
  readonly backupAtMs: number;
  readonly atMs: number;
}

/** After so long an administrator looks, and then every so often. */
const LOOKS_AFTER_MS = 240_000;
const LOOKS_EVERY_MS = 60_000;

/** The restored database's part of a history: who is lost, and whether they are left alone until an administrator says so. */
export class Restored {
  private backup: StoreBackup | null = null;
  happened = false;

  constructor(
    private readonly history: History,
    { backupAtMs, atMs }: Restore,
  ) {
    this.between(backupAtMs, 'backup', () => (this.backup = history.store.backup()));
    this.between(atMs, 'restore', () => this.restore());
  }

  /** Done as soon as no transaction is under way. */
  private between(afterMs: number, label: string, work: () => void): void {
    const { history } = this;
    history.kernel.after(afterMs, label, () => {
      if (history.openTransactions > 0) this.between(1, label, work);
      else work();
    });
  }

  private restore(): void {
    const { history } = this;
    if (this.backup) history.store.restore(this.backup);
    this.happened = true;
    history.begunAnew();
    if (this.lost().length > 0) history.reached.saw('machines that a restored database does not know');
    history.kernel.after(LOOKS_AFTER_MS, 'administrator looks', () => this.look());
  }

  /** Machines that run and of whose attempt the database knows nothing. */
  private lost(): string[] {
    const known = new Set(this.history.store.rows(leaseAttempts).map((a) => a.id));
    return this.history.cloud
      .machines()
      .filter((m) => m.endedAtMs === null && !known.has(m.request.tags[attemptTag] ?? ''))
      .map((m) => m.id);
  }

  private look(): void {
    const { history } = this;
    const reported = new Set(history.store.rows(orphans).map((o) => o.vendorId));
    const silent = this.lost().find((id) => !reported.has(id));
    if (silent !== undefined) history.failures.push(`machine ${silent} is lost, and nobody reports it`);
    if (history.store.rows(sweepPauses).length > 0) history.reached.saw('orphan sweep paused after a restore');
    history.disturb(0);
    const admin = new Orphans(history.store);
    void admin
      .standing()
      .then(({ orphans: machines }) => admin.confirm(BROKER, machines))
      .then(() => admin.resume(BROKER))
      .catch((error: unknown) => history.threw('administrator', error))
      .then(() => history.kernel.after(LOOKS_EVERY_MS, 'administrator looks', () => this.look()));
  }

  /** A safety net may end what the restored rows want no more, and what an administrator has confirmed. */
  explains(net: string, id: string): boolean {
    if (!this.happened) return false;
    if (net === 'direct-reconcile') return true;
    const { store } = this.history;
    return !this.lost().includes(id) || store.rows(orphans).some((o) => o.vendorId === id && o.confirmedAt !== null);
  }
}

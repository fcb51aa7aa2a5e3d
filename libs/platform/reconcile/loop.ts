import { StaleVersion } from '#kernel';
import { UniqueViolation, WORKER, type Store, type Tx } from '#platform/database';

/** Pokes somebody to look at a row; may lose, double or reorder what it is told (invariant 1). */
export interface WakeQueue {
  wake(kind: string, id: string): Promise<void>;
}

/** One kind of row and what drives it. `step` does one action and says whether there may be another at once. */
export interface Reconciler {
  readonly kind: string;
  /** Rows whose wake time has come, oldest first. */
  due(tx: Tx, nowMs: number, limit: number): Promise<{ id: string; wakeAt: number | null }[]>;
  step(id: string): Promise<'again' | 'rest'>;
}

export interface LoopReport {
  /** A safety net had to act (invariant 13). */
  repaired(net: string, kind: string, id: string): void;
  failed(kind: string, id: string, error: unknown): void;
}

const MAX_STEPS = 40;

/** A busy queue is not a broken one: only what is overdue for longer is driven past it. */
const PAST_THE_QUEUE_AFTER_MS = 5_000;

/** A row whose step fails is left alone by the sweep for a second, then for twice as long each time, up to this. */
const LONGEST_BACK_OFF_MS = 30_000;

/**
 * Level-triggered reconciling. Running a row twice, late or on two workers at once is harmless by construction:
 * every change is guarded by the row's version.
 */
export class ReconcileLoop {
  private readonly byKind: Map<string, Reconciler>;
  private readonly running = new Map<string, Promise<void>>();
  private readonly again = new Set<string>();
  /** Rows seen due and when first, per due time: what is due for two sweeps is reconciled past the queue. */
  private readonly overdue = new Map<string, { wakeAt: number | null; sweeps: number }>();
  /** Rows whose last run here failed, how often in a row, and (known from the next sweep on) until when the sweep leaves them alone. */
  private readonly failing = new Map<
    string,
    { times: number; rests: { wakeAt: number | null; untilMs: number } | null }
  >();

  constructor(
    private readonly store: Store,
    private readonly queue: WakeQueue,
    reconcilers: readonly Reconciler[],
    private readonly report: LoopReport,
    private readonly pastTheQueueAfterMs = PAST_THE_QUEUE_AFTER_MS,
  ) {
    this.byKind = new Map(reconcilers.map((r) => [r.kind, r]));
    if (this.byKind.size !== reconcilers.length) throw new Error('two reconcilers for one kind');
  }

  /** Drives one row until it rests. A call that comes while the row is being driven here makes it run once more. */
  async reconcile(kind: string, id: string): Promise<void> {
    const key = `${kind}:${id}`;
    const current = this.running.get(key);
    if (current) {
      this.again.add(key);
      return current;
    }
    const run = (async () => {
      try {
        do {
          this.again.delete(key);
          await this.drive(kind, id);
        } while (this.again.has(key));
      } finally {
        // In the same turn as the last look at `again`: a call that came in between would be lost.
        this.running.delete(key);
      }
    })();
    this.running.set(key, run);
    return run;
  }

  private async drive(kind: string, id: string): Promise<void> {
    const reconciler = this.byKind.get(kind);
    if (!reconciler) throw new Error(`no reconciler for ${kind}`);
    const key = `${kind}:${id}`;
    for (let n = 0, stale = 0; n < MAX_STEPS; n++) {
      try {
        const next = await reconciler.step(id);
        this.failing.delete(key);
        if (next === 'rest') return;
      } catch (error) {
        // Both say that somebody else was first: look at the row anew.
        if ((error instanceof StaleVersion || error instanceof UniqueViolation) && stale++ < 5) continue;
        if (error instanceof StaleVersion) return;
        this.failing.set(key, { times: (this.failing.get(key)?.times ?? 0) + 1, rests: null });
        this.report.failed(kind, id, error);
        return;
      }
    }
    // Not at rest after so many steps: let others have a turn; the sweeper brings it back while its wake time stands.
    await this.queue.wake(kind, id).catch(() => undefined);
  }

  /**
   * Re-wakes what is due. A row that was due in the last sweep too, with the same wake time, is driven directly:
   * what the queue does with a wake-up, or fails to do, must not put a row to sleep for ever. That counts as a repair when it
   * does what the queue did not; a step that fails here too says nothing about the queue, and is tried again later and later.
   */
  async sweep(limit = 500): Promise<number> {
    let found = 0;
    const seen = new Set<string>();
    for (const reconciler of this.byKind.values()) {
      const { kind } = reconciler;
      // By the database's clock, as wake times are.
      const { now, due } = await this.store.transaction(WORKER, async (tx) => {
        const now = await tx.now();
        return { now, due: await reconciler.due(tx, now, limit) };
      });
      for (const { id, wakeAt } of due) {
        found++;
        const key = `${kind}:${id}`;
        seen.add(key);
        if (this.backsOff(key, wakeAt, now)) {
          this.overdue.delete(key);
          continue;
        }
        const before = this.overdue.get(key);
        const sweeps = before && before.wakeAt === wakeAt ? before.sweeps + 1 : 1;
        this.overdue.set(key, { wakeAt, sweeps });
        if (sweeps < 3 || now - (wakeAt ?? now) < this.pastTheQueueAfterMs)
          await this.queue.wake(kind, id).catch(() => undefined);
        else if (!this.running.has(key)) {
          await this.reconcile(kind, id);
          if (!this.failing.has(key)) this.report.repaired('direct-reconcile', kind, id);
        }
      }
    }
    for (const known of [this.overdue, this.failing])
      for (const key of known.keys()) if (!seen.has(key)) known.delete(key);
    return found;
  }

  /** Whether the sweep leaves this row alone because its step fails. After that the queue comes first again, as for any row. */
  private backsOff(key: string, wakeAt: number | null, now: number): boolean {
    const failed = this.failing.get(key);
    if (!failed) return false;
    failed.rests ??= { wakeAt, untilMs: now + Math.min(LONGEST_BACK_OFF_MS, 1_000 * 2 ** (failed.times - 1)) };
    // Somebody has moved the row since: what failed may be past.
    if (failed.rests.wakeAt !== wakeAt) this.failing.delete(key);
    return failed.rests.wakeAt === wakeAt && now < failed.rests.untilMs;
  }
}

/** A row that somebody should look at. */
export interface WokenRow {
  readonly kind: string;
  readonly id: string;
}

/**
 * Pokes somebody to look at a row. It may lose, double or reorder what it is told: the truth is the row's `wake_at`,
 * and the sweep finds what was lost (invariant 1). It never throws for want of a queue.
 */
export interface WakeQueue {
  wake(kind: string, id: string): Promise<void>;
}

/** The same promises in memory, in an order that depends on the calls alone; for the simulator and specs. */
export class MemoryWakeQueue implements WakeQueue {
  private readonly waiting = new Map<string, WokenRow>();
  private readonly running = new Map<string, { again: boolean }>();

  async wake(kind: string, id: string): Promise<void> {
    this.enqueue({ kind, id });
  }

  /** The next row to drive, or null. Until `finished` no other take gives this row. */
  take(): WokenRow | null {
    const next = this.waiting.entries().next();
    if (next.done) return null;
    const [key, row] = next.value;
    this.waiting.delete(key);
    this.running.set(key, { again: false });
    return row;
  }

  /** A wake-up that came while the row was driven is there again. */
  finished(kind: string, id: string): void {
    const key = `${kind}:${id}`;
    const run = this.running.get(key);
    this.running.delete(key);
    if (run?.again) this.waiting.set(key, { kind, id });
  }

  /** Loses everything, as a queue may. */
  empty(): void {
    this.waiting.clear();
    for (const run of this.running.values()) run.again = false;
  }

  /** Drives all that is due now, one after the other; answers how many runs it took. */
  async runDue(drive: (kind: string, id: string) => Promise<void>): Promise<number> {
    let runs = 0;
    for (let row = this.take(); row !== null; row = this.take()) {
      runs++;
      try {
        await drive(row.kind, row.id);
      } finally {
        this.finished(row.kind, row.id);
      }
    }
    return runs;
  }

  private enqueue(row: WokenRow): void {
    const key = `${row.kind}:${row.id}`;
    const run = this.running.get(key);
    if (run) run.again = true;
    else this.waiting.set(key, row);
  }
}

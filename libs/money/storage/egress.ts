import { newId, type Clock, type Random } from '#kernel';
import { WORKER, type Store } from '#platform/database';
import { egressCounts, type EgressCountRow } from './storage.table.js';

/** Whose file it is. */
export interface Owned {
  readonly organizationId: string;
  readonly projectId: string;
}

/**
 * Counts what a process sends to readers of tenants' files, and writes it down every few seconds: one row for each project. A row that was
 * written and not confirmed is written again under the same id, so that it counts once. What a process that is killed has not
 * written yet is not charged.
 */
export class EgressTally {
  private counted = new Map<string, { readonly of: Owned; bytes: bigint }>();
  /** Not confirmed yet; their ids stay. */
  private waiting: EgressCountRow[] = [];
  private flushing: Promise<void> = Promise.resolve();

  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** Passes the bytes on and counts those that were taken. */
  async *count(of: Owned, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.add(of, chunk.byteLength);
      yield chunk;
    }
  }

  private add({ organizationId, projectId }: Owned, bytes: number): void {
    const had = this.counted.get(projectId);
    if (had) had.bytes += BigInt(bytes);
    else this.counted.set(projectId, { of: { organizationId, projectId }, bytes: BigInt(bytes) });
  }

  /** Writes down what has been counted; what could not be written is kept for the next call, whose caller is told. */
  flush(): Promise<void> {
    const run = this.flushing.then(() => this.write());
    this.flushing = run.catch(() => undefined);
    return run;
  }

  private async write(): Promise<void> {
    const counts = [...this.counted.values()].filter((c) => c.bytes > 0n);
    this.counted = new Map();
    const now = this.clock.now();
    for (const { of, bytes } of counts) {
      const id = newId('usage', now, this.random);
      this.waiting.push({ id, ...of, bytes, countedAt: now, chargedThrough: null });
    }
    if (this.waiting.length === 0) return;
    const rows = this.waiting;
    await this.store.transaction(WORKER, async (tx) => {
      // The database's time, so that processes whose clocks differ count in one order.
      const countedAt = await tx.now();
      await tx.insertNew(
        egressCounts,
        rows.map((r) => ({ ...r, countedAt })),
      );
    });
    this.waiting = [];
  }
}

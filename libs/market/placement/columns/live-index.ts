import type { Offer } from '#contracts';
import type { Tx } from '#platform/database';
import type { Catalog } from '#market/catalog';
import { OfferIndex, type OfferChanges } from './catalog-index.js';

/**
 * The offers of one status (or all) as columns, read once and then kept up by what changed in the catalog; one for all requests of
 * a process. While somebody scans it in slices it stays as it is, and takes in what came meanwhile at the end.
 */
export class LiveIndex {
  private index: OfferIndex | null = null;
  private revision = 0n;
  private lookedAtMs = -Infinity;
  private looking: Promise<void> | null = null;
  private scans = 0;
  private readonly waiting: OfferChanges[] = [];

  constructor(
    private readonly catalog: Catalog,
    /** Null = of any. */
    private readonly status: Offer['status'] | null,
    /** For how long a look is believed. */
    private readonly ttlMs: number,
  ) {}

  /** The index if it was looked at lately, without asking anybody. */
  fresh(nowMs: number): OfferIndex | null {
    return nowMs - this.lookedAtMs < this.ttlMs ? this.index : null;
  }

  /** The index, not older than its time; asks for changes by `tx`, which must not have written offers itself. */
  async upToDate(tx: Tx, nowMs: number): Promise<OfferIndex> {
    const known = this.fresh(nowMs);
    if (known) return known;
    // Two looks at once could take in an old state after a newer one: the second does with what there is.
    if (this.looking && this.index) return this.index;
    if (this.looking) await this.looking.catch(() => undefined);
    if (this.index && this.fresh(nowMs)) return this.index;
    this.looking = this.look(tx, nowMs);
    try {
      await this.looking;
    } finally {
      this.looking = null;
    }
    if (!this.index) throw new Error('the index of offers was not read');
    return this.index;
  }

  /** The next user looks, however short ago the last look was. */
  forget(): void {
    this.lookedAtMs = -Infinity;
  }

  /** Runs a scan that pauses: the index does not change until it is over. */
  async unchanged<T>(scan: () => Promise<T>): Promise<T> {
    this.scans++;
    try {
      return await scan();
    } finally {
      this.scans--;
      if (this.scans === 0) this.takeIn();
    }
  }

  private async look(tx: Tx, nowMs: number): Promise<void> {
    const changes = this.index ? await this.catalog.changesSince(tx, this.revision) : null;
    if (changes) {
      this.waiting.push({
        // What has become of the other status is gone from here.
        upserts: changes.upserts.filter((o) => this.wants(o)),
        removedIds: [...changes.removedIds, ...changes.upserts.filter((o) => !this.wants(o)).map((o) => o.id)],
      });
      this.revision = changes.revision;
      if (this.scans === 0) this.takeIn();
    } else {
      await this.readAll(tx);
    }
    this.lookedAtMs = nowMs;
  }

  private wants(offer: Offer): boolean {
    return this.status === null || offer.status === this.status;
  }

  private async readAll(tx: Tx): Promise<void> {
    const revision = await this.catalog.revision(tx);
    const index = new OfferIndex();
    for await (const upserts of this.catalog.all(tx, this.status ?? undefined))
      index.apply({ upserts, removedIds: [] });
    this.index = index;
    this.revision = revision;
    this.waiting.length = 0;
  }

  private takeIn(): void {
    for (const changes of this.waiting.splice(0)) this.index?.apply(changes);
  }
}

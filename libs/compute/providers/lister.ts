import type { Clock, Random } from '#kernel';
import { VendorError, type Offer } from '#contracts';
import { WORKER, type Store } from '#platform/database';
import type { Catalog, Relisted } from '#market/catalog';
import { defaultListingTimes, listingWaitMs, type ListingTimes } from './listing-times.js';
import { providers } from './providers.table.js';
import { listings, newListing, type ListingRow } from './listings.table.js';
import { readList } from './read-list.js';
import type { Vendors } from './vendors.js';

/** What came of one try to read a provider's list. */
export type Listed =
  | { readonly outcome: 'listed'; readonly tookMs: number; readonly offers: number; readonly change: Relisted }
  | { readonly outcome: 'failed'; readonly tookMs: number; readonly error: unknown; readonly failures: number }
  /** Somebody else reads it, or took over meanwhile: nothing was written. */
  | { readonly outcome: 'not-ours' };

export interface ListerParts {
  readonly store: Store;
  readonly vendors: Vendors;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: Random;
  readonly times?: Partial<ListingTimes>;
  /** Hands a due provider to whichever worker is free; this one takes it when that does not come about. */
  readonly poke?: (providerId: string) => Promise<unknown>;
  readonly report?: (providerId: string, listed: Exclude<Listed, { outcome: 'not-ours' }>) => void;
  /** Hears of what could not even be written down; the provider is due again at the next turn. */
  readonly onError?: (providerId: string, error: unknown) => void;
  readonly abortAfter?: (ms: number) => AbortSignal;
}

/**
 * Keeps the offers of connected vendors fresh, each on its own schedule and with its own deadline. Of all workers one reads a
 * provider's list at a time: a claim by compare-and-set, that ends by itself when its worker does.
 */
export class Lister {
  private readonly running = new Map<string, Promise<Listed>>();
  private readonly closing = new AbortController();
  private readonly times: ListingTimes;

  constructor(private readonly d: ListerParts) {
    this.times = { ...defaultListingTimes, ...d.times };
  }

  /** Begins what is due; waits for no vendor. */
  async turn(): Promise<void> {
    const { store, vendors } = this.d;
    // Registered machines publish their own offers.
    const bound = vendors.ids.filter((id) => !vendors.of(id).residentAgent && !this.running.has(id));
    if (bound.length === 0 || this.closing.signal.aborted) return;
    const { due, now } = await store.transaction(WORKER, async (tx) => {
      const ids = (await tx.find(providers, { id: { in: bound }, state: 'active' })).map(({ id }) => id);
      const now = await tx.now();
      if (ids.length === 0) return { due: [], now };
      const known = await tx.find(listings, { providerId: { in: ids } });
      const there = new Set(known.map((row) => row.providerId));
      const added = await tx.insertNew(
        listings,
        ids.filter((id) => !there.has(id)).map((id) => newListing(id, now)),
      );
      return { now, due: [...known.filter((row) => row.nextAt <= now), ...added] };
    });
    for (const { providerId, nextAt } of due) {
      const overdue = now - nextAt >= this.times.overdueMs;
      // Not waited for; how it went is in its row.
      const begin = (): void => void this.list(providerId).catch(() => undefined);
      if (this.d.poke === undefined || overdue) begin();
      else await this.d.poke(providerId).catch(begin);
    }
  }

  /** Reads the list of one provider if it is due and nobody does; in this process never twice at once. */
  list(providerId: string): Promise<Listed> {
    const known = this.running.get(providerId);
    if (known) return known;
    const run = this.claimAndRead(providerId).finally(() => this.running.delete(providerId));
    this.running.set(providerId, run);
    run.catch((error: unknown) => this.d.onError?.(providerId, error));
    return run;
  }

  /** Leaves vendors alone and waits for what is being written. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.allSettled(this.running.values());
  }

  private async claimAndRead(providerId: string): Promise<Listed> {
    const { store, vendors, clock, random } = this.d;
    const { deadlineMs, writeMs } = this.times;
    const claim = Buffer.from(random.bytes(8)).toString('hex');
    const mine = await store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      await tx.insertNew(listings, [newListing(providerId, now)]);
      const [row] = await tx.update(
        listings,
        { providerId, nextAt: { lte: now } },
        { claim, startedAt: now, nextAt: now + deadlineMs + writeMs },
      );
      return row ?? null;
    });
    if (!mine) return { outcome: 'not-ours' };
    const startedMs = clock.now();
    const took = (): number => Math.max(0, clock.now() - startedMs);
    try {
      const { port } = await vendors.find(providerId);
      const deadline = (this.d.abortAfter ?? ((ms) => AbortSignal.timeout(ms)))(deadlineMs);
      const late = (): Error =>
        new VendorError('transient', 'account', `the list did not end within ${deadlineMs / 1_000} s`);
      const list = await readList(port, AbortSignal.any([deadline, this.closing.signal]), late);
      return await this.keep(mine, list, took());
    } catch (error) {
      return this.fail(mine, error, took());
    }
  }

  private async keep(mine: ListingRow, list: readonly Offer[], tookMs: number): Promise<Listed> {
    const { providerId, claim } = mine;
    const change = await this.d.store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      const after = { claim: '', listedAt: now, tookMs, offers: list.length, failures: 0, error: null } as const;
      // First, so that of two who believe they hold the claim only one writes.
      const nextAt = now + listingWaitMs(this.times, 0, null, this.d.random);
      const [row] = await tx.update(listings, { providerId, claim }, { ...after, nextAt });
      if (!row) return null;
      const relisted = await this.d.catalog.relist(tx, providerId, list, mine.doubted);
      const doubted = relisted.doubted ? mine.doubted + 1 : 0;
      if (doubted !== mine.doubted) await tx.update(listings, { providerId }, { doubted });
      return relisted;
    });
    if (!change) return { outcome: 'not-ours' };
    const listed = { outcome: 'listed', tookMs, offers: list.length, change } as const;
    this.d.report?.(providerId, listed);
    return listed;
  }

  private async fail(mine: ListingRow, error: unknown, tookMs: number): Promise<Listed> {
    const { providerId, claim } = mine;
    const failures = mine.failures + 1;
    const retryAfterMs = error instanceof VendorError ? error.retryAfterMs : null;
    const message = (error instanceof Error ? error.message : String(error)).slice(0, 500);
    const closing = this.closing.signal.aborted;
    const written = await this.d.store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      // A worker that stops is no fault of the vendor: the next one begins at once.
      const nextAt = closing ? now : now + listingWaitMs(this.times, failures, retryAfterMs, this.d.random);
      const after = closing ? {} : { failures, tookMs, error: message, errorAt: now };
      return tx.update(listings, { providerId, claim }, { claim: '', nextAt, ...after });
    });
    if (written.length === 0 || closing) return { outcome: 'not-ours' };
    const failed = { outcome: 'failed', tookMs, error, failures } as const;
    this.d.report?.(providerId, failed);
    return failed;
  }
}

import { expect } from '@jest/globals';
import { StaleVersion, SeededRandom } from '#kernel';
import { account, accounts } from '#money/ledger';
import type { LeaseInterval } from '#money/metering';
import { usageRecords } from '#money/metering';
import { holds, type HoldRow } from '#money/quotas';
import { UniqueViolation } from '#platform/database';
import type { SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { emptyBook, heldBy, type JobBook, type LeaseBook, type TenantBook } from './books.js';
import { Crash, CrashingStore, type CrashAt } from './crashing-store.js';

/** The real rooms on one store, beside the plain arithmetic of what they should hold. */
export class World {
  readonly tenants: { readonly of: Tenant; readonly book: TenantBook }[] = [];
  /** Which real hold stands for which job or lease of the books. */
  readonly holdOf = new Map<JobBook | LeaseBook, HoldRow>();
  readonly leaseId = new Map<LeaseBook, string>();
  private names = 0;

  private constructor(
    readonly till: Till,
    readonly crashing: CrashingStore,
    readonly providerId: string,
    /** Makes names that no other history on the same store uses. */
    private readonly prefix: string,
    readonly nowMs: number,
  ) {}

  static async open(opened: SpecStore, name: string, tenants: number): Promise<World> {
    const crashing = new CrashingStore(opened.store);
    const till = await openTill({ clock: opened.clock, store: crashing }, new SeededRandom(name));
    const world = new World(till, crashing, await till.provider(), name, opened.clock.now());
    for (let i = 0; i < tenants; i++) world.tenants.push({ of: await till.tenant('0'), book: emptyBook() });
    return world;
  }

  name(of: string): string {
    return `${of}_${this.prefix}_${this.names++}`;
  }

  /** Begins `work` again after every crash until it is through: for what may be repeated with the same keys. */
  async again<T>(crash: CrashAt, work: () => Promise<T>): Promise<T> {
    this.crashing.crash(crash);
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
      }
    }
  }

  /**
   * Once, as a reconciler does whose row says whether the step was done: begun again only when the crash undid it.
   * Null when it was done and nobody heard what came of it.
   */
  async once<T>(crash: CrashAt, work: () => Promise<T>): Promise<T | null> {
    this.crashing.crash(crash);
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
        if (error.committed) return null;
      }
    }
  }

  interval(tenant: Tenant, lease: LeaseBook, fromMs: number, toMs: number): LeaseInterval {
    const side = (perHour: bigint): LeaseInterval['charge'] => ({ perHour, startMs: lease.startMs, fromMs, toMs });
    return {
      leaseId: this.leaseId.get(lease) ?? '',
      ...tenant,
      jobId: null,
      providerId: this.providerId,
      holdId: this.holdOf.get(lease)?.id ?? null,
      resource: 'H100 x8',
      charge: side(lease.chargePerHour),
      cost: side(lease.costPerHour),
    };
  }

  /** Everything that a tenant could look at, against its book. */
  async agrees(deep: boolean): Promise<void> {
    for (const { of, book } of this.tenants) {
      const { credit, rows } = await this.till.tx(async (tx) => ({
        credit: await this.till.ledger.creditOf(tx, of.organizationId),
        rows: await tx.find(holds, { organizationId: of.organizationId, state: 'held' }),
      }));
      const held = heldBy(book);
      expect({ available: credit.availableNano, held: credit.heldNano, balance: credit.balanceNano }).toEqual({
        available: book.available,
        held,
        balance: book.paidIn + book.granted - book.charged,
      });
      expect(book.available >= 0n).toBe(true);
      const open = new Map(rows.map((r) => [r.id, r.remainingNano]));
      const wanted = new Map<string, bigint>();
      for (const job of book.jobs)
        for (const each of [job, ...job.leases])
          if (each.open) wanted.set(this.holdOf.get(each)?.id ?? 'unknown', each.remaining);
      expect(open).toEqual(wanted);
      if (!deep) continue;
      const usage = await this.till.tx((tx) => tx.find(usageRecords, { organizationId: of.organizationId }));
      const sum = (side: 'charge' | 'cost'): bigint =>
        usage.reduce((n, r) => (r.side === side ? n + r.amountNano : n), 0n);
      expect({ charged: sum('charge'), cost: sum('cost') }).toEqual({ charged: book.charged, cost: book.cost });
    }
    if (!deep) return;
    const payable = await this.till.tx((tx) => tx.first(accounts, { id: account.payable(this.providerId) }));
    expect(payable?.balanceNano).toBe(this.tenants.reduce((n, t) => n + t.book.cost, 0n));
  }
}

/** Somebody else had metered this time: nothing was written. */
export const meteredBefore = (error: unknown): boolean =>
  error instanceof StaleVersion || error instanceof UniqueViolation;

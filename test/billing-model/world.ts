import { expect } from '@jest/globals';
import { DAY, SeededRandom, StaleVersion } from '#kernel';
import { account, accounts } from '#money/ledger';
import type { LeaseInterval } from '#money/metering';
import { usageRecords } from '#money/metering';
import { newCustomer, noInvoices, paymentCustomers, Payments, payments, refunds } from '#money/payments';
import { holds, quotas, type HoldRow } from '#money/quotas';
import { Billing, defaultBillingSettings, invoices, manualRate } from '#money/billing';
import { priceTermsSchema } from '#contracts';
import { Storage, type KeptFiles } from '#money/storage';
import { Outbox, UniqueViolation } from '#platform/database';
import type { SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import {
  balanceOf,
  emptyBook,
  FREE_MB_HOURS,
  GB_HOUR_NANO,
  heldBy,
  queuedOf,
  spendOf,
  type InvoiceBook,
  type JobBook,
  type LeaseBook,
  type TenantBook,
} from './books.js';
import { Crash, CrashingStore, type CrashAt } from './crashing-store.js';
import { Processor } from './processor.js';

const ASLEEP = { wake: () => Promise.resolve() };
const NOWHERE = { put: () => Promise.resolve(), get: () => Promise.reject(new Error('no documents here')) };

const STORAGE = priceTermsSchema.parse({
  storage: { gbHour: String(GB_HOUR_NANO), freeGbHours: String(FREE_MB_HOURS / 1_000n) },
});

/** The real rooms on one store, beside the plain arithmetic of what they should hold. */
export class World {
  readonly tenants: { readonly of: Tenant; readonly book: TenantBook }[] = [];
  /** Which real hold stands for which job or lease of the books. */
  readonly holdOf = new Map<JobBook | LeaseBook, HoldRow>();
  readonly leaseId = new Map<LeaseBook, string>();
  readonly invoiceId = new Map<InvoiceBook, string>();
  private names = 0;

  private constructor(
    readonly till: Till,
    readonly billing: Billing,
    readonly cards: Payments,
    readonly storage: Storage,
    readonly crashing: CrashingStore,
    readonly providerId: string,
    /** Makes names that no other history on the same store uses. */
    private readonly prefix: string,
    /** When the history begins: long enough ago that its months are over. */
    readonly startMs: number,
  ) {}

  static async open(opened: SpecStore, name: string, tenants: number): Promise<World> {
    const crashing = new CrashingStore(opened.store);
    const till = await openTill({ clock: opened.clock, store: crashing }, new SeededRandom(name));
    const random = new SeededRandom(`invoices of ${name}`);
    const parts = { store: crashing, clock: opened.clock, random, ledger: till.ledger, tax: manualRate };
    const settings = { ...defaultBillingSettings, invoiceSeries: `I${name}`, creditNoteSeries: `C${name}` };
    const billing = new Billing({ ...parts, outbox: new Outbox(crashing, random), settings }, NOWHERE);
    const room = { store: crashing, ledger: till.ledger, invoices: noInvoices, wake: ASLEEP, clock: opened.clock };
    const cards = new Payments({ ...room, random: new SeededRandom(`cards of ${name}`), port: new Processor().port });
    const kept = new Map<string, () => [string, bigint]>();
    const files: KeptFiles = {
      owners: () => Promise.resolve([]),
      since: () => Promise.resolve(new Map()),
      byteMs: (_, organizationId) => {
        const of = kept.get(organizationId);
        return Promise.resolve(new Map(of === undefined ? [] : [of()]));
      },
    };
    const prices = { discountsFor: () => Promise.resolve({ terms: STORAGE, bpsOf: () => 0 }) };
    const { quotas: budgets } = till;
    const storage = new Storage({
      ...room,
      prices,
      quotas: budgets,
      files,
      random: new SeededRandom(`files of ${name}`),
    });
    const world = new World(
      till,
      billing,
      cards,
      storage,
      crashing,
      await till.provider(),
      name,
      opened.clock.now() - 1_500 * DAY,
    );
    for (let i = 0; i < tenants; i++) {
      // Every other tenant pays afterwards.
      const book = emptyBook(i % 2 === 0 ? 0n : 20_000_000_000n);
      const of = await till.tenant('0');
      const id = account.credit(of.organizationId);
      await till.tx(async (tx) => {
        await till.ledger.open(tx, [{ id, kind: 'credit', organizationId: of.organizationId }]);
        await tx.update(accounts, { id }, { creditLimitNano: book.limit });
        const card = { customerId: `cus_${of.organizationId}`, methodId: 'pm_1' };
        await tx.insert(paymentCustomers, { ...newCustomer(of.organizationId, await tx.now()), ...card });
      });
      kept.set(of.organizationId, () => [of.projectId, book.keptByteMs]);
      world.tenants.push({ of, book });
    }
    return world;
  }

  name(of: string): string {
    return `${of}_${this.prefix}_${this.names++}`;
  }

  /** Begins `work` again after every crash until it is through: for what may be repeated with the same keys. */
  async again<T>(crash: CrashAt, work: () => Promise<T>, inTransaction = 0): Promise<T> {
    this.crashing.crash(crash, inTransaction);
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

  /** Drives a payment or a refund to its end, as its reconciler does whenever somebody wakes it. */
  async drive(kind: 'payment' | 'refund', id: string): Promise<void> {
    const reconciler = this.cards.reconcilers.find((r) => r.kind === kind);
    for (let n = 0; n < 20; n++) {
      const where = { id, state: { not: 'settled' } } as const;
      const woken = { wakeAt: 0, version: { add: 1 } };
      const rows = await this.till.tx(async (tx) =>
        kind === 'payment' ? tx.update(payments, where, woken) : tx.update(refunds, where, woken),
      );
      if (rows.length === 0) return;
      await reconciler?.step(id);
    }
    throw new Error(`${kind} ${id} does not settle`);
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
        balance: balanceOf(book),
      });
      expect(book.available >= -book.limit).toBe(true);
      const open = new Map(rows.map((r) => [r.id, r.remainingNano]));
      const wanted = new Map<string, bigint>();
      for (const job of book.jobs)
        for (const each of [job, ...job.leases])
          if (each.open) wanted.set(this.holdOf.get(each)?.id ?? 'unknown', each.remaining);
      expect(open).toEqual(wanted);
      if (!deep) continue;
      const { usage, issued, receivable } = await this.till.tx(async (tx) => ({
        usage: await tx.find(usageRecords, { organizationId: of.organizationId }),
        issued: await tx.find(invoices, { organizationId: of.organizationId, number: { not: '' } }),
        receivable: await tx.first(accounts, { id: account.receivable(of.organizationId) }),
      }));
      expect(receivable?.balanceNano ?? 0n).toBe(book.receivable);
      const limits = await this.till.tx((tx) => tx.find(quotas, { organizationId: of.organizationId }));
      for (const { dimension, used, limitN } of limits)
        expect([dimension, used, limitN]).toEqual(
          dimension === 'spend' ? [dimension, spendOf(book), book.budget] : [dimension, queuedOf(book), book.queue],
        );
      expect(limits.length).toBe((book.budget === null ? 0 : 1) + (book.queue === null ? 0 : 1));
      expect(
        new Map(issued.map((i) => [i.id, [i.usageCents, i.dueCents, i.paidCents, i.creditedCents, i.state]])),
      ).toEqual(
        new Map(
          book.invoices.map((i) => [
            this.invoiceId.get(i),
            [i.usageCents, i.dueCents, i.paidCents, i.creditedCents, i.state],
          ]),
        ),
      );
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

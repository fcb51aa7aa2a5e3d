import { DAY, DomainError, newId, notFound, type Clock, type Random } from '#kernel';
import { audit, type Author } from '#identity/audit';
import { UniqueViolation, WORKER, type FindOptions, type Store, type Tx } from '#platform/database';
import { account, accounts, type Ledger } from '#money/ledger';
import { match, type LeasedMachine, type Tolerance } from './match.js';
import { meteredIn, withoutEarlier } from './metered.js';
import { readVendorInvoice, type LineProblem, type VendorFormat, type VendorLine } from './read/index.js';
import { newLines } from './known-lines.js';
import {
  vendorComparisons,
  vendorInvoiceLines,
  vendorInvoices,
  type ComparisonRow,
  type VendorInvoiceRow,
} from './vendor-invoices.table.js';

/** Which machines leases had at a provider; the rooms of leases give it. */
export interface VendorMachines {
  ofMachines(tx: Tx, providerId: string, machineIds: readonly string[]): Promise<LeasedMachine[]>;
  ofLeases(tx: Tx, leaseIds: readonly string[]): Promise<LeasedMachine[]>;
}

export interface NewVendorInvoice {
  readonly providerId: string;
  readonly format: VendorFormat;
  readonly fileName: string;
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly badLines: 'stop' | 'skip';
  /** What the bill is for; default: the whole days (UTC) in which its lines about machines lie. */
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly tolerance?: Partial<Tolerance>;
}

/** A cent, a minute, or half a percent, whichever is the larger. */
export const defaultTolerance: Tolerance = { amountNano: 10_000_000n, ms: 60_000, bps: 50 };

const AT_ONCE = 1_000;

/** Imports vendors' invoices, lists what differs from what was metered, and books what an administrator accepts of it. */
export class VendorInvoices {
  constructor(
    private readonly d: {
      readonly store: Store;
      readonly ledger: Ledger;
      readonly machines: VendorMachines;
      readonly clock: Clock;
      readonly random: Random;
    },
  ) {}

  /** Reads a file and compares it with what was metered. The same content again changes nothing and gives what it gave. */
  async import(of: NewVendorInvoice, by: Author): Promise<{ invoice: VendorInvoiceRow; again: boolean }> {
    const read = await readVendorInvoice(of.bytes, of);
    try {
      return await this.d.store.transaction(WORKER, async (tx) => {
        if (!(await tx.first(accounts, { id: account.payable(of.providerId) })))
          throw notFound('provider', of.providerId);
        const { providerId } = of;
        const earlier = await tx.find(vendorInvoices, { providerId }, { orderBy: [['n', 'asc']] });
        const same = earlier.find((i) => i.fileHash === read.fileHash);
        if (same) return { invoice: same, again: true };
        const { fresh, known, problems } = await newLines(tx, providerId, read.lines, of.badLines);
        const more = { known, skipped: read.skipped + problems.length, problems: [...read.problems, ...problems] };
        const invoice = await this.compare(tx, of, { ...more, fileHash: read.fileHash, lines: fresh, earlier });
        await audit(tx, {
          by,
          organizationId: null,
          action: 'vendor-invoice.import',
          subject: invoice.id,
          after: { ...invoice, problems: invoice.problems.length },
        });
        return { invoice, again: false };
      });
    } catch (error) {
      if (!(error instanceof UniqueViolation)) throw error;
      throw new DomainError('conflict', 'import-in-progress', 'Another invoice of this provider is being imported.', {
        fix: 'Import it again when the other is done.',
        retryable: true,
      });
    }
  }

  private async compare(
    tx: Tx,
    of: NewVendorInvoice,
    file: {
      readonly fileHash: string;
      readonly lines: readonly VendorLine[];
      readonly known: number;
      readonly skipped: number;
      readonly problems: readonly LineProblem[];
      readonly earlier: readonly VendorInvoiceRow[];
    },
  ): Promise<VendorInvoiceRow> {
    const { providerId, format, fileName } = of;
    const { lines } = file;
    const now = await tx.now();
    const period = periodOf(of, lines, now);
    const metered = await meteredIn(tx, providerId, withoutEarlier(period, file.earlier));
    const named = [...new Set(lines.flatMap((l) => l.machineIds))];
    const machines = await this.machinesOf(tx, providerId, named, [...new Set(metered.map((m) => m.leaseId))]);
    const { comparisons, ...sums } = match(lines, machines, metered, { ...defaultTolerance, ...of.tolerance });
    const invoice: VendorInvoiceRow = {
      id: newId('vendorInvoice', this.d.clock.now(), this.d.random),
      providerId,
      n: file.earlier.length + 1,
      format,
      fileName,
      fileHash: file.fileHash,
      periodFrom: period.fromMs,
      periodTo: period.toMs,
      lines: lines.length,
      knownLines: file.known,
      skippedLines: file.skipped,
      problems: file.problems.slice(0, 100),
      ...sums,
      importedAt: now,
    };
    await tx.insert(vendorInvoices, invoice);
    const invoiceId = invoice.id;
    for (const some of chunks(lines))
      await tx.insert(
        vendorInvoiceLines,
        some.map(({ key, digest, n }) => ({ providerId, key, digest, invoiceId, n })),
      );
    const rows = comparisons.map(({ fromMs, toMs, ...c }): ComparisonRow => ({
      ...c,
      id: newId('vendorComparison', this.d.clock.now(), this.d.random),
      invoiceId,
      providerId,
      fromAt: fromMs,
      toAt: toMs,
      acceptedAt: null,
      acceptedFor: null,
      transactionId: null,
    }));
    for (const some of chunks(rows)) await tx.insert(vendorComparisons, some);
    return invoice;
  }

  private async machinesOf(
    tx: Tx,
    providerId: string,
    machineIds: readonly string[],
    leaseIds: readonly string[],
  ): Promise<LeasedMachine[]> {
    const found = new Map<string, LeasedMachine>();
    const add = (list: readonly LeasedMachine[]): void => {
      for (const m of list) found.set(`${m.leaseId} ${m.machineId}`, m);
    };
    for (const some of chunks(machineIds)) add(await this.d.machines.ofMachines(tx, providerId, some));
    for (const some of chunks(leaseIds)) add(await this.d.machines.ofLeases(tx, some));
    return [...found.values()].sort((a, b) => a.fromMs - b.fromMs || (a.leaseId < b.leaseId ? -1 : 1));
  }

  /** Newest first. */
  list(
    filter: { providerId?: string },
    page: Pick<FindOptions<VendorInvoiceRow>, 'limit' | 'after'>,
  ): Promise<VendorInvoiceRow[]> {
    return this.d.store.transaction(WORKER, (tx) =>
      tx.find(vendorInvoices, filter, { ...page, orderBy: [['id', 'desc']] }),
    );
  }

  async get(id: string): Promise<VendorInvoiceRow> {
    const row = await this.d.store.transaction(WORKER, (tx) => tx.first(vendorInvoices, { id }));
    if (!row) throw notFound('vendor invoice', id);
    return row;
  }

  /** In the order of time. */
  async comparisons(
    invoiceId: string,
    kinds: readonly ComparisonRow['kind'][],
    page: Pick<FindOptions<ComparisonRow>, 'limit' | 'after'>,
  ): Promise<ComparisonRow[]> {
    await this.get(invoiceId);
    const order = [
      ['fromAt', 'asc'],
      ['id', 'asc'],
    ] as const;
    return this.d.store.transaction(WORKER, (tx) =>
      tx.find(vendorComparisons, { invoiceId, kind: { in: kinds } }, { ...page, orderBy: order }),
    );
  }

  /**
   * Takes differences as they are: what the provider is owed becomes what it bills, against `vendor-differences:berth`.
   * What was accepted before stays as it is. Answers the sum that was booked now.
   */
  accept(
    invoiceId: string,
    of: { readonly reason: string } & (
      { readonly ids: readonly string[] } | { readonly kinds: readonly ComparisonRow['kind'][] }
    ),
    by: Author,
  ): Promise<{ accepted: number; amountNano: bigint }> {
    return this.d.store.transaction(WORKER, async (tx) => {
      if (!(await tx.first(vendorInvoices, { id: invoiceId }))) throw notFound('vendor invoice', invoiceId);
      const wanted = 'ids' in of ? { id: { in: of.ids } } : { kind: { in: of.kinds } };
      if ('ids' in of) {
        const found = new Set((await tx.find(vendorComparisons, { invoiceId, ...wanted })).map((c) => c.id));
        const none = of.ids.find((id) => !found.has(id));
        if (none !== undefined) throw notFound('difference', none);
      }
      const at = await tx.now();
      const open = { invoiceId, ...wanted, acceptedAt: { isNull: true } };
      const rows = await tx.update(vendorComparisons, open, { acceptedAt: at, acceptedFor: of.reason });
      let amountNano = 0n;
      for (const row of rows.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
        amountNano += row.vendorNano - row.oursNano;
        await this.book(tx, row);
      }
      if (rows.length > 0)
        await audit(tx, {
          by,
          organizationId: null,
          action: 'vendor-invoice.accept',
          subject: invoiceId,
          before: { accepted: 0 },
          after: {
            accepted: rows.length,
            comparisons: rows.slice(0, AT_ONCE).map((r) => r.id),
            amountNano,
            reason: of.reason,
          },
        });
      return { accepted: rows.length, amountNano };
    });
  }

  private async book(tx: Tx, row: ComparisonRow): Promise<void> {
    const amountNano = row.vendorNano - row.oursNano;
    if (amountNano === 0n) return;
    const transactionId = await this.d.ledger.post(tx, {
      idempotencyKey: `vendor-comparison:${row.id}`,
      kind: 'vendor-difference',
      organizationId: null,
      reference: row.id,
      entries: [
        { accountId: account.payable(row.providerId), amountNano },
        { accountId: account.vendorDifferences, amountNano: -amountNano },
      ],
    });
    await tx.update(vendorComparisons, { id: row.id }, { transactionId });
  }
}

function periodOf(
  of: Pick<NewVendorInvoice, 'fromMs' | 'toMs'>,
  lines: readonly VendorLine[],
  now: number,
): { fromMs: number; toMs: number } {
  const own = lines.filter((l) => l.machineIds.length > 0);
  const timed = own.length > 0 ? own : lines;
  const first = timed.reduce((a, l) => Math.min(a, l.fromMs), Infinity);
  const last = timed.reduce((a, l) => Math.max(a, l.toMs), -Infinity);
  const fromMs = of.fromMs ?? Math.floor(first / DAY) * DAY;
  const toMs = of.toMs ?? Math.max(fromMs + 1, Math.min(Math.ceil(last / DAY) * DAY, now));
  if (toMs <= fromMs)
    throw new DomainError('invalid', 'ends-before-start', 'The period ends before it starts.', { field: 'to' });
  return { fromMs, toMs };
}

function* chunks<T>(list: readonly T[]): Generator<T[]> {
  for (let at = 0; at < list.length; at += AT_ONCE) yield list.slice(at, at + AT_ONCE);
}

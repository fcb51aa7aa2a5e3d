import { DAY, HOUR, MINUTE, newId, StaleVersion, type Clock, type Random } from '#kernel';
import { WORKER, type Store, type Tx } from '#platform/database';
import type { Reconciler } from '#platform/reconcile';
import { account, accounts, type Ledger } from '#money/ledger';
import { EVENT_PAST_MS, monthStart, usageRecords, usageRow, type UsageRow } from '#money/metering';
import { creditRoomOf, type Quotas } from '#money/quotas';
import type { Prices } from '#money/rating';
import { mbHours, rateUnits, storagePrices, type RatedUnits, type StoragePrices, type UnitPrice } from './rate.js';
import {
  egressCounts,
  storageMarks,
  storageSums,
  type EgressCountRow,
  type StorageMarkRow,
  type StorageSumRow,
} from './storage.table.js';

/** What the room that keeps the files tells of them. */
export interface KeptFiles {
  /** Organizations that ever kept anything: the first `limit` of them behind `after`, in the order of their ids. */
  owners(tx: Tx, page: { readonly after: string; readonly limit: number }): Promise<readonly string[]>;
  /** The time of the first file of each of these organizations. */
  since(tx: Tx, organizationIds: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** For each project that ever kept a file: bytes times the milliseconds they were kept, from the first of them up to `untilMs`. */
  byteMs(tx: Tx, organizationId: string, untilMs: number): Promise<ReadonlyMap<string, bigint>>;
}

/** An hour is metered a little after its end: uploads and counts that are under way then still belong to it. */
const SETTLE_MS = MINUTE;
/** How long counts are remembered that have been charged: longer than any process tries to write one again. */
const REMEMBER_MS = DAY;
/** When the credit does not cover an hour, it is looked at again after so long. */
const UNPAID_MS = HOUR;

interface Parts {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly prices: Pick<Prices, 'discountsFor'>;
  readonly quotas: Pick<Quotas, 'spend'>;
  readonly files: KeptFiles;
  readonly clock: Clock;
  readonly random: Random;
  /** An hour that is metered later than this counts when it is charged; 35 days where nothing is said. */
  readonly lateMs?: number;
  /** Organizations, or counts of what was sent, that are read at once; 500 where nothing is said. */
  readonly pageSize?: number;
}

/**
 * Meters, hour by hour, what an organization's files take up and what of them was sent to it. One step is one hour: records, ledger transaction and
 * the mark move together. An hour that the credit does not cover is not metered until it does.
 */
export class Storage implements Reconciler {
  readonly kind = 'storage';

  private readonly pageSize: number;

  constructor(private readonly d: Parts) {
    this.pageSize = d.pageSize ?? 500;
  }

  /** Begins to meter organizations that have come to keep or to read something, page by page; returns how many. */
  async open(): Promise<number> {
    const keepers = await this.pages((tx, after) => this.d.files.owners(tx, { after, limit: this.pageSize }));
    return keepers + (await this.pages((tx, after) => this.readers(tx, after)));
  }

  private async pages(read: (tx: Tx, after: string) => Promise<readonly string[]>): Promise<number> {
    let opened = 0;
    for (let after: string | undefined = ''; after !== undefined;) {
      const from: string = after;
      [after, opened] = await this.d.store.transaction(WORKER, async (tx) => {
        const ids = await read(tx, from);
        return [ids.at(-1), opened + (await this.begin(tx, ids))] as const;
      });
    }
    return opened;
  }

  /** Organizations behind one to which something was sent that is not charged: one of them at least, where there is any. */
  private async readers(tx: Tx, after: string): Promise<string[]> {
    const counts = await tx.find(
      egressCounts,
      { chargedThrough: { isNull: true }, organizationId: { gt: after } },
      { orderBy: [['organizationId', 'asc']], limit: this.pageSize },
    );
    return [...new Set(counts.map((c) => c.organizationId))];
  }

  /** Makes the marks of those that have none: each from its first file, or from what was first sent to it. */
  private async begin(tx: Tx, organizationIds: readonly string[]): Promise<number> {
    const marks = await tx.find(storageMarks, { organizationId: { in: organizationIds } });
    const known = new Set(marks.map((m) => m.organizationId));
    const fresh = organizationIds.filter((id) => !known.has(id));
    if (fresh.length === 0) return 0;
    const files = await this.d.files.since(tx, fresh);
    const rows: StorageMarkRow[] = [];
    for (const organizationId of fresh) {
      const [sent] = await tx.find(
        egressCounts,
        { organizationId, chargedThrough: { isNull: true } },
        { orderBy: [['countedAt', 'asc']], limit: 1 },
      );
      const sinceMs = Math.min(files.get(organizationId) ?? Infinity, sent?.countedAt ?? Infinity);
      if (sinceMs === Infinity) continue;
      const chargedThrough = Math.floor(sinceMs / HOUR) * HOUR;
      const month = monthStart(chargedThrough);
      const wakeAt = chargedThrough + HOUR + SETTLE_MS;
      rows.push({ organizationId, chargedThrough, month, freeMbHours: 0n, freeBytes: 0n, version: 1, wakeAt });
    }
    return (await tx.insertNew(storageMarks, rows)).length;
  }

  async due(tx: Tx, nowMs: number, limit: number): Promise<{ id: string; wakeAt: number | null }[]> {
    const rows = await tx.find(storageMarks, { wakeAt: { lte: nowMs } }, { orderBy: [['wakeAt', 'asc']], limit });
    return rows.map(({ organizationId, wakeAt }) => ({ id: organizationId, wakeAt }));
  }

  async step(organizationId: string): Promise<'again' | 'rest'> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const mark = await tx.first(storageMarks, { organizationId }, { lock: 'update' });
      if (!mark) return 'rest';
      const now = await tx.now();
      const toMs = Math.floor(mark.chargedThrough / HOUR) * HOUR + HOUR;
      if (now < toMs + SETTLE_MS) {
        if (mark.wakeAt !== toMs + SETTLE_MS) await this.move(tx, mark, { wakeAt: toMs + SETTLE_MS });
        return 'rest';
      }
      if (await this.meter(tx, mark, toMs, now)) return 'again';
      await this.move(tx, mark, { wakeAt: now + UNPAID_MS });
      return 'rest';
    });
  }

  /** False: the credit does not cover the hour, and nothing was done. */
  private async meter(tx: Tx, mark: StorageMarkRow, toMs: number, now: number): Promise<boolean> {
    const { organizationId, chargedThrough: fromMs } = mark;
    const kept = await this.d.files.byteMs(tx, organizationId, toMs);
    const counts = await tx.find(egressCounts, {
      organizationId,
      chargedThrough: { isNull: true },
      countedAt: { lt: toMs },
    });
    const before = new Map((await tx.find(storageSums, { organizationId })).map((s) => [s.projectId, s]));
    const { terms, bpsOf } = await this.d.prices.discountsFor(tx, organizationId, fromMs);
    const prices = (projectId: string): StoragePrices => storagePrices(terms, bpsOf(projectId));
    const hour = meterHour({ mark, fromMs, kept, counts, before, prices });
    const { sums, freeMbHours, freeBytes, amountNano } = hour;
    const month = monthStart(fromMs);
    const key = `storage:${organizationId}:${fromMs}`;
    const transactionId = amountNano === 0n ? null : await this.charge(tx, organizationId, key, amountNano);
    if (transactionId === 'too-little') return false;
    await this.d.quotas.spend(tx, organizationId, spentOf(hour.lines, key));
    await this.move(tx, mark, { chargedThrough: toMs, month, freeMbHours, freeBytes, wakeAt: now });
    await tx.upsert(storageSums, sums);
    // Invoices are of this month and the last: an hour of before, or one that waited longer than is looked back, counts when it is charged.
    const isLate =
      now - toMs > (this.d.lateMs ?? EVENT_PAST_MS) || monthStart(toMs - 1) < monthStart(monthStart(now) - 1);
    const when = isLate ? { fromAt: now, toAt: now } : { fromAt: fromMs, toAt: toMs };
    const of = { organizationId, ...when, side: 'charge', source: 'storage', createdAt: now } as const;
    const records = hour.lines.map((line): UsageRow => {
      const id = newId('usage', this.d.clock.now(), this.d.random);
      return usageRow({ id, ...of, ...line, transactionId: line.amountNano === 0n ? null : transactionId });
    });
    if (records.length > 0) await tx.insert(usageRecords, records);
    if (counts.length > 0)
      await tx.update(egressCounts, { id: { in: counts.map((c) => c.id) } }, { chargedThrough: toMs });
    await tx.remove(egressCounts, { organizationId, chargedThrough: { lte: toMs - REMEMBER_MS } });
    return true;
  }

  /** Takes the hour out of what is available, down to the credit limit; what is held for jobs is not touched. */
  private async charge(tx: Tx, organizationId: string, key: string, amountNano: bigint): Promise<string> {
    const id = account.credit(organizationId);
    const credit = await tx.first(accounts, { id }, { lock: 'update' });
    if (!credit || (await creditRoomOf(tx, credit)) < amountNano) return 'too-little';
    const transactionId = await this.d.ledger.post(tx, {
      idempotencyKey: key,
      kind: 'usage',
      organizationId,
      reference: organizationId,
      entries: [
        // The room was looked at above, with the account locked: a credit limit may be used, which a plain entry must not.
        { accountId: id, amountNano: -amountNano, below: true },
        { accountId: account.revenue, amountNano },
      ],
    });
    if (transactionId === null) throw new StaleVersion('storage', organizationId);
    return transactionId;
  }

  private async move(tx: Tx, mark: StorageMarkRow, patch: Partial<StorageMarkRow>): Promise<void> {
    const { organizationId, version } = mark;
    const done = await tx.update(storageMarks, { organizationId, version }, { ...patch, version: version + 1 });
    if (done.length === 0) throw new StaleVersion('storage', organizationId);
  }
}

type Line = Pick<UsageRow, 'key' | 'projectId' | 'meter' | 'resource' | 'quantity' | 'unitPriceNano' | 'amountNano'>;

/** One hour of one organization, worked out: what is to be recorded, and the sums after it. Projects in the order of their ids. */
export function meterHour(of: {
  readonly mark: Pick<StorageMarkRow, 'month' | 'freeMbHours' | 'freeBytes' | 'organizationId'>;
  readonly fromMs: number;
  readonly kept: ReadonlyMap<string, bigint>;
  readonly counts: readonly Pick<EgressCountRow, 'projectId' | 'bytes'>[];
  readonly before: ReadonlyMap<string, StorageSumRow>;
  readonly prices: (projectId: string) => StoragePrices;
}): { lines: Line[]; sums: StorageSumRow[]; freeMbHours: bigint; freeBytes: bigint; amountNano: bigint } {
  const { mark, fromMs, kept, counts, before, prices } = of;
  const month = monthStart(fromMs);
  let [freeMbHours, freeBytes] = mark.month === month ? [mark.freeMbHours, mark.freeBytes] : [0n, 0n];
  const sent = new Map<string, bigint>();
  for (const { projectId, bytes } of counts) sent.set(projectId, (sent.get(projectId) ?? 0n) + bytes);
  const lines: Line[] = [];
  const sums: StorageSumRow[] = [];
  for (const projectId of [...new Set([...kept.keys(), ...sent.keys()])].sort()) {
    const had = before.get(projectId);
    const [paidMbHours, paidBytes] = had?.month === month ? [had.paidMbHours, had.paidBytes] : [0n, 0n];
    const hadByteMs = had?.byteMs ?? 0n;
    // What a project kept never becomes less; a source that says so must not give anything back.
    const byteMs = larger(kept.get(projectId) ?? 0n, hadByteMs);
    const quantity = mbHours(byteMs) - mbHours(hadByteMs);
    const price = prices(projectId);
    const stored = rateUnits(price.kept, quantity, { freeUsed: freeMbHours, paid: paidMbHours });
    const read = rateUnits(price.sent, sent.get(projectId) ?? 0n, { freeUsed: freeBytes, paid: paidBytes });
    freeMbHours += stored.free;
    freeBytes += read.free;
    lines.push(
      ...linesOf({ projectId, fromMs, meter: 'storage', resource: 'stored files' }, stored, price.kept),
      ...linesOf({ projectId, fromMs, meter: 'egress', resource: 'files sent' }, read, price.sent),
    );
    sums.push({
      projectId,
      organizationId: mark.organizationId,
      byteMs,
      month,
      paidMbHours: paidMbHours + stored.paid,
      paidBytes: paidBytes + read.paid,
    });
  }
  return { lines, sums, freeMbHours, freeBytes, amountNano: lines.reduce((n, l) => n + l.amountNano, 0n) };
}

/** What each project's part of the hour costs: budgets count it, and never refuse it, since the files are there already. */
function spentOf(lines: readonly Line[], key: string): { holder: string; projectId: string; amountNano: bigint }[] {
  const sums = new Map<string, bigint>();
  for (const { projectId, amountNano } of lines) sums.set(projectId, (sums.get(projectId) ?? 0n) + amountNano);
  return [...sums]
    .filter(([, amountNano]) => amountNano > 0n)
    .map(([projectId, amountNano]) => ({ holder: `${key}:${projectId}`, projectId, amountNano }));
}

/** What was free and what was not are records of their own, each with its price. */
function linesOf(
  of: Pick<Line, 'projectId' | 'meter' | 'resource'> & { readonly fromMs: number },
  { free, paid, amountNano }: RatedUnits,
  price: UnitPrice,
): Line[] {
  const { fromMs, ...rest } = of;
  const key = `${of.meter}:${of.projectId}:${fromMs}`;
  const whole = [
    { ...rest, key: `${key}:free`, quantity: free, unitPriceNano: 0n, amountNano: 0n },
    { ...rest, key, quantity: paid, unitPriceNano: price.perGb, amountNano },
  ];
  return whole.filter((line) => line.quantity > 0n);
}

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);

import { DAY, HOUR, MINUTE, newId, StaleVersion, type Clock, type Random } from '#kernel';
import type { PriceTerms } from '#contracts';
import { WORKER, type Store, type Tx } from '#platform/database';
import type { Reconciler } from '#platform/reconcile';
import { account, accounts, type Ledger } from '#money/ledger';
import { EVENT_PAST_MS, monthStart, usageRecords, usageRow, type UsageRow } from '#money/metering';
import { creditRoomOf } from '#money/quotas';
import { mbHours, rateUnits, storagePrices, type RatedUnits, type UnitPrice } from './rate.js';
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
  /** Organizations that keep anything, with the time of their first file. */
  owners(tx: Tx): Promise<readonly { readonly organizationId: string; readonly sinceMs: number }[]>;
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
  readonly prices: {
    inForce(tx: Tx, atMs: number): Promise<{ readonly terms: PriceTerms } | null>;
  };
  readonly files: KeptFiles;
  readonly clock: Clock;
  readonly random: Random;
  /** An hour that is metered later than this counts when it is charged; 35 days where nothing is said. */
  readonly lateMs?: number;
}

/**
 * Meters, hour by hour, what an organization's files take up and what of them was sent to it. One step is one hour: records, ledger transaction and
 * the mark move together. An hour that the credit does not cover is not metered until it does.
 */
export class Storage implements Reconciler {
  readonly kind = 'storage';

  constructor(private readonly d: Parts) {}

  /** Begins to meter organizations that have come to keep or to read something; returns how many. */
  async open(): Promise<number> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const known = new Set((await tx.find(storageMarks, {})).map((m) => m.organizationId));
      const since = new Map((await this.d.files.owners(tx)).map((o) => [o.organizationId, o.sinceMs]));
      for (const { organizationId, countedAt } of await tx.find(egressCounts, { chargedThrough: { isNull: true } }))
        since.set(organizationId, Math.min(since.get(organizationId) ?? countedAt, countedAt));
      const rows = [...since]
        .filter(([organizationId]) => !known.has(organizationId))
        .map(([organizationId, sinceMs]): StorageMarkRow => {
          const chargedThrough = Math.floor(sinceMs / HOUR) * HOUR;
          const month = monthStart(chargedThrough);
          const wakeAt = chargedThrough + HOUR + SETTLE_MS;
          return { organizationId, chargedThrough, month, freeMbHours: 0n, freeBytes: 0n, version: 1, wakeAt };
        });
      return (await tx.insertNew(storageMarks, rows)).length;
    });
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
    const prices = storagePrices((await this.d.prices.inForce(tx, fromMs))?.terms ?? null);
    const hour = meterHour({ mark, fromMs, kept, counts, before, prices });
    const { sums, freeMbHours, freeBytes, amountNano } = hour;
    const month = monthStart(fromMs);
    const key = `storage:${organizationId}:${fromMs}`;
    const transactionId = amountNano === 0n ? null : await this.charge(tx, organizationId, key, amountNano);
    if (transactionId === 'too-little') return false;
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
  readonly prices: ReturnType<typeof storagePrices>;
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
    const stored = rateUnits(prices.kept, quantity, { freeUsed: freeMbHours, paid: paidMbHours });
    const read = rateUnits(prices.sent, sent.get(projectId) ?? 0n, { freeUsed: freeBytes, paid: paidBytes });
    freeMbHours += stored.free;
    freeBytes += read.free;
    lines.push(
      ...linesOf({ projectId, fromMs, meter: 'storage', resource: 'stored files' }, stored, prices.kept),
      ...linesOf({ projectId, fromMs, meter: 'egress', resource: 'files sent' }, read, prices.sent),
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

import { chargeBetween, newId, StaleVersion, type Clock, type Random } from '#kernel';
import type { Tx } from '#platform/database';
import type { Holds } from '#money/quotas';
import { meterTime, type TimePiece } from './meter-time.js';
import { usageRecords, type Meter, type UsageRow } from './usage.table.js';

/** One interval of a lease to be metered; the caller moves the lease's `through` marks by compare-and-set in the same transaction. */
export interface LeaseInterval {
  readonly leaseId: string;
  readonly organizationId: string;
  readonly projectId: string;
  readonly jobId: string | null;
  readonly providerId: string;
  readonly holdId: string | null;
  readonly resource: string;
  /** The tenant pays from the accepted probe on; null = not accepted yet. */
  readonly charge: {
    readonly perHour: bigint;
    readonly startMs: number;
    readonly fromMs: number;
    readonly toMs: number;
  } | null;
  /** The vendor is owed from boot on. */
  readonly cost: {
    readonly perHour: bigint;
    readonly startMs: number;
    readonly fromMs: number;
    readonly toMs: number;
  } | null;
}

/** What one finished shard used up. */
export interface ShardUsage {
  readonly shard: {
    readonly id: string;
    readonly leaseId: string;
    readonly organizationId: string;
    readonly projectId: string;
    readonly jobId: string;
    readonly providerId: string;
    readonly resource: string;
    readonly fromMs: number;
    readonly toMs: number;
  };
  readonly counts: Partial<Record<Exclude<Meter, 'lease-time'>, number>>;
}

export interface MeteredAmounts {
  readonly chargedNano: bigint;
  readonly costNano: bigint;
  /** Charge that the hold no longer covered: borne by the broker. */
  readonly exposureNano: bigint;
}

const NOTHING: MeteredAmounts = { chargedNano: 0n, costNano: 0n, exposureNano: 0n };

/** Quantities over intervals become immutable usage records and, in the same transaction, ledger entries. */
export class Metering {
  constructor(
    private readonly holdsOf: Holds,
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /**
   * With `settleHold` the hold ends after it has paid. Throws StaleVersion (or UniqueViolation, where only one side is the same) when
   * somebody else has metered an interval with the same start: the caller's transaction is undone with it.
   */
  async leaseTime(tx: Tx, interval: LeaseInterval, settleHold = false): Promise<MeteredAmounts> {
    const pieces: UsageRow[] = [];
    for (const side of ['charge', 'cost'] as const) {
      const s = interval[side];
      if (!s || s.toMs <= s.fromMs) continue;
      // Cut at month ends, so that each record belongs to one invoice.
      for (let from = s.fromMs; from < s.toMs;) {
        const to = Math.min(s.toMs, monthEnd(from));
        pieces.push(
          this.row(interval, {
            key: `${interval.leaseId}:lease-time:${side}:${from}`,
            meter: 'lease-time',
            side,
            fromAt: from,
            toAt: to,
            quantity: BigInt(to - from),
            unit: 'ms',
            unitPriceNano: s.perHour,
            amountNano: chargeBetween(s.perHour, s.startMs, from, to),
          }),
        );
        from = to;
      }
    }
    if (pieces.length === 0) {
      if (settleHold && interval.holdId !== null) await this.holdsOf.settle(tx, interval.holdId);
      return NOTHING;
    }
    const full = sum(pieces, 'charge');
    const { chargedNano } = await tx.call(meterTime, {
      id: newId('transaction', this.clock.now(), this.random),
      key: `usage:${pieces.map((p) => p.key).join('|')}`,
      organizationId: interval.organizationId,
      reference: interval.leaseId,
      providerId: interval.providerId,
      holdId: interval.holdId,
      settle: settleHold && interval.holdId !== null,
      at: await tx.now(),
      pieces: pieces.map(timePiece),
    });
    if (chargedNano === null) throw new StaleVersion('lease', interval.leaseId);
    return { chargedNano, costNano: sum(pieces, 'cost'), exposureNano: full - chargedNano };
  }

  /** Tokens and lines of finished shards; counted once whatever happens, priced at zero while the lease is paid by time. */
  async shardCounts(tx: Tx, finished: readonly ShardUsage[]): Promise<void> {
    const rows = finished.flatMap(({ shard, counts }) =>
      (Object.entries(counts) as [Exclude<Meter, 'lease-time'>, number][])
        .filter(([, n]) => n > 0)
        .map(([meter, n]) =>
          this.row(shard, {
            key: `${shard.id}:${meter}`,
            meter,
            side: 'charge',
            fromAt: shard.fromMs,
            toAt: shard.toMs,
            quantity: BigInt(n),
            unit: meter === 'lines' ? 'lines' : 'tokens',
            unitPriceNano: 0n,
            amountNano: 0n,
          }),
        ),
    );
    if (rows.length > 0) await tx.insertNew(usageRecords, rows);
  }

  private row(
    of: {
      leaseId: string;
      organizationId: string;
      projectId: string;
      jobId: string | null;
      providerId: string;
      resource: string;
    },
    rest: Pick<
      UsageRow,
      'key' | 'meter' | 'side' | 'fromAt' | 'toAt' | 'quantity' | 'unit' | 'unitPriceNano' | 'amountNano'
    >,
  ): UsageRow {
    const { leaseId, organizationId, projectId, jobId, providerId, resource } = of;
    return {
      id: newId('usage', this.clock.now(), this.random),
      leaseId,
      organizationId,
      projectId,
      jobId,
      providerId,
      resource,
      ...rest,
      transactionId: null,
      createdAt: this.clock.now(),
    };
  }
}

function timePiece(row: UsageRow): TimePiece {
  const { organizationId: _, providerId: __, transactionId: ___, fromAt, toAt, createdAt, ...piece } = row;
  const iso = (ms: number): string => new Date(ms).toISOString();
  return { ...piece, fromAt: iso(fromAt), toAt: iso(toAt), createdAt: iso(createdAt) };
}

const sum = (rows: readonly UsageRow[], side: 'charge' | 'cost'): bigint =>
  rows.reduce((a, r) => (r.side === side ? a + r.amountNano : a), 0n);

/** First instant of the next month, UTC. */
export function monthEnd(ms: number): number {
  const d = new Date(ms);
  return Date.UTC(d.getUTCFullYear(), d.getUTCMonth() + 1, 1);
}

/** First instant of the month, UTC. */
export function monthStart(ms: number): number {
  const d = new Date(ms);
  return Date.UTC(d.getUTCFullYear(), d.getUTCMonth(), 1);
}

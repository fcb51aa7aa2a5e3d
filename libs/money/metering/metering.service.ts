import { chargeBetween, newId, StaleVersion, type Clock, type Random } from '#kernel';
import type { Tx } from '#platform/database';
import type { Holds } from '#money/quotas';
import { chargeTokens, type TokenUsage } from './tokens/charge.js';
import { meterTime, type TimePiece } from './meter-time.js';
import { monthEnd, usageRecords, usageRow, type Meter, type UsageRow } from './usage.table.js';

/** Of records of what a vendor's least time and increment add at a lease's end: nobody used it. */
const TAIL = 'lease-tail';
/** Of records of a machine that is paid for in advance: it costs nothing more. */
const RESERVED = 'reservation';

/** A leased machine as usage tells of it. */
export type Machine = Pick<UsageRow, 'providerClass' | 'model' | 'sku'>;

/** One interval of a lease to be metered; the caller moves the lease's `through` marks by compare-and-set in the same transaction. */
export interface LeaseInterval {
  readonly leaseId: string;
  readonly organizationId: string;
  readonly projectId: string;
  readonly jobId: string | null;
  readonly providerId: string;
  readonly holdId: string | null;
  readonly resource: string;
  /** What reports and prices ask for; left out where nobody asks. */
  readonly machine?: Machine;
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
    /** Where the use ended; what lies beyond it the vendor's least time and increment add. Left out: all of it was used. */
    readonly usedToMs?: number;
    /** Until then the machine belongs to a reservation that is paid for. Left out: it never did. */
    readonly reservedToMs?: number;
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
    readonly providerClass?: UsageRow['providerClass'];
    /** The language model that did it. */
    readonly model?: string | null;
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
    readonly clock: Clock,
    readonly random: Random,
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
      const usedTo = 'usedToMs' in s ? (s.usedToMs ?? s.toMs) : s.toMs;
      const reservedTo = 'reservedToMs' in s ? (s.reservedToMs ?? -Infinity) : -Infinity;
      // Cut at month ends, so that each record belongs to one invoice, where the use ended, and where a reservation does.
      for (let from = s.fromMs; from < s.toMs;) {
        const isReserved = from < reservedTo;
        const to = Math.min(
          s.toMs,
          monthEnd(from),
          from < usedTo ? usedTo : Infinity,
          isReserved ? reservedTo : Infinity,
        );
        pieces.push(
          this.row(interval, {
            ...interval.machine,
            ...(isReserved ? { source: RESERVED } : from < usedTo ? {} : { source: TAIL }),
            key: `${interval.leaseId}:lease-time:${side}:${from}`,
            meter: 'lease-time',
            side,
            fromAt: from,
            toAt: to,
            quantity: BigInt(to - from),
            unitPriceNano: isReserved ? 0n : s.perHour,
            amountNano: isReserved ? 0n : chargeBetween(s.perHour, Math.max(s.startMs, reservedTo), from, to),
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
            providerClass: shard.providerClass ?? null,
            model: shard.model ?? null,
            source: 'shard',
            key: `${shard.id}:${meter}`,
            meter,
            side: 'charge',
            fromAt: shard.fromMs,
            toAt: shard.toMs,
            quantity: BigInt(n),
            unitPriceNano: 0n,
            amountNano: 0n,
          }),
        ),
    );
    if (rows.length > 0) await tx.insertNew(usageRecords, rows);
  }

  /** Finished shards of jobs that are paid by tokens. */
  tokens(tx: Tx, finished: readonly TokenUsage[]): Promise<void> {
    return chargeTokens(tx, finished, this);
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
    rest: Omit<
      Parameters<typeof usageRow>[0],
      'id' | 'leaseId' | 'organizationId' | 'projectId' | 'jobId' | 'providerId' | 'resource' | 'createdAt'
    >,
  ): UsageRow {
    const { leaseId, organizationId, projectId, jobId, providerId, resource } = of;
    const now = this.clock.now();
    const id = newId('usage', now, this.random);
    return usageRow({ id, leaseId, organizationId, projectId, jobId, providerId, resource, ...rest, createdAt: now });
  }
}

function timePiece(row: UsageRow): TimePiece {
  const { organizationId: _, providerId: __, transactionId: ___, ...piece } = row;
  const iso = (ms: number): string => new Date(ms).toISOString();
  return {
    ...piece,
    fromAt: iso(row.fromAt),
    toAt: iso(row.toAt),
    periodHour: iso(row.periodHour),
    periodMonth: iso(row.periodMonth),
    createdAt: iso(row.createdAt),
  };
}

const sum = (rows: readonly UsageRow[], side: 'charge' | 'cost'): bigint =>
  rows.reduce((a, r) => (r.side === side ? a + r.amountNano : a), 0n);

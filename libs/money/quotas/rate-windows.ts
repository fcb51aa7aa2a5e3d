import type { QuotaAlert, QuotaAmounts } from './quotas.procedures.js';
import { begun, positive, thresholdOf, windowAfter } from './room.js';
import type { QuotaRow, RateClaim } from './quotas.table.js';

export type RateRow = Pick<
  QuotaRow,
  | 'id'
  | 'scope'
  | 'scopeId'
  | 'dimension'
  | 'per'
  | 'limitN'
  | 'mode'
  | 'used'
  | 'owed'
  | 'claims'
  | 'windowStart'
  | 'alerted'
>;

/** Who asks for a piece of work to go, and since when it got none. */
export interface Waiter {
  readonly id: string;
  readonly sinceMs: number;
}

type Row = RateRow & { isChanged: boolean };

/** Who waits asks every few seconds: one that was not heard of for so long is gone, and stands in nobody's way. */
export const CLAIM_MS = 120_000;
/** How stale the word of a waiter may get before it is written anew. */
const REFRESH_MS = CLAIM_MS / 4;

/**
 * Limits on requests and tokens, as work that comes in pieces counts against them. A piece goes while its window has any room, and counts
 * whole; what it uses beyond the limit is owed by the next windows, so that N windows together never let more through than N limits and one
 * piece. Who finds no room claims it: whoever waits longer goes first, and others only get what its claim leaves. So every waiter that keeps
 * asking gets its turn when those that waited longer have had theirs. Pure; the rows are locked by who keeps them.
 */
export class RateWindows {
  private readonly rows: Row[];
  private readonly atMs: number;

  constructor(rows: readonly RateRow[], nowMs: number) {
    // A clock that is behind counts in the window that has begun.
    this.atMs = Math.max(nowMs, ...rows.map((q) => q.windowStart));
    this.rows = rows.map((q) => {
      const claims = q.claims.filter((c) => c.seenMs > this.atMs - CLAIM_MS);
      return { ...begun(q, this.atMs), claims, isChanged: false };
    });
  }

  /** Counts a piece of work of these scopes; false: a limit has no room for it now, and its room was claimed instead. */
  admit(who: Waiter, scopeIds: readonly (string | null)[], amounts: QuotaAmounts): boolean {
    const limits = this.limitsOf(scopeIds, amounts);
    const shut = limits.filter((q) => !isOpen(q, who, amounts[q.dimension] ?? 0n));
    if (shut.length > 0) {
      for (const q of limits) {
        const waits = shut.includes(q) || holdsPlace(q, shut, who);
        this.claim(q, who, waits ? (amounts[q.dimension] ?? 0n) : null);
      }
      return false;
    }
    for (const q of limits) {
      q.used += amounts[q.dimension] ?? 0n;
      if (q.mode === 'hard') q.owed = positive(q.used - q.limitN);
      q.isChanged = true;
      this.claim(q, who, null);
    }
    return true;
  }

  /**
   * When the piece can go at the earliest, as far as is known: after those that wait longer and are heard of, and when what is owed is worked
   * off; Infinity: never under these limits.
   */
  opensAt(who: Waiter, scopeIds: readonly (string | null)[], amounts: QuotaAmounts): number {
    return Math.max(
      this.atMs,
      ...this.limitsOf(scopeIds, amounts)
        .filter((q) => !isOpen(q, who, amounts[q.dimension] ?? 0n))
        .map((q) => {
          if (q.limitN <= 0n) return Infinity;
          // A limit that was lowered has used more than it owes.
          const before = (q.used < q.limitN ? q.used : q.limitN + q.owed) + sumOf(ahead(q, who));
          return windowAfter(q.per, q.windowStart, Number(before / q.limitN));
        }),
    );
  }

  /** What was counted and claimed, as it is to be written, and the thresholds of soft limits that were reached by it. */
  counted(): {
    rows: readonly Pick<RateRow, 'id' | 'used' | 'owed' | 'claims' | 'windowStart' | 'alerted'>[];
    alerts: QuotaAlert[];
  } {
    const alerts: QuotaAlert[] = [];
    const rows = this.rows
      .filter((q) => q.isChanged)
      .map(({ id, scope, scopeId, dimension, per, limitN, mode, used, owed, claims, windowStart: start, alerted }) => {
        const percent = thresholdOf(used, limitN);
        const tell = mode === 'soft' && percent > alerted;
        if (tell)
          alerts.push({
            quotaId: id,
            scope,
            scopeId,
            dimension,
            per,
            limit: String(limitN),
            used: String(used),
            percent,
          });
        return { id, used, owed, claims, windowStart: start, alerted: tell ? percent : alerted };
      });
    return { rows, alerts };
  }

  private limitsOf(scopeIds: readonly (string | null)[], amounts: QuotaAmounts): Row[] {
    return this.rows.filter((q) => scopeIds.includes(q.scopeId) && (amounts[q.dimension] ?? 0n) > 0n);
  }

  /** Sets what one claims of a limit; null: nothing. */
  private claim(q: Row, { id, sinceMs }: Waiter, amount: bigint | null): void {
    const known = q.claims.find((c) => c.id === id);
    if (amount === null ? !known : known && isSame(known, sinceMs, amount) && this.atMs - known.seenMs < REFRESH_MS)
      return;
    const others = q.claims.filter((c) => c.id !== id);
    q.claims = amount === null ? others : [...others, { id, sinceMs, amount: String(amount), seenMs: this.atMs }];
    q.isChanged = true;
  }
}

/** The first in line needs any room at all; the others must fit whole beside what those before them claim. */
function isOpen(q: RateRow, who: Waiter, amount: bigint): boolean {
  if (q.mode === 'soft') return true;
  const before = ahead(q, who);
  return before.length === 0 ? q.used < q.limitN : q.used + sumOf(before) + amount <= q.limitN;
}

function ahead(q: RateRow, { id, sinceMs }: Waiter): RateClaim[] {
  return q.claims.filter((c) => c.id !== id && (c.sinceMs < sinceMs || (c.sinceMs === sinceMs && c.id < id)));
}

const sumOf = (claims: readonly RateClaim[]): bigint => claims.reduce((n, c) => n + BigInt(c.amount), 0n);

const isSame = (claim: RateClaim, sinceMs: number, amount: bigint): boolean =>
  claim.sinceMs === sinceMs && claim.amount === String(amount);

/** From the shortest window to the longest: each begins where a shorter one does. */
const LENGTHS: readonly QuotaRow['per'][] = ['minute', 'hour', 'day', 'month'];

/**
 * Whether one keeps its place at a limit that has room, while others have none: for one window at most, when all of those have room in their
 * next one. Without it somebody whose limits fill in turn (a key's and a project's) might find one of them full each time; with more of it a
 * piece that waits for its project's month would keep the organization's minutes empty.
 */
function holdsPlace(q: RateRow, shut: readonly RateRow[], who: Waiter): boolean {
  return (
    q.mode === 'hard' &&
    shut.every(
      (b) => LENGTHS.indexOf(b.per) <= LENGTHS.indexOf(q.per) && b.owed < b.limitN && ahead(b, who).length === 0,
    )
  );
}

import type { QuotaRow, QuotaWindow } from './quotas.table.js';

type Shared = Pick<QuotaRow, 'limitN' | 'used' | 'borrowingLimit' | 'lendingLimit'>;

const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
export const positive = (n: bigint): bigint => (n > 0n ? n : 0n);

/** What of a member's limit others may use. */
const lendable = (q: Shared): bigint => (q.lendingLimit === null ? q.limitN : least(q.limitN, q.lendingLimit));

/**
 * How much more one may take. Alone: the limit less the use. In a cohort (Kueue's words): its own guaranteed part first, then what of the
 * pool of all lendable parts nobody uses, and never more than the own limit and the borrowing limit together.
 * Of what owners have `claimed` back nothing is borrowed.
 */
export function roomOf(own: Shared, cohort: readonly Shared[] | null, claimed = 0n): bigint {
  if (cohort === null) return own.limitN - own.used;
  const pool = cohort.reduce((n, q) => n + lendable(q) - positive(q.used - (q.limitN - lendable(q))), 0n);
  const shared = positive(own.limitN - lendable(own) - own.used) + pool;
  const nominal = least(own.limitN - own.used, shared);
  const borrowable = shared - claimed;
  const most = own.borrowingLimit === null ? borrowable : least(borrowable, own.limitN + own.borrowingLimit - own.used);
  return nominal > most ? nominal : most;
}

/** How long an owner that was refused its own part keeps others from borrowing it; it asks again before that. */
export const WANTED_MS = 120_000;

/** What the other members of a cohort were refused of their own parts and still lack. */
export function claimedBeside(
  id: string,
  cohort: readonly (Shared & Pick<QuotaRow, 'id' | 'wantedN' | 'wantedUntil'>)[],
  nowMs: number,
): bigint {
  return cohort
    .filter((q) => q.id !== id && (q.wantedUntil ?? 0) > nowMs)
    .reduce((n, q) => n + least(q.wantedN, positive(q.limitN - q.used)), 0n);
}

/** The start of the window that `ms` is in, UTC. */
export function windowStart(per: QuotaWindow, ms: number): number {
  const d = new Date(ms);
  switch (per) {
    case 'ever':
      return 0;
    case 'minute':
      return ms - (ms % 60_000);
    case 'hour':
      return ms - (ms % 3_600_000);
    case 'day':
      return ms - (ms % 86_400_000);
    case 'month':
      return Date.UTC(d.getUTCFullYear(), d.getUTCMonth(), 1);
  }
}

const FIXED_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

const monthOf = (ms: number): number => new Date(ms).getUTCFullYear() * 12 + new Date(ms).getUTCMonth();

/** How many windows later `toMs` begins than `fromMs`; both are starts of windows. */
export function windowsBetween(per: QuotaWindow, fromMs: number, toMs: number): number {
  if (per === 'ever') return 0;
  return per === 'month' ? monthOf(toMs) - monthOf(fromMs) : Math.round((toMs - fromMs) / FIXED_MS[per]);
}

/** The start of the window that begins `n` windows after this one. */
export function windowAfter(per: QuotaWindow, startMs: number, n: number): number {
  if (per === 'ever') return startMs;
  return per === 'month'
    ? Date.UTC(new Date(startMs).getUTCFullYear(), new Date(startMs).getUTCMonth() + n)
    : startMs + n * FIXED_MS[per];
}

/** A limit in the window of `atMs`. What is owed is worked off by the windows since, each as much as the limit. */
export function begun<Q extends Pick<QuotaRow, 'per' | 'limitN' | 'used' | 'owed' | 'alerted' | 'windowStart'>>(
  q: Q,
  atMs: number,
): Q {
  const start = windowStart(q.per, atMs);
  if (q.windowStart >= start) return q;
  const since = BigInt(windowsBetween(q.per, q.windowStart, start));
  const used = positive(q.owed - (since - 1n) * q.limitN);
  return { ...q, used, owed: positive(used - q.limitN), alerted: 0, windowStart: start };
}

/** The highest threshold that this use has reached, in percent of the limit. */
export function thresholdOf(used: bigint, limit: bigint): 0 | 50 | 80 | 100 {
  if (used <= 0n) return 0;
  const reached = ([100, 80, 50] as const).find((percent) => used * 100n >= limit * BigInt(percent));
  return reached ?? 0;
}

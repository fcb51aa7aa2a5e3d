import { HOUR, splitByLargestRemainder } from '#kernel';

/** A promise to spend so much in each hour or month, for a discount. */
export interface Commitment {
  readonly per: 'hour' | 'month';
  readonly amountNano: bigint;
  readonly discountBps: number;
  readonly startsAt: number;
  readonly endsAt: number;
}

/** A charge over an interval, as a usage record has it. */
export interface Charged {
  readonly fromAt: number;
  readonly toAt: number;
  readonly amountNano: bigint;
}

/** A promise that the organization as a whole has made (no project), or one of its projects. */
export type Promised = Pick<Commitment, 'discountBps' | 'startsAt' | 'endsAt'> & { readonly projectId: string | null };

/** The discount in force for a project at an instant: the best of those that run then, of its own and of its organization's. */
export function commitmentBpsAt(list: readonly Promised[], projectId: string, atMs: number): number {
  return list
    .filter((c) => c.projectId === null || c.projectId === projectId)
    .reduce((best, c) => (c.startsAt <= atMs && atMs < c.endsAt ? Math.max(best, c.discountBps) : best), 0);
}

/**
 * What was charged in each whole hour from `fromMs` on, in nano-dollars. A charge that spans hours is split by its time with the
 * largest remainder, so the hours add up to exactly what was charged in them; what lies outside is left out.
 */
export function chargedByHour(charges: readonly Charged[], fromMs: number, toMs: number): bigint[] {
  const hours = Array.from({ length: Math.ceil((toMs - fromMs) / HOUR) }, () => 0n);
  for (const { fromAt, toAt, amountNano } of charges) {
    if (toAt <= fromAt) continue;
    const cuts: { hour: number; ms: bigint }[] = [];
    for (let at = fromAt; at < toAt;) {
      const hour = Math.floor((at - fromMs) / HOUR);
      const end = Math.min(toAt, fromMs + (hour + 1) * HOUR);
      cuts.push({ hour, ms: BigInt(end - at) });
      at = end;
    }
    const parts = splitByLargestRemainder(
      amountNano,
      cuts.map((c) => c.ms),
    );
    cuts.forEach(({ hour }, i) => {
      const had = hours[hour];
      if (had !== undefined) hours[hour] = had + (parts[i] ?? 0n);
    });
  }
  return hours;
}

/** A stretch of a month, and how long the whole month is. */
export interface Period {
  readonly fromMs: number;
  readonly toMs: number;
  readonly lengthMs: number;
}

/**
 * What is to be paid for a period beyond what was charged in it: per month the promise less the charges, per hour the same for
 * each hour, where an hour beyond the promise pays for no other. A part of an hour or month is promised in proportion, rounded down.
 */
export function shortfall(commitment: Commitment, period: Period, charges: readonly Charged[]): bigint {
  const { fromMs, toMs } = promisedOf(commitment, period);
  return toMs <= fromMs ? 0n : shortfallOfHours(commitment, period, chargedByHour(charges, fromMs, toMs));
}

/** The part of a period in which a promise runs; it ends before it begins where the promise does not run. */
export function promisedOf(commitment: Commitment, period: Period): { fromMs: number; toMs: number } {
  return { fromMs: Math.max(period.fromMs, commitment.startsAt), toMs: Math.min(period.toMs, commitment.endsAt) };
}

/** `shortfall` from what was charged in each hour of `promisedOf`. */
export function shortfallOfHours(commitment: Commitment, period: Period, hours: readonly bigint[]): bigint {
  const { fromMs, toMs } = promisedOf(commitment, period);
  if (toMs <= fromMs) return 0n;
  if (commitment.per === 'month') {
    const promised = (commitment.amountNano * BigInt(toMs - fromMs)) / BigInt(period.lengthMs);
    return missing(
      promised,
      hours.reduce((a, h) => a + h, 0n),
    );
  }
  return hours.reduce((sum, charged, i) => {
    const ms = Math.min(HOUR, toMs - (fromMs + i * HOUR));
    return sum + missing((commitment.amountNano * BigInt(ms)) / BigInt(HOUR), charged);
  }, 0n);
}

const missing = (promised: bigint, charged: bigint): bigint => (charged < promised ? promised - charged : 0n);

import { formatCents } from '#kernel';

/** What an offer asks of the constraints on cost: nano-dollars per hour (all machines) and in all, seconds. */
export interface Figures {
  pricePerHour: number;
  spent: number;
  p90S: number;
}

/** Dollars of a limit, rounded up to cents: what is below it would not do. */
export const dollars = (nano: number): string =>
  Number.isFinite(nano) ? formatCents(BigInt(Math.ceil(nano / 1e7)) * 10_000_000n) : 'more';

/** Seconds in the two largest units that say enough: "45 s", "12 min", "2 h 33 min", "3 d 4 h". */
export function duration(seconds: number): string {
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return two(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.round(s / 3_600);
  return two(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/** Seconds of a limit in the same units, rounded up: what is below it would not do. */
export function durationLimit(seconds: number): string {
  const unit = seconds <= 59 ? 1 : seconds <= 48 * 3_600 - 60 ? 60 : 3_600;
  return duration(Math.ceil(seconds / unit) * unit);
}

const two = (a: number, unitA: string, b: number, unitB: string): string =>
  b === 0 ? `${a} ${unitA}` : `${a} ${unitA} ${b} ${unitB}`;

/** A share as whole per cent; below one per cent with one decimal. */
export function percent(share: number): string {
  const p = share * 100;
  return p > 0 && p < 1 ? `${p.toFixed(1)} %` : `${Math.round(p)} %`;
}

/** What a winner that counts more than another was chosen for all the same. */
export const givenUpFor = {
  blocks: 'given up so that whole blocks of GPUs stay free',
  reserved: 'given up for a machine that the broker has reserved',
} as const;
export type GivenUpFor = (typeof givenUpFor)[keyof typeof givenUpFor];

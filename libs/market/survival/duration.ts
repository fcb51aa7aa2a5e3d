import { leftAfter } from './forgetting.js';

/** Times (boots, repairs) as sums of their logarithms with a half-life of a week: log-normal. */
export interface DurationEvidence {
  readonly atMs: number;
  readonly n: number;
  readonly sumLog: number;
  readonly sumLogSquared: number;
  /** Never forgotten: what is shown as seen. */
  readonly seen: number;
}

/** Median and spread (standard deviation of the logarithm) before own evidence, worth `n` times. */
export interface DurationPrior {
  readonly medianS: number;
  readonly spread: number;
  readonly n: number;
}

export const noDurationEvidence = (atMs: number): DurationEvidence => ({
  atMs,
  n: 0,
  sumLog: 0,
  sumLogSquared: 0,
  seen: 0,
});

/** A week: 168 hours, the fifth of the half-lives. */
const week = (ms: number): number => leftAfter(ms)[4] ?? 1;

export function observeDuration(
  before: DurationEvidence,
  seen: { readonly atMs: number; readonly seconds: number },
): DurationEvidence {
  const now = Math.max(before.atMs, seen.atMs);
  const old = week(now - before.atMs);
  const late = week(now - seen.atMs);
  const log = Math.log(Math.max(1, seen.seconds));
  return {
    atMs: now,
    n: before.n * old + late,
    sumLog: before.sumLog * old + log * late,
    sumLogSquared: before.sumLogSquared * old + log * log * late,
    seen: before.seen + 1,
  };
}

/** What is believed at a later moment, in the form of a prior for what lies below. */
export function durationOf(evidence: DurationEvidence, nowMs: number, prior: DurationPrior): DurationPrior {
  const left = week(nowMs - evidence.atMs);
  const n = evidence.n * left;
  const mean = Math.log(prior.medianS);
  const total = prior.n + n;
  const centre = (prior.n * mean + evidence.sumLog * left) / total;
  const squares = prior.n * (prior.spread ** 2 + mean ** 2) + evidence.sumLogSquared * left;
  return {
    medianS: Math.exp(centre),
    spread: Math.sqrt(Math.max(1e-4, squares / total - centre ** 2)),
    n: prior.n,
  };
}

/** Seconds within which a share of such times ends, for standard normal quantile z. */
export const durationQuantileS = (d: DurationPrior, z: number): number => d.medianS * Math.exp(z * d.spread);

/** Mean of the log-normal. */
export const meanDurationS = (d: DurationPrior): number => d.medianS * Math.exp(d.spread ** 2 / 2);

import { evenWeights, HALF_LIVES_H, leftAfter, reweighed, type Forgetting } from './forgetting.js';
import { gammaInterval, mixed, type Posterior } from './posterior.js';

/**
 * Events against what was expected of them, forgotten at several speeds at once: a ratio to a known rate (Gamma-Poisson).
 * The expectation is an integral of the prior hazard, so that age is allowed for before anything is compared.
 */
export interface RateEvidence extends Forgetting {
  readonly events: readonly number[];
  readonly expected: readonly number[];
  /** Never forgotten: what is shown as seen. */
  readonly seenEvents: number;
}

export interface RateObservation {
  readonly atMs: number;
  readonly events: number;
  /** Events that the prior rate would have brought. */
  readonly expected: number;
}

/** What the ratio is believed to be before own evidence, and how many events that belief is worth. */
export interface RatePrior {
  readonly ratio: number;
  readonly events: number;
}

export const noRateEvidence = (atMs: number): RateEvidence => ({
  atMs,
  weights: evenWeights(),
  events: HALF_LIVES_H.map(() => 0),
  expected: HALF_LIVES_H.map(() => 0),
  seenEvents: 0,
});

/** Evidence after one more observation. One that comes late counts what is left of it; order at one moment does not matter. */
export function observeRate(before: RateEvidence, seen: RateObservation, prior: RatePrior): RateEvidence {
  const now = Math.max(before.atMs, seen.atMs);
  const old = leftAfter(now - before.atMs);
  const late = leftAfter(now - seen.atMs);
  const events: number[] = [];
  const expected: number[] = [];
  const logs: number[] = [];
  HALF_LIVES_H.forEach((_, j) => {
    const e = (before.events[j] ?? 0) * (old[j] ?? 0);
    const x = (before.expected[j] ?? 0) * (old[j] ?? 0);
    const k = seen.events * (late[j] ?? 0);
    const y = seen.expected * (late[j] ?? 0);
    logs.push(logPredictive(prior.events + e, prior.events / prior.ratio + x, seen.events, seen.expected));
    events.push(e + k);
    expected.push(x + y);
  });
  return {
    atMs: now,
    weights: reweighed(before.weights, logs, now > before.atMs),
    events,
    expected,
    seenEvents: before.seenEvents + seen.events,
  };
}

/** Log of the negative binomial chance of k events in exposure y, without its coefficient: that is the same for all. */
function logPredictive(shape: number, rate: number, k: number, y: number): number {
  let log = shape * Math.log(rate) - (shape + k) * Math.log(rate + y);
  for (let i = 0; i < k; i++) log += Math.log(shape + i);
  return log;
}

/** The ratio that is believed in at a later moment. */
export function ratioOf(evidence: RateEvidence, nowMs: number, prior: RatePrior): Posterior {
  const left = leftAfter(nowMs - evidence.atMs);
  let sampleSize = 0;
  const parts = HALF_LIVES_H.map((_, j) => {
    const weight = evidence.weights[j] ?? 0;
    const shape = prior.events + (evidence.events[j] ?? 0) * (left[j] ?? 0);
    const rate = prior.events / prior.ratio + (evidence.expected[j] ?? 0) * (left[j] ?? 0);
    sampleSize += weight * (shape - prior.events);
    return { weight, mean: shape / rate, variance: shape / rate ** 2 };
  });
  const { mean, variance } = mixed(parts);
  return { mean, ...gammaInterval(mean, variance), sampleSize };
}

/** Only the mean, for inner loops. */
export function meanRatio(evidence: RateEvidence, nowMs: number, prior: RatePrior): number {
  const left = leftAfter(nowMs - evidence.atMs);
  let mean = 0;
  for (let j = 0; j < HALF_LIVES_H.length; j++) {
    const l = left[j] ?? 0;
    const shape = prior.events + (evidence.events[j] ?? 0) * l;
    mean += ((evidence.weights[j] ?? 0) * shape) / (prior.events / prior.ratio + (evidence.expected[j] ?? 0) * l);
  }
  return mean;
}

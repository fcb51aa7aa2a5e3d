import { evenWeights, HALF_LIVES_H, leftAfter, reweighed, type Forgetting } from './forgetting.js';
import { betaInterval, mixed, type Posterior } from './posterior.js';

/** Trials that went well or not, forgotten at several speeds at once (Beta-Bernoulli). */
export interface ProportionEvidence extends Forgetting {
  readonly good: readonly number[];
  readonly bad: readonly number[];
  /** Never forgotten: what is shown as seen. */
  readonly seenTrials: number;
}

/** What the proportion is believed to be before own evidence, and how many trials that belief is worth. */
export interface ProportionPrior {
  readonly mean: number;
  readonly trials: number;
}

export const noProportionEvidence = (atMs: number): ProportionEvidence => ({
  atMs,
  weights: evenWeights(),
  good: HALF_LIVES_H.map(() => 0),
  bad: HALF_LIVES_H.map(() => 0),
  seenTrials: 0,
});

/** Evidence after one more trial; `worth` (up to 1) is what it counts where trials resemble each other. */
export function observeTrial(
  before: ProportionEvidence,
  seen: { readonly atMs: number; readonly isGood: boolean; readonly worth?: number },
  prior: ProportionPrior,
): ProportionEvidence {
  const now = Math.max(before.atMs, seen.atMs);
  const old = leftAfter(now - before.atMs);
  const late = leftAfter(now - seen.atMs);
  const worth = seen.worth ?? 1;
  const good: number[] = [];
  const bad: number[] = [];
  const logs: number[] = [];
  HALF_LIVES_H.forEach((_, j) => {
    const g = (before.good[j] ?? 0) * (old[j] ?? 0);
    const b = (before.bad[j] ?? 0) * (old[j] ?? 0);
    const foretold = (prior.mean * prior.trials + g) / (prior.trials + g + b);
    logs.push(worth * Math.log(seen.isGood ? foretold : 1 - foretold));
    good.push(g + (seen.isGood ? worth * (late[j] ?? 0) : 0));
    bad.push(b + (seen.isGood ? 0 : worth * (late[j] ?? 0)));
  });
  return {
    atMs: now,
    weights: reweighed(before.weights, logs, now > before.atMs),
    good,
    bad,
    seenTrials: before.seenTrials + 1,
  };
}

/** The proportion that is believed in at a later moment. */
export function proportionOf(evidence: ProportionEvidence, nowMs: number, prior: ProportionPrior): Posterior {
  const left = leftAfter(nowMs - evidence.atMs);
  let sampleSize = 0;
  const parts = HALF_LIVES_H.map((_, j) => {
    const weight = evidence.weights[j] ?? 0;
    const a = prior.mean * prior.trials + (evidence.good[j] ?? 0) * (left[j] ?? 0);
    const b = (1 - prior.mean) * prior.trials + (evidence.bad[j] ?? 0) * (left[j] ?? 0);
    sampleSize += weight * (a + b - prior.trials);
    const mean = a / (a + b);
    return { weight, mean, variance: (mean * (1 - mean)) / (a + b + 1) };
  });
  const { mean, variance } = mixed(parts);
  return { mean, ...betaInterval(mean, variance), sampleSize };
}

/**
 * How fast knowledge grows old is not known beforehand and changes: evidence is kept under several half-lives at once,
 * and each is believed by how well it foretold what came (fixed share: Herbster and Warmuth, Machine Learning 32, 1998).
 */
export const HALF_LIVES_H: readonly number[] = [0.5, 2, 8, 32, 168, Infinity];

/** Part of the belief that is dealt out again at each new moment, so that no half-life is ever ruled out. */
const SHARE = 0.02;
/** Losses come in batches: a likelihood counts for half of its logarithm. */
const LIKELIHOOD_POWER = 0.5;
const HOUR_MS = 3_600_000;

/** What is kept under each half-life; arrays run along `HALF_LIVES_H`. */
export interface Forgetting {
  readonly atMs: number;
  /** Belief in each half-life; they sum to one. */
  readonly weights: readonly number[];
}

export const evenWeights = (): number[] => HALF_LIVES_H.map(() => 1 / HALF_LIVES_H.length);

/** What is left of evidence after that time, per half-life. */
export function leftAfter(ms: number): number[] {
  const hours = Math.max(0, ms) / HOUR_MS;
  return HALF_LIVES_H.map((h) => (h === Infinity ? 1 : 0.5 ** (hours / h)));
}

/** Belief after the logarithms of what each half-life foretold; `isNewMoment` deals a share out again first. */
export function reweighed(
  weights: readonly number[],
  logLikelihoods: readonly number[],
  isNewMoment: boolean,
): number[] {
  const share = isNewMoment ? SHARE : 0;
  const most = Math.max(...logLikelihoods);
  const raw = weights.map((w, j) => {
    const before = (1 - share) * w + share / weights.length;
    return before * Math.exp(LIKELIHOOD_POWER * ((logLikelihoods[j] ?? most) - most));
  });
  const sum = raw.reduce((a, b) => a + b, 0);
  return raw.map((w) => w / sum);
}

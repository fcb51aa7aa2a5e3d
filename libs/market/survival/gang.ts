/**
 * A gang of n machines in one zone is lost n^g times as often as one: losses come in batches, so g is far below one
 * (0.39 fits 16 H100 of one public record). The belief about g is kept on a grid.
 */
const GRID: readonly number[] = Array.from({ length: 21 }, (_, i) => i / 20);
export const GANG_PRIOR = { mean: 0.4, sd: 0.15 };
/** How zones take machines back changes over months, not over hours. */
const HALF_LIFE_MS = 30 * 86_400_000;

/** Log-weight of each exponent of the grid against the prior, as of `atMs`; an empty list is the prior. */
export interface GangEvidence {
  readonly atMs: number;
  readonly logLikelihoods: readonly number[];
  /** Batches in which something was lost; never forgotten. */
  readonly batches: number;
}

export const noGangEvidence = (atMs: number): GangEvidence => ({ atMs, logLikelihoods: [], batches: 0 });

/** Machines of one kind in one zone that ran together, and how many of them were lost together: at least one. */
export interface LossBatch {
  readonly atMs: number;
  readonly members: number;
  readonly lost: number;
}

const logPrior = (g: number): number => -((g - GANG_PRIOR.mean) ** 2) / (2 * GANG_PRIOR.sd ** 2);
const left = (ms: number): number => 0.5 ** (Math.max(0, ms) / HALF_LIFE_MS);

/**
 * After a batch: for a gang of all its members that was one loss, and each member was lost `lost / members` times. Poisson with
 * rate n^g x the losses of one: most likely is n^g = members / lost, so 1 where machines are lost one by one and 0 where all go at once.
 */
export function observeBatch(before: GangEvidence, { atMs, members, lost }: LossBatch): GangEvidence {
  if (members < 2 || lost < 1) return before;
  const now = Math.max(before.atMs, atMs);
  const [old, late] = [left(now - before.atMs), left(now - atMs)];
  const logN = Math.log(members);
  const ofOne = Math.min(1, lost / members);
  const raw = GRID.map(
    (g, i) => old * (before.logLikelihoods[i] ?? 0) + late * (g * logN - ofOne * Math.exp(g * logN)),
  );
  const most = Math.max(...raw);
  return { atMs: now, logLikelihoods: raw.map((l) => l - most), batches: before.batches + 1 };
}

/** The exponent that is believed in at a later moment: the prior's, where nothing was seen or all of it is long ago. */
export function gangExponent(evidence: GangEvidence, nowMs: number): number {
  const old = left(nowMs - evidence.atMs);
  let sum = 0;
  let mean = 0;
  GRID.forEach((g, i) => {
    const w = Math.exp(logPrior(g) + old * (evidence.logLikelihoods[i] ?? 0));
    sum += w;
    mean += w * g;
  });
  return mean / sum;
}

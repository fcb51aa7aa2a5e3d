/**
 * A gang of n machines in one zone is lost n^g times as often as one: losses come in batches, so g is far below one
 * (0.39 fits 16 H100 of one public record). The belief about g is kept on a grid.
 */
const GRID: readonly number[] = Array.from({ length: 21 }, (_, i) => i / 20);
const PRIOR_MEAN = 0.4;
const PRIOR_SD = 0.15;

/** Log-weight of each exponent of the grid; an empty list is the prior. */
export interface GangEvidence {
  readonly logWeights: readonly number[];
  readonly events: number;
}

export const noGangEvidence: GangEvidence = { logWeights: [], events: 0 };

const priorLog = (g: number): number => -((g - PRIOR_MEAN) ** 2) / (2 * PRIOR_SD ** 2);

/** After gangs of `members` were lost `events` times where one machine was expected to be lost `expectedOfOne` times. */
export function observeGang(
  before: GangEvidence,
  seen: { readonly members: number; readonly events: number; readonly expectedOfOne: number },
): GangEvidence {
  if (seen.members < 2) return before;
  const logN = Math.log(seen.members);
  const raw = GRID.map(
    (g, i) => (before.logWeights[i] ?? priorLog(g)) + seen.events * g * logN - seen.expectedOfOne * Math.exp(g * logN),
  );
  const most = Math.max(...raw);
  return { logWeights: raw.map((l) => l - most), events: before.events + seen.events };
}

/** The exponent that is believed in. */
export function gangExponent(evidence: GangEvidence): number {
  let sum = 0;
  let mean = 0;
  GRID.forEach((g, i) => {
    const w = Math.exp(evidence.logWeights[i] ?? priorLog(g));
    sum += w;
    mean += w * g;
  });
  return mean / sum;
}

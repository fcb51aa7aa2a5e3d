import type { Offer, PricingModel, Workload } from '#contracts';
import { pricingModels } from '#contracts';
import type { RankedOffer, Ranking } from '../columns/ranking.js';

/** What finishes the work in time when everything before it has failed: begun at the deadline less `startS` less `workS`. */
export interface Fallback {
  readonly offer: Offer;
  /** Until it is noticed, boot, failed starts and losses on the way, to the 90th percentile. */
  readonly startS: number;
  /** Useful work that was left when this was found. */
  readonly workS: number;
}

export interface DeadlineChoice {
  readonly ranking: Ranking;
  /** Set when the winner is a machine that may be taken away at any time. */
  readonly fallback: Fallback | null;
  /** Nothing is likely to be done by the deadline; the ranking is by what is fastest. */
  readonly isLate: boolean;
}

const isSpot = (pricing: PricingModel): boolean => pricing === 'spot';

function limitedTo(workload: Workload, pricing: readonly PricingModel[], deadlineS: number | null): Workload {
  const { deadlineS: given, ...rest } = workload.constraints;
  const limit = deadlineS === null || given === undefined ? {} : { deadlineS };
  return { ...workload, constraints: { ...rest, ...limit, pricing: [...pricing] } };
}

/** Two looks at a job: until it is seen that it must move, and until the move is made. */
const NOTICED_S = 15;

/** Least time in which a machine of that offer has done anything worth keeping: its boot, and what one loss can take away. */
const firstGainS = (spot: RankedOffer, atRiskS: number): number =>
  spot.time.reliability.bootS + Math.min(spot.time.usefulS, atRiskS);

/**
 * Work with a deadline starts on a machine that may be taken away only when that is cheaper and when, if it comes to
 * nothing, a machine that is not taken away still finishes in time to the 90th percentile (the safety net of Uniform
 * Progress; Wu et al., Can't Be Late, NSDI 2024). `atRiskS` is the work that is lost with a machine: a shard, or all of it.
 */
export async function chooseByDeadline(
  rank: (workload: Workload) => Promise<Ranking>,
  workload: Workload,
  atRiskS: number,
  /** The one of a ranking that would be tried first. */
  firstOf: (ranking: Ranking) => RankedOffer | undefined,
): Promise<DeadlineChoice> {
  const deadlineS = workload.constraints.deadlineS ?? Infinity;
  const allowed = workload.constraints.pricing ?? pricingModels;
  const steady = allowed.filter((p) => !isSpot(p));
  const onSteady = steady.length > 0 ? await rank(limitedTo(workload, steady, deadlineS)) : null;
  const safe = onSteady ? firstOf(onSteady) : undefined;
  if (onSteady && safe) {
    const onSpot = steady.length < allowed.length ? await rank(limitedTo(workload, ['spot'], null)) : null;
    const spot = onSpot ? firstOf(onSpot) : undefined;
    const { offer, time } = safe;
    const fallback = { offer, startS: time.p90S - time.usefulS + NOTICED_S, workS: time.usefulS };
    const isCheaper = spot !== undefined && spot.cost.total < safe.cost.total;
    if (onSpot && isCheaper && firstGainS(spot, atRiskS) + fallback.startS + fallback.workS <= deadlineS)
      return { ranking: onSpot, fallback, isLate: false };
    return { ranking: onSteady, fallback: null, isLate: false };
  }
  const inTime = await rank(workload);
  if (inTime.ranked.length > 0) return { ranking: inTime, fallback: null, isLate: false };
  const fastest = await rank({ ...limitedTo(workload, allowed, null), objective: 'fastest' });
  return { ranking: fastest.ranked.length > 0 ? fastest : inTime, fallback: null, isLate: fastest.ranked.length > 0 };
}

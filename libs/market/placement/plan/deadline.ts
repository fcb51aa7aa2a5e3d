import type { Offer, PricingModel, Workload } from '#contracts';
import { pricingModels } from '#contracts';
import type { RankedOffer, Ranking } from '../columns/ranking.js';

/** What finishes the work in time when everything before it has failed: begun at the deadline less `startS` less `workS`. */
export interface Fallback {
  readonly offer: Offer;
  /** Boot, failed starts and losses on the way, to the 90th percentile. */
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

/** Least time in which a machine of that offer has done anything worth keeping: its boot, and what one loss can take away. */
const firstGainS = (spot: RankedOffer, atRiskS: number): number =>
  spot.time.reliability.bootS + Math.min(spot.time.usefulS, atRiskS);

/**
 * Work with a deadline starts on a machine that may be taken away only when that is cheaper and when, if it comes to
 * nothing, a machine that is not taken away still finishes in time to the 90th percentile (the safety net of Uniform
 * Progress; Wu et al., Can't Be Late, NSDI 2024). `atRiskS` is the work that is lost with a machine: a shard, or all of it.
 */
export function chooseByDeadline(
  rank: (workload: Workload) => Ranking,
  workload: Workload,
  atRiskS: number,
): DeadlineChoice {
  const deadlineS = workload.constraints.deadlineS ?? Infinity;
  const allowed = workload.constraints.pricing ?? pricingModels;
  const steady = allowed.filter((p) => !isSpot(p));
  const onSteady = steady.length > 0 ? rank(limitedTo(workload, steady, deadlineS)) : null;
  const safe = onSteady?.ranked[0];
  if (onSteady && safe) {
    const onSpot = steady.length < allowed.length ? rank(limitedTo(workload, ['spot'], null)) : null;
    const spot = onSpot?.ranked[0];
    const isCheaper = spot !== undefined && spot.cost.total < safe.cost.total;
    if (onSpot && isCheaper && firstGainS(spot, atRiskS) + safe.time.p90S <= deadlineS) {
      const { offer, time } = safe;
      return {
        ranking: onSpot,
        fallback: { offer, startS: time.p90S - time.usefulS, workS: time.usefulS },
        isLate: false,
      };
    }
    return { ranking: onSteady, fallback: null, isLate: false };
  }
  const inTime = rank(workload);
  if (inTime.ranked.length > 0) return { ranking: inTime, fallback: null, isLate: false };
  const fastest = rank({ ...limitedTo(workload, allowed, null), objective: 'fastest' });
  return { ranking: fastest.ranked.length > 0 ? fastest : inTime, fallback: null, isLate: fastest.ranked.length > 0 };
}

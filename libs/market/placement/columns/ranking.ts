import type { Offer, RejectionDimension, Workload } from '#contracts';
import type { PlacementContext } from '../context.js';
import type { ExpectedCost, TimeTerms } from '../cost/cost.js';

export interface RankedOffer {
  readonly offer: Offer;
  readonly cost: ExpectedCost;
  /** Price-independent side of the cost: times, losses, beliefs. */
  readonly time: TimeTerms;
  /** What the offer's figures were believed at; below `offer.confidence` for old price lists. */
  readonly confidence: number;
}

/** Offers that a single dimension keeps out, and the one of them that would cost least. */
export interface NearMiss {
  readonly dimension: RejectionDimension;
  readonly offers: number;
  /** Null where the work has no known time on any of them. */
  readonly nearest: RankedOffer | null;
}

/** One decision as data: best candidates first, and what became of every other offer. */
export interface Ranking {
  readonly workload: Workload;
  readonly context: PlacementContext;
  readonly considered: number;
  readonly fitting: number;
  readonly ranked: readonly RankedOffer[];
  readonly rejections: Partial<Record<RejectionDimension, number>>;
  /** Empty where the context does not ask for them. */
  readonly nearMisses: readonly NearMiss[];
  /** The fitting offer with the lowest price per hour; of equal prices the one that costs least in all. */
  readonly leastListed: RankedOffer | null;
  /** The first was chosen among so many hosts that offer the same, so that blocks of GPUs stay whole; absent: it counts least. */
  readonly packedAmong?: number;
  /** The first is a machine that the broker has reserved, counted at what its price is made from; absent: it counts least. */
  readonly firstIsReserved?: true;
  readonly hints: readonly string[];
  /** What cannot be had together where nothing fits, with the figure that would do. */
  readonly contradictions: readonly string[];
}

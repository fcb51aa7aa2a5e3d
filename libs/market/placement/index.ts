export { buildOfferIndex, offerAt, OfferIndex, type OfferChanges } from './columns/catalog-index.js';
export {
  EGRESS_DOLLARS_PER_GB,
  EGRESS_DOLLARS_PER_GB_AT,
  placementContext,
  RENTABLE_STALE_AFTER_MS,
  STORAGE_DOLLARS_PER_GB_MONTH,
  type CoolingDown,
  type OwnedMachines,
  type PlacementContext,
} from './context.js';
export { costNumbers, expectedCost, spentOf, timeTerms, type ExpectedCost, type TimeTerms } from './cost/cost.js';
export { checkpointing, type Checkpointing } from './cost/checkpoint.js';
export { compatibility, type Compatibility } from './fit/compatibility.js';
export { fabricShare, type FabricShare } from './fit/fabric.js';
export { demandOf, usefulTime, type Demand } from './fit/demand.js';
export { beliefOf } from './columns/narrow-beliefs.js';
export { reasonsFor } from './explain/explain.js';
export { carriesGang, offerFailures } from './fit/filter.js';
export { objectiveWeights, type ObjectiveWeights } from './cost/objectives.js';
export { chooseByDeadline, type DeadlineChoice, type Fallback } from './plan/deadline.js';
export { chooseOwned, type Reserved } from './plan/owned.js';
export { failureDomain, planDefaults, planTries, type PlanOptions } from './plan/plan.js';
export { rankInSlices, rankList, rankOffers, SLICE } from './columns/rank.js';
export type { NearMiss, RankedOffer, Ranking } from './columns/ranking.js';
export { renewal, type Renewal, type RenewalQuery } from './cost/renewal.js';
export { headlineScores, type HeadlineScores } from './explain/scores.js';
export { hardwareSpeeds, type Speeds, type Work } from './cost/speeds.js';
export { candidatesOf, rankingView, type RankingView } from './explain/view.js';
export { Placements, type Placed, type PlacementTimes } from './placement.service.js';
export { placements, type PlacementRow } from './placement.table.js';

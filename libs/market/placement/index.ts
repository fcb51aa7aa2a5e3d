export { buildOfferIndex, offerAt, type OfferIndex } from './catalog-index.js';
export {
  EGRESS_DOLLARS_PER_GB,
  placementContext,
  RENTABLE_STALE_AFTER_MS,
  type CoolingDown,
  type PlacementContext,
} from './context.js';
export { costNumbers, expectedCost, spentOf, timeTerms, type ExpectedCost, type TimeTerms } from './cost.js';
export { demandOf, usefulTime, type Demand } from './demand.js';
export { reasonsFor } from './explain.js';
export { offerFailures } from './filter.js';
export { objectiveWeights, type ObjectiveWeights } from './objectives.js';
export { failureDomain, planDefaults, planTries, type PlanOptions } from './plan.js';
export { rankList, rankOffers, type RankedOffer, type Ranking } from './rank.js';
export { renewal, type Renewal, type RenewalQuery } from './renewal.js';
export { headlineScores, type HeadlineScores } from './scores.js';
export { hardwareSpeeds, type Speeds, type Work } from './speeds.js';
export { candidatesOf, rankingView, type RankingView } from './view.js';
export { Placements, type PlacementTimes } from './placement.service.js';
export { placements, type PlacementRow } from './placement.table.js';

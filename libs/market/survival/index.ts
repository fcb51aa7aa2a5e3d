export { bandAt, cumulativeHazard, expectedLifetimeH, scaledBands, survivalP, type HazardBand } from './bands.js';
export { attemptValueH, chooseZone, type ChoiceTerms } from './choice.js';
export { deadlineSteps, type DeadlineMoment, type Footing, type Step } from './deadline.js';
export { planDeadline, type DeadlinePlan, type PlanTerms, type PlanZone } from './deadline-plan.js';
export {
  durationOf,
  durationQuantileS,
  meanDurationS,
  noDurationEvidence,
  observeDuration,
  type DurationEvidence,
  type DurationPrior,
} from './duration.js';
export { HALF_LIVES_H } from './forgetting.js';
export { GANG_PRIOR, gangExponent, noGangEvidence, observeBatch, type GangEvidence, type LossBatch } from './gang.js';
export type { Posterior } from './posterior.js';
export { SPOT_HAZARD, SPOT_REPAIR, SPOT_UP_SHARE } from './priors.js';
export {
  noProportionEvidence,
  observeTrial,
  proportionOf,
  type ProportionEvidence,
  type ProportionPrior,
} from './proportion.js';
export {
  meanRatio,
  noRateEvidence,
  observeRate,
  ratioOf,
  type RateEvidence,
  type RateObservation,
  type RatePrior,
} from './rate.js';
export {
  afterLook,
  hazardOf,
  newMarket,
  repairOf,
  upNowP,
  upShare,
  type Look,
  type MarketBelief,
  type PlaceEvidence,
  type ZoneBelief,
} from './zone.js';
export { durationWithout, proportionWithout, rateWithout } from './without.js';

export { SPOT_HAZARD, type HazardBand } from '#market/survival';
export type {
  GangBelief,
  OfferVia,
  Reliability,
  ReliabilityPriors,
  ReliabilityQuery,
  ScopeBelief,
} from './reliability.js';
export { defaultPriors, hazardByAge, RELATIVE_HAZARD_BY_AGE, SERVER_FAULT_HAZARD } from './priors.js';
export { forVia, reliabilityOf } from './reliability-of.js';
export { blockedScopes, failureMemory, rememberFailure, type BlockedScope, type FailureRow } from './failure-memory.js';
export { believed, providerScope, scopeBeliefs, scopesOf } from './beliefs.js';
export { noteBatches, wayOf } from './gangs.js';
export { foldOutcomes, learntPriors, noteOutcome, tellThrough } from './learning.js';
export {
  gangEvidence,
  leaseOutcomes,
  reliabilityEvidence,
  reliabilityProgress,
  type EvidenceRow,
  type GangRow,
  type LeaseScope,
  type OutcomeRow,
  type ProgressRow,
  type ScopeEvidence,
} from './outcomes.table.js';

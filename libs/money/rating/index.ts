export {
  billedMs,
  chargedUntil,
  chargePerHour,
  chargeTerms,
  basisWithin,
  costTail,
  discounted,
  plainTerms,
  priceOf,
  type ChargeTerms,
} from './lease-price.js';
export { priceAt, type PriceBookVersion } from './price-book.js';
export {
  mostForTokens,
  rateTokens,
  tokenTerms,
  type RatedTokens,
  type TokenCounts,
  type TokenTerms,
} from './tokens.js';
export {
  chargedByHour,
  commitmentBpsAt,
  promisedOf,
  shortfall,
  shortfallOfHours,
  type Charged,
  type Commitment,
  type Promised,
} from './commitment.js';
export { Prices, type PricedFor } from './prices.service.js';
export {
  commitments,
  organizationPlans,
  priceBooks,
  type CommitmentRow,
  type PlanRow,
  type PriceBookRow,
} from './rating.table.js';

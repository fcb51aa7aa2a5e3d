export { creditRoom, creditRoomOf } from './credit-room.js';
export { Holds, holdMachine, type HoldRequest } from './holds.service.js';
export { holds, type HoldRow, type HoldState } from './holds.table.js';
export { holdSettle, renewalOf, type Renewal, type Renewed } from './holds.procedures.js';
export { Quotas, type NewQuota, type Holder } from './quotas.service.js';
export {
  cohorts,
  quotaModes,
  quotaPolicies,
  quotas,
  quotaScopes,
  quotaUses,
  quotaWindows,
  type CohortRow,
  type QuotaRow,
  type QuotaScope,
  type QuotaUseRow,
  type QuotaWindow,
  type RateClaim,
} from './quotas.table.js';
export { RateWindows, type RateRow, type Waiter } from './rate-windows.js';
export type { QuotaAlert, QuotaAmounts, QuotaRefusal } from './quotas.procedures.js';
export { Credit, type NewGrant } from './credit.service.js';
export { grantsLeftAt } from './grants-past.js';
export { firstSpent, grantFolds, grants, grantStates, type GrantFoldRow, type GrantRow } from './grants.table.js';
export { begun, roomOf, windowStart } from './room.js';

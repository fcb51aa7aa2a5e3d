export { Accounts } from './accounts.js';
export { Disbursing } from './disbursing.js';
export { Disputes, type NewDispute } from './disputes.js';
export {
  disputeMachine,
  disputeStates,
  payoutAccountMachine,
  payoutAccountStates,
  payoutMachine,
  payoutStates,
  reversalMachine,
  type DisputeState,
  type PayoutState,
} from './machines.js';
export type { PayoutParts } from './parts.js';
export { Payouts, PAYOUTS_EVERY_MS, type ProviderBalance, type RunReport } from './payouts.service.js';
export type { ProvidersToPay, ProviderToPay } from './ports.js';
export { Terms, type ProviderTerms } from './provider-terms.js';
export {
  disputeReasons,
  disputes,
  payoutAccounts,
  payoutReversals,
  payouts,
  payoutTerms,
  type DisputeReason,
  type DisputeRow,
  type PayoutAccountRow,
  type PayoutRow,
} from './rows/payouts.table.js';
export {
  holdbacks,
  movementKinds,
  movements,
  statementLines,
  statements,
  type StatementLineRow,
  type StatementRow,
} from './rows/statements.table.js';
export { Filing } from './statements/filing.js';
export { Statements, type StatementView } from './statements/statements.js';
export { defaultTerms, payoutMethods, type PayoutMethod, type PayoutTerms } from './terms.js';

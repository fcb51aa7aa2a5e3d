export { waitMs } from './decide.js';
export { EffectReconciler, type EffectKind, type Ending } from './effect.reconciler.js';
export { freshEffect } from './intent.js';
export { Payments, type RechargeRules } from './payments.service.js';
export { newCustomer, TOP_UP_CENTS } from './rules.js';
export { COLLECT_AGAIN_AFTER_DAYS, decideCollection } from './collect.js';
export { decideRecharge, MOST_DECLINES, type RechargeFacts } from './recharge.js';
export { invoicesOf } from './billing-invoices.js';
export type { EventEffect } from './events.js';
export { staleDocuments } from './closing.effect.js';
export {
  closingMachine,
  closingStates,
  disputeMachine,
  disputeStates,
  paymentMachine,
  paymentStates,
  refundMachine,
  refundStates,
  setupMachine,
  setupStates,
  type ClosingState,
  type DisputeState,
  type PaymentState,
  type RefundState,
  type SetupState,
} from './machines.js';
export type { PaymentParts } from './parts.js';
export {
  closings,
  disputes,
  effectColumns,
  invoiceClosings,
  paymentCustomers,
  paymentEvents,
  paymentKinds,
  payments,
  paymentSetups,
  refunds,
  type ClosingRow,
  type DisputeRow,
  type CustomerRow,
  type EffectRow,
  type PaymentKind,
  type PaymentRow,
  type RefundRow,
  type SetupRow,
} from './payments.table.js';
export { noInvoices, type InvoicesToCollect, type InvoiceToCollect } from './ports.js';

export { Billing, DRAFTS_EVERY_MS, type InvoicePage } from './billing.service.js';
export { type NewCreditNote } from './corrections.js';
export { dunningDue, dunningSteps, type DunningAction, type DunningStep } from './dunning.js';
export { documentFormats, type DocumentBytes, type DocumentFormat, type RenderedDocument } from './filing.js';
export { type StopWork } from './invoice.reconciler.js';
export { settlementOf, type Settlement } from './issue.js';
export { centsOf, floorCents, NANO_PER_CENT, shareCents, splitCents } from './lines/cents.js';
export { describeLine } from './lines/wording.js';
export { nextNumber } from './numbering.js';
export { plainUsd } from './render/csv.js';
export { centsText, dayText, type BillingDocument, type DocumentLine } from './render/document.js';
export { pdfOf } from './render/pdf.js';
export { type BillingParts } from './parts.js';
export { type NewPayment } from './payments.js';
export { type NewBillingProfile } from './profiles.js';
export {
  billingProfiles,
  creditNoteLines,
  creditNotes,
  documentNumbers,
  invoicePayments,
  paymentPauses,
  refundTargets,
  type BillingProfileRow,
  type CreditNoteRow,
  type InvoicePaymentRow,
  type PaymentPauseRow,
  type RefundTarget,
} from './rows/documents.table.js';
export {
  invoiceLines,
  invoiceMachine,
  invoices,
  invoiceStates,
  newDraft,
  openCents,
  type InvoiceLineRow,
  type InvoiceRow,
  type InvoiceState,
  type Party,
  type Tax,
  type UsageLine,
} from './rows/invoices.table.js';
export { defaultBillingSettings, type BillingSettings } from './settings.js';
export { requireStanding, standingOf } from './standing.js';
export { manualRate, taxAt, type TaxCalculator, type TaxQuestion } from './tax.js';
export { type InvoiceView, type ViewLine } from './view.js';

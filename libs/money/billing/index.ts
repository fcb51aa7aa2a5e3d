export { Billing, draft, type DraftInvoice, type InvoiceLine } from './billing.service.js';
export { invoices, invoiceStates, type InvoiceRow, type InvoiceState } from './invoices.table.js';

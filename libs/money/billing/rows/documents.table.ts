import { table } from '#platform/database';
import type { Party } from './invoices.table.js';

/** The last number given out; its row is locked by whoever takes the next, so numbers have no gaps. */
export interface NumberRow {
  series: string;
  year: number;
  last: number;
}

export const documentNumbers = table<NumberRow>(
  'document_numbers',
  { series: 'text', year: 'int', last: 'int' },
  { key: ['series', 'year'] },
);

/** How an organization is billed. Without a row: under its name, without tax, by the usual terms. */
export interface BillingProfileRow {
  organizationId: string;
  name: string;
  address: string[];
  taxId: string | null;
  email: string | null;
  taxLabel: string;
  taxRateBps: number;
  /** Days from issue to due; null: the usual. */
  netDays: number | null;
  updatedAt: number;
}

export const billingProfiles = table<BillingProfileRow>(
  'billing_profiles',
  {
    organizationId: 'text',
    name: 'text',
    address: 'texts',
    taxId: 'text',
    email: 'text',
    taxLabel: 'text',
    taxRateBps: 'int',
    netDays: 'int',
    updatedAt: 'time',
  },
  { key: ['organizationId'] },
);

/** Money that came in for an invoice. The same reference counts once. */
export interface InvoicePaymentRow {
  id: string;
  invoiceId: string;
  organizationId: string;
  /** manual: to the bank account, confirmed by a person. processor: through the payment processor. */
  method: 'manual' | 'processor';
  reference: string;
  /** What it paid of the invoice, below zero: what a bank took back of it; what was paid beyond that went to the credit. */
  cents: bigint;
  creditCents: bigint;
  transactionId: string | null;
  at: number;
}

export const invoicePayments = table<InvoicePaymentRow>(
  'invoice_payments',
  {
    id: 'text',
    invoiceId: 'text',
    organizationId: 'text',
    method: 'text',
    reference: 'text',
    cents: 'bigint',
    creditCents: 'bigint',
    transactionId: 'text',
    at: 'time',
  },
  { key: ['id'], unique: [['invoiceId', 'reference']] },
);

/** Where the money of a credit note goes that was already paid. */
export const refundTargets = ['credit', 'payment'] as const;
export type RefundTarget = (typeof refundTargets)[number];

/** Takes back part of an issued invoice, which itself never changes. */
export interface CreditNoteRow {
  id: string;
  organizationId: string;
  invoiceId: string;
  number: string;
  reason: string;
  issuedAt: number;
  /** All of it positive: what is taken back. */
  usageCents: bigint;
  taxCents: bigint;
  totalCents: bigint;
  /** How much took off what was still to be paid, went to the credit, and is to be paid back. */
  appliedCents: bigint;
  toCreditCents: bigint;
  refundCents: bigint;
  /** none: nothing to pay back. pending: taken from revenue, not yet confirmed as paid. */
  refundState: 'none' | 'pending' | 'done';
  buyer: Party;
  seller: Party;
  transactionId: string | null;
}

export const creditNotes = table<CreditNoteRow>(
  'credit_notes',
  {
    id: 'text',
    organizationId: 'text',
    invoiceId: 'text',
    number: 'text',
    reason: 'text',
    issuedAt: 'time',
    usageCents: 'bigint',
    taxCents: 'bigint',
    totalCents: 'bigint',
    appliedCents: 'bigint',
    toCreditCents: 'bigint',
    refundCents: 'bigint',
    refundState: 'text',
    buyer: 'json',
    seller: 'json',
    transactionId: 'text',
  },
  { key: ['id'], unique: [['number']] },
);

/** What a credit note takes off one line of its invoice. */
export interface CreditNoteLineRow {
  creditNoteId: string;
  n: number;
  organizationId: string;
  invoiceId: string;
  invoiceLineN: number;
  cents: bigint;
}

export const creditNoteLines = table<CreditNoteLineRow>(
  'credit_note_lines',
  {
    creditNoteId: 'text',
    n: 'int',
    organizationId: 'text',
    invoiceId: 'text',
    invoiceLineN: 'int',
    cents: 'bigint',
  },
  { key: ['creditNoteId', 'n'] },
);

/** An organization that may start no new work until an invoice is paid. */
export interface PaymentPauseRow {
  organizationId: string;
  invoiceId: string;
  /** pause: new work is refused. stop: running work is ended too. */
  level: 'pause' | 'stop';
  since: number;
}

export const paymentPauses = table<PaymentPauseRow>(
  'payment_pauses',
  { organizationId: 'text', invoiceId: 'text', level: 'text', since: 'time' },
  { key: ['organizationId'] },
);

import { StateMachine } from '#kernel';
import { table } from '#platform/database';

export const invoiceStates = [
  'draft',
  'issuing',
  'issuing_failed',
  'open',
  'paid',
  'past_due',
  'uncollectible',
  'void',
] as const;
export type InvoiceState = (typeof invoiceStates)[number];

/**
 * draft: lines follow from usage. issuing: lines are fixed, the tax is being worked out. open: issued, with a number, to be paid.
 * void: as if it had never been issued, so its usage comes on a later invoice; a month without any usage ends there too, without a number.
 */
export const invoiceMachine = new StateMachine<InvoiceState>('invoice', 'draft', {
  draft: ['issuing', 'void'],
  issuing: ['open', 'paid', 'issuing_failed'],
  issuing_failed: ['issuing'],
  open: ['paid', 'past_due', 'uncollectible', 'void'],
  past_due: ['paid', 'uncollectible', 'void'],
  // Written off, and paid after all.
  uncollectible: ['paid'],
  // Voided: nothing was to be paid, so there is nothing to give back. Open again: a bank took its payment back.
  paid: ['void', 'open'],
  void: [],
});

/** Who is named on a document; written into it when it is issued. */
export interface Party {
  readonly name: string;
  /** Lines of the postal address. */
  readonly address: readonly string[];
  readonly taxId: string | null;
  readonly email: string | null;
}

/** The tax of an invoice as it was worked out. */
export interface Tax {
  readonly label: string;
  /** Hundredths of a percent; for a person to read, the amount is what counts. */
  readonly rateBps: number;
}

/** One per organization and month. Amounts are zero while it is a draft and fixed from the moment they are set. */
export interface InvoiceRow {
  id: string;
  organizationId: string;
  periodStart: number;
  periodEnd: number;
  state: InvoiceState;
  /** Without gaps in its series and year; null until it is issued. */
  number: string | null;
  createdAt: number;
  version: number;
  wakeAt: number | null;
  /** When the lines were fixed. */
  frozenAt: number | null;
  issuedAt: number | null;
  dueAt: number | null;
  paidAt: number | null;
  /** The lines' sum: exact, and in whole cents. */
  usageNano: bigint;
  usageCents: bigint;
  taxCents: bigint;
  /** Usage and tax. */
  totalCents: bigint;
  /** What of the total came out of the tenant's credit. */
  fromCreditCents: bigint;
  /** What the tenant had to pay when it was issued: the total less what came from credit. */
  dueCents: bigint;
  /** Payments that came in for it, and what credit notes took off what is due. */
  paidCents: bigint;
  creditedCents: bigint;
  tax: Tax | null;
  buyer: Party | null;
  seller: Party | null;
  /** The ledger transaction of its issue; null when nothing was to be posted. */
  transactionId: string | null;
  /** Why the last try to issue it failed. */
  message: string | null;
  failures: number;
  /** Steps of the dunning schedule that were taken. */
  dunned: number;
  /** Set once PDF and CSV lie in the object store. */
  filedAt: number | null;
}

export const invoices = table<InvoiceRow>(
  'invoices',
  {
    id: 'text',
    organizationId: 'text',
    periodStart: 'time',
    periodEnd: 'time',
    state: 'text',
    number: 'text',
    createdAt: 'time',
    version: 'int',
    wakeAt: 'time',
    frozenAt: 'time',
    issuedAt: 'time',
    dueAt: 'time',
    paidAt: 'time',
    usageNano: 'bigint',
    usageCents: 'bigint',
    taxCents: 'bigint',
    totalCents: 'bigint',
    fromCreditCents: 'bigint',
    dueCents: 'bigint',
    paidCents: 'bigint',
    creditedCents: 'bigint',
    tax: 'json',
    buyer: 'json',
    seller: 'json',
    transactionId: 'text',
    message: 'text',
    failures: 'int',
    dunned: 'int',
    filedAt: 'time',
  },
  { key: ['id'], unique: [['organizationId', 'periodStart'], ['number']] },
);

/** A draft as it begins. */
export function newDraft(
  of: Pick<InvoiceRow, 'id' | 'organizationId' | 'periodStart' | 'periodEnd' | 'createdAt' | 'wakeAt'>,
): InvoiceRow {
  return {
    ...of,
    state: 'draft',
    number: null,
    version: 1,
    frozenAt: null,
    issuedAt: null,
    dueAt: null,
    paidAt: null,
    usageNano: 0n,
    usageCents: 0n,
    taxCents: 0n,
    totalCents: 0n,
    fromCreditCents: 0n,
    dueCents: 0n,
    paidCents: 0n,
    creditedCents: 0n,
    tax: null,
    buyer: null,
    seller: null,
    transactionId: null,
    message: null,
    failures: 0,
    dunned: 0,
    filedAt: null,
  };
}

/** What is still to be paid. */
export const openCents = (row: Pick<InvoiceRow, 'dueCents' | 'paidCents' | 'creditedCents'>): bigint =>
  row.dueCents - row.paidCents - row.creditedCents;

/** What one line says of usage; of a month, a project and a kind of thing. */
export interface UsageLine {
  /** The month of the usage; an earlier one than the invoice's for what arrived late. */
  readonly periodStart: number;
  readonly projectId: string;
  /** What was used: the accelerator and its count, or the model's machine. */
  readonly resource: string;
  readonly model: string | null;
  readonly providerClass: string | null;
  readonly meter: string;
  readonly unit: string;
  readonly quantity: bigint;
  /** Exact, as in the ledger. */
  readonly amountNano: bigint;
}

/** A line once it is fixed; never changed again. */
export interface InvoiceLineRow extends UsageLine {
  invoiceId: string;
  n: number;
  organizationId: string;
  /** The project's name at that time. */
  projectName: string;
  /** Whole cents; the lines add up to the total to the cent. */
  cents: bigint;
}

export const invoiceLines = table<InvoiceLineRow>(
  'invoice_lines',
  {
    invoiceId: 'text',
    n: 'int',
    organizationId: 'text',
    periodStart: 'time',
    projectId: 'text',
    projectName: 'text',
    resource: 'text',
    model: 'text',
    providerClass: 'text',
    meter: 'text',
    unit: 'text',
    quantity: 'bigint',
    amountNano: 'bigint',
    cents: 'bigint',
  },
  { key: ['invoiceId', 'n'] },
);

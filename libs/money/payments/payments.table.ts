import { table } from '#platform/database';
import type { ClosingState, DisputeState, PaymentState, RefundState, SetupState } from './machines.js';

/** What every row that drives one external effect has: the intent, and how far it came. */
export interface EffectRow {
  id: string;
  organizationId: string;
  version: number;
  wakeAt: number | null;
  /** Part of the key of the call: rises only when the key before is spent or forgotten. */
  attempt: number;
  /** When the first request with the current key was sent; the processor forgets keys after a day. */
  keyAt: number | null;
  /** Failed tries in a row; decides how long to wait. */
  failures: number;
  /** The current key answers with a failure for good. */
  spent: boolean;
  /** The processor's id, as soon as it is known. */
  processorId: string | null;
  code: string | null;
  message: string | null;
  createdAt: number;
}

export const paymentKinds = ['top-up', 'auto-recharge', 'invoice'] as const;
export type PaymentKind = (typeof paymentKinds)[number];

export interface PaymentRow extends EffectRow {
  kind: PaymentKind;
  state: PaymentState;
  amountCents: bigint;
  /** What the card gave. */
  capturedCents: bigint;
  /** Taken back out of it, refunds under way included. */
  refundedCents: bigint;
  feeCents: bigint | null;
  invoiceId: string | null;
  /** The invoice at the processor, once it is there. */
  pushedId: string | null;
  customerId: string;
  methodId: string;
  /** What there may be one of at a time: `auto-recharge`, or an invoice's id. Null once it is over. */
  slot: string | null;
  settledAt: number | null;
}

/** The columns of an `EffectRow`. */
export const effectColumns = {
  id: 'text',
  organizationId: 'text',
  version: 'int',
  wakeAt: 'time',
  attempt: 'int',
  keyAt: 'time',
  failures: 'int',
  spent: 'bool',
  processorId: 'text',
  code: 'text',
  message: 'text',
  createdAt: 'time',
} as const;

export const payments = table<PaymentRow>(
  'payments',
  {
    ...effectColumns,
    kind: 'text',
    state: 'text',
    amountCents: 'bigint',
    capturedCents: 'bigint',
    refundedCents: 'bigint',
    feeCents: 'bigint',
    invoiceId: 'text',
    pushedId: 'text',
    customerId: 'text',
    methodId: 'text',
    slot: 'text',
    settledAt: 'time',
  },
  { key: ['id'], unique: [['organizationId', 'slot'], ['processorId']] },
);

export interface RefundRow extends EffectRow {
  state: RefundState;
  paymentId: string;
  /** The processor's id of the payment. */
  processorPaymentId: string;
  /** The credit note that gives the money back; null: it comes out of the credit. */
  creditNoteId: string | null;
  amountCents: bigint;
  /** Somebody made it at the processor, not we. */
  elsewhere: boolean;
}

export const refunds = table<RefundRow>(
  'refunds',
  {
    ...effectColumns,
    state: 'text',
    paymentId: 'text',
    processorPaymentId: 'text',
    creditNoteId: 'text',
    amountCents: 'bigint',
    elsewhere: 'bool',
  },
  { key: ['id'], unique: [['processorId']] },
);

/** A payment that the payer disputes at its bank, as the processor last told it. */
export interface DisputeRow {
  id: string;
  organizationId: string;
  version: number;
  wakeAt: number | null;
  state: DisputeState;
  paymentId: string;
  processorId: string;
  reason: string;
  amountCents: bigint;
  /** What is booked as gone, and as the processor's fee. */
  withdrawnCents: bigint;
  feeCents: bigint;
  /** How often something was booked; part of the keys in the ledger. */
  bookings: number;
  evidenceDueAt: number | null;
  createdAt: number;
  endedAt: number | null;
}

export const disputes = table<DisputeRow>(
  'payment_disputes',
  {
    id: 'text',
    organizationId: 'text',
    version: 'int',
    wakeAt: 'time',
    state: 'text',
    paymentId: 'text',
    processorId: 'text',
    reason: 'text',
    amountCents: 'bigint',
    withdrawnCents: 'bigint',
    feeCents: 'bigint',
    bookings: 'int',
    evidenceDueAt: 'time',
    createdAt: 'time',
    endedAt: 'time',
  },
  { key: ['id'], unique: [['processorId']] },
);

/** How a document at the processor ends: paid without it, or as if it had never been issued. */
export const closings = ['paid-elsewhere', 'void'] as const;
export type Closing = (typeof closings)[number];

export interface ClosingRow extends EffectRow {
  state: ClosingState;
  invoiceId: string;
  /** The document at the processor; each is closed once. */
  pushedId: string;
  closeAs: Closing;
}

export const invoiceClosings = table<ClosingRow>(
  'invoice_closings',
  { ...effectColumns, state: 'text', invoiceId: 'text', pushedId: 'text', closeAs: 'text' },
  { key: ['id'], unique: [['pushedId']] },
);

export interface SetupRow extends EffectRow {
  state: SetupState;
  successUrl: string;
  cancelUrl: string;
  url: string | null;
}

export const paymentSetups = table<SetupRow>(
  'payment_setups',
  { ...effectColumns, state: 'text', successUrl: 'text', cancelUrl: 'text', url: 'text' },
  { key: ['id'] },
);

/** How an organization pays. */
export interface CustomerRow {
  organizationId: string;
  /** Null until the processor knows the organization. */
  customerId: string | null;
  /** The intent of making it: which key, and since when. */
  attempt: number;
  keyAt: number | null;
  methodId: string | null;
  methodBrand: string | null;
  methodLast4: string | null;
  methodExpMonth: number | null;
  methodExpYear: number | null;
  rechargeOn: boolean;
  /** Recharge when less than this is available. */
  rechargeBelowNano: bigint;
  rechargeCents: bigint;
  rechargeMonthCents: bigint;
  /** Declines in a row. */
  rechargeDeclines: number;
  rechargeNotBefore: number | null;
  /** Why the broker switched it off; null while it did not. */
  rechargeOffReason: string | null;
  createdAt: number;
}

export const paymentCustomers = table<CustomerRow>(
  'payment_customers',
  {
    organizationId: 'text',
    customerId: 'text',
    attempt: 'int',
    keyAt: 'time',
    methodId: 'text',
    methodBrand: 'text',
    methodLast4: 'text',
    methodExpMonth: 'int',
    methodExpYear: 'int',
    rechargeOn: 'bool',
    rechargeBelowNano: 'bigint',
    rechargeCents: 'bigint',
    rechargeMonthCents: 'bigint',
    rechargeDeclines: 'int',
    rechargeNotBefore: 'time',
    rechargeOffReason: 'text',
    createdAt: 'time',
  },
  { key: ['organizationId'], unique: [['customerId']] },
);

/** Events that the processor sent, each once; kinds that nobody here knows are kept as well. */
export interface PaymentEventRow {
  id: string;
  type: string;
  objectId: string | null;
  reference: string | null;
  /** The processor's id of the payment that it is about. */
  paymentId: string | null;
  createdAt: number;
  receivedAt: number;
  /** The row that was woken by it. */
  woke: string | null;
}

export const paymentEvents = table<PaymentEventRow>(
  'payment_events',
  {
    id: 'text',
    type: 'text',
    objectId: 'text',
    reference: 'text',
    paymentId: 'text',
    createdAt: 'time',
    receivedAt: 'time',
    woke: 'text',
  },
  { key: ['id'] },
);

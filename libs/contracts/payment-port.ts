/**
 * The port of a payment processor: it collects from tenants' cards and pays providers. Balances are never its business: the ledger has them.
 * Amounts are whole US cents. Every call that moves something takes a `key` (same key, same effect, for a day) and a `reference`
 * (an id of ours that the processor keeps with what it makes, so that it can be found again at any time).
 */

/** What a call that moves something came to. It never throws; only `done` says that it happened, and only `unknown` leaves that open. */
export type PaymentOutcome<T> =
  | { readonly kind: 'done'; readonly value: T }
  /** The payer's bank said no. Nothing moved. `code` is the processor's word, such as `insufficient_funds`. */
  | { readonly kind: 'declined'; readonly code: string; readonly message: string }
  /** It surely did not happen and may later, with the same key. */
  | { readonly kind: 'retry'; readonly message: string; readonly retryAfterMs: number | null }
  /** The request or our access is wrong: trying again does not help, a person must look. */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  /** It may have happened: look it up by its reference. `spent`: its key answers with this failure for good, and a new try needs a new key. */
  | { readonly kind: 'unknown'; readonly message: string; readonly spent: boolean };

/** A look-up that failed; what was looked for may or may not be there. */
export class PaymentLookupError extends Error {
  constructor(
    readonly kind: 'retry' | 'refused',
    message: string,
    readonly retryAfterMs: number | null = null,
  ) {
    super(message);
    this.name = 'PaymentLookupError';
  }
}

/** A tenant's card as it may be shown. */
export interface PaymentMethod {
  readonly id: string;
  readonly brand: string;
  readonly last4: string;
  readonly expMonth: number;
  readonly expYear: number;
}

/** A page of the processor's own where the tenant leaves a card; card numbers never pass through the broker. */
export interface SetupSession {
  readonly id: string;
  readonly state: 'open' | 'complete' | 'expired';
  /** Where the tenant goes; null once it is over. */
  readonly url: string | null;
  /** The card that was left, when it is complete. */
  readonly method: PaymentMethod | null;
}

export interface Payment {
  readonly id: string;
  readonly state: 'succeeded' | 'processing' | 'declined' | 'canceled';
  /** What was taken from the card: zero unless it succeeded. */
  readonly capturedCents: bigint;
  /** What the processor keeps of it; null while it does not say. */
  readonly feeCents: bigint | null;
  /** Why it was declined, in the processor's words. */
  readonly failure: { readonly code: string; readonly message: string } | null;
}

export interface Refund {
  readonly id: string;
  readonly state: 'succeeded' | 'pending' | 'failed';
  readonly amountCents: bigint;
}

/** What the payer's bank took back, because its customer says that the payment is not right. */
export interface Dispute {
  readonly id: string;
  /** inquiry: the bank asks, and has taken nothing. closed: it came to nothing. */
  readonly state: 'inquiry' | 'open' | 'won' | 'lost' | 'closed';
  /** The bank's word, such as `fraudulent`. */
  readonly reason: string;
  readonly amountCents: bigint;
  /** What is gone because of it now: zero again when it was won. */
  readonly withdrawnCents: bigint;
  /** What the processor keeps for it. */
  readonly feeCents: bigint;
  readonly evidenceDueAtMs: number | null;
}

/** Everything that took money of a payment back, whoever asked for it. */
export interface TakenBack {
  /** `reference`: our id, when we asked for it. */
  readonly refunds: readonly (Refund & { readonly reference: string | null })[];
  readonly disputes: readonly Dispute[];
}

/** An invoice as the processor has it. */
export interface PushedInvoice {
  readonly id: string;
  readonly state: 'draft' | 'open' | 'paid' | 'void' | 'uncollectible';
  readonly totalCents: bigint;
  readonly paidCents: bigint;
  /** The payment that took the money, when a card paid. */
  readonly payment: Payment | null;
}

export interface InvoiceToPush {
  /** Kept with each line: lines of an earlier try are found by it. */
  readonly lines: readonly { readonly id: string; readonly description: string; readonly amountCents: bigint }[];
  readonly customerId: string;
  readonly number: string;
  readonly dueAtMs: number;
}

/** A provider's account at the processor. */
export interface PayeeAccount {
  readonly id: string;
  readonly transfersEnabled: boolean;
  readonly payoutsEnabled: boolean;
  /** What the provider has still to tell the processor. */
  readonly requirementsDue: readonly string[];
}

export interface Transfer {
  readonly id: string;
  readonly accountId: string;
  readonly amountCents: bigint;
  readonly reversedCents: bigint;
}

export interface TransferReversal {
  readonly id: string;
  readonly transferId: string;
  readonly amountCents: bigint;
}

/** What the processor told us unasked. Its contents are never believed: whoever cares fetches the object anew. */
export interface PaymentEvent {
  readonly id: string;
  readonly type: string;
  readonly createdAtMs: number;
  readonly objectId: string | null;
  /** Our own id that was kept with the object, when it has one. */
  readonly reference: string | null;
  /** The processor's id of the payment that the object belongs to, when it names one. */
  readonly paymentId?: string | null;
}

/** What identifies a call: the key for a day, the reference for good. */
export interface CallIdentity {
  readonly key: string;
  readonly reference: string;
}

/** Collecting money from tenants. */
export interface CollectionPort {
  createCustomer(of: CallIdentity & { name: string }): Promise<PaymentOutcome<{ customerId: string }>>;
  findCustomer(reference: string): Promise<{ customerId: string } | null>;
  openSetup(
    of: CallIdentity & { customerId: string; successUrl: string; cancelUrl: string },
  ): Promise<PaymentOutcome<SetupSession>>;
  getSetup(setupId: string): Promise<SetupSession>;
  /** Charges a kept card for the amount. */
  charge(
    of: CallIdentity & { customerId: string; methodId: string; amountCents: bigint; description: string },
  ): Promise<PaymentOutcome<Payment>>;
  getPayment(paymentId: string): Promise<Payment>;
  /** The payment made under this reference; when there are several tries, the one that took money, else the newest. */
  findPayment(customerId: string, reference: string): Promise<Payment | null>;
  /** Puts an invoice with its lines there, final and open. Goes on where an earlier try stopped. */
  pushInvoice(of: CallIdentity & InvoiceToPush): Promise<PaymentOutcome<PushedInvoice>>;
  payInvoice(of: CallIdentity & { invoiceId: string; methodId: string }): Promise<PaymentOutcome<PushedInvoice>>;
  /** For an invoice that was paid elsewhere or withdrawn, so that it is not collected there as well. */
  closeInvoice(
    of: CallIdentity & { invoiceId: string; as: 'paid-elsewhere' | 'void' },
  ): Promise<PaymentOutcome<PushedInvoice>>;
  getInvoice(invoiceId: string): Promise<PushedInvoice>;
  findInvoice(customerId: string, reference: string): Promise<PushedInvoice | null>;
  refund(of: CallIdentity & { paymentId: string; amountCents: bigint }): Promise<PaymentOutcome<Refund>>;
  getRefund(refundId: string): Promise<Refund>;
  takenBack(paymentId: string): Promise<TakenBack>;
  /** All disputes that were opened since an instant, and whose payments they are about. */
  disputesSince(sinceMs: number): Promise<readonly (Dispute & { readonly paymentId: string | null })[]>;
  /** All refunds that were made since an instant, by whomever; the payments they are of, and our ids on those that are ours. */
  refundsSince(
    sinceMs: number,
  ): Promise<readonly (Refund & { readonly paymentId: string | null; readonly reference: string | null })[]>;
  findRefund(paymentId: string, reference: string): Promise<Refund | null>;
}

/** Paying providers. */
export interface DisbursementPort {
  createAccount(of: CallIdentity & { country: string; email: string | null }): Promise<PaymentOutcome<PayeeAccount>>;
  getAccount(accountId: string): Promise<PayeeAccount>;
  findAccount(reference: string): Promise<PayeeAccount | null>;
  /** A page where the provider tells the processor who it is; short-lived, made anew for each visit. */
  accountLink(of: {
    accountId: string;
    returnUrl: string;
    refreshUrl: string;
  }): Promise<PaymentOutcome<{ url: string; expiresAtMs: number }>>;
  transfer(of: CallIdentity & { accountId: string; amountCents: bigint }): Promise<PaymentOutcome<Transfer>>;
  getTransfer(transferId: string): Promise<Transfer>;
  /** All transfers that were made since an instant, by whomever, with what of them came back since. */
  transfersSince(sinceMs: number): Promise<readonly Transfer[]>;
  findTransfer(reference: string): Promise<Transfer | null>;
  reverseTransfer(
    of: CallIdentity & { transferId: string; amountCents: bigint },
  ): Promise<PaymentOutcome<TransferReversal>>;
  findReversal(transferId: string, reference: string): Promise<TransferReversal | null>;
  /** What may be transferred now. */
  availableCents(): Promise<bigint>;
}

export interface PaymentPort extends CollectionPort, DisbursementPort {
  /** Checks that the bytes were signed by the processor at most five minutes before or after `nowMs`; null when they were not. */
  readEvent(body: Uint8Array, signature: string, nowMs: number): PaymentEvent | null;
}

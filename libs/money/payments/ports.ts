import type { Tx } from '#platform/database';

/** An invoice as far as collecting it is concerned. */
export interface InvoiceToCollect {
  readonly id: string;
  readonly organizationId: string;
  readonly number: string;
  readonly dueAtMs: number;
  /** What is still to be paid; nothing is collected when it is zero. */
  readonly openCents: bigint;
  /** What it consists of; the lines need not add up to what is open. */
  readonly lines: readonly { readonly id: string; readonly description: string; readonly amountCents: bigint }[];
}

/** What payments want of invoices; the room that has them gives it. */
export interface InvoicesToCollect {
  /** Issued invoices that are not paid, in the order of their ids, from the one after `after` on. */
  open(
    tx: Tx,
    page: { limit: number; after: string | null },
  ): Promise<readonly { id: string; organizationId: string }[]>;
  get(tx: Tx, invoiceId: string): Promise<InvoiceToCollect | null>;
  /** What became of it: withdrawn is what nobody is asked to pay any more, voided or written off. */
  standing(tx: Tx, invoiceId: string): Promise<'open' | 'paid' | 'withdrawn'>;
  /** Calls, in the same transaction, whenever less of an issued invoice is to be paid than before. */
  onChange(changed: (tx: Tx, invoiceId: string) => Promise<void>): void;
  /**
   * Counts money from the payment processor for the invoice, in the ledger too (out of clearing). False, with nothing done: nothing of
   * it is to be paid any more.
   */
  settle(tx: Tx, invoiceId: string, of: { paymentId: string; cents: bigint }): Promise<boolean>;
  /**
   * Money that had paid the invoice was taken back and went to the account `to`; answers how much of it that was. The invoice is open
   * again, but nobody is reminded of it until `demand` is called.
   */
  takeBack(tx: Tx, invoiceId: string, of: TakeBack): Promise<bigint>;
  demand(tx: Tx, invoiceId: string): Promise<void>;
  /** Credit notes that owe money of a paid invoice, set aside in the ledger already; in the order of their ids. */
  owed(tx: Tx, page: { limit: number; after: string | null }): Promise<readonly OwedRefund[]>;
  /** Those of one invoice. */
  owedOf(tx: Tx, invoiceId: string): Promise<readonly OwedRefund[]>;
  /** What the credit note owed went back through the payment processor; the ledger is told (into clearing). */
  refunded(tx: Tx, creditNoteId: string): Promise<void>;
}

export interface TakeBack {
  /** The payment that `settle` was told of. */
  readonly paymentId: string;
  /** Counts once for an invoice. */
  readonly reference: string;
  readonly cents: bigint;
  readonly to: string;
}

export interface OwedRefund {
  readonly creditNoteId: string;
  readonly invoiceId: string;
  readonly cents: bigint;
}

/** Where no invoices are collected. */
export const noInvoices: InvoicesToCollect = {
  open: () => Promise.resolve([]),
  get: () => Promise.resolve(null),
  standing: () => Promise.resolve('withdrawn'),
  onChange: () => undefined,
  settle: () => Promise.resolve(false),
  takeBack: () => Promise.resolve(0n),
  demand: () => Promise.resolve(),
  owed: () => Promise.resolve([]),
  owedOf: () => Promise.resolve([]),
  refunded: () => Promise.resolve(),
};

import type { Author } from '#identity/audit';
import { newId } from '#kernel';
import type { Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { account } from '#money/ledger';
import { dunningSteps } from './dunning.js';
import { NANO_PER_CENT } from './lines/cents.js';
import { auditInvoice, lockInvoice, openAccounts, tell, type BillingParts } from './parts.js';
import { creditNotes, invoicePayments } from './rows/documents.table.js';
import { invoiceMachine, invoices, openCents } from './rows/invoices.table.js';
import { settleStanding } from './standing.js';

export interface TakeBack {
  /** The reference under which the payment was recorded. */
  readonly payment: string;
  /** Counts once for an invoice. */
  readonly reference: string;
  readonly cents: bigint;
  /** The account that the money went to. */
  readonly to: string;
}

/** Payments of invoices that were taken out of the broker's hands again: by a bank, or by whoever paid them back at the processor. */
export class TakenBack {
  constructor(private readonly d: BillingParts) {}

  /**
   * Answers how much of it the invoice had got; the caller finds the rest elsewhere. The invoice is open again, and nobody is reminded
   * of it or stopped for it until `demandIn`: whether it is to be paid once more is not known yet. One that was past due stays so.
   */
  async takeBackIn(tx: Tx, id: string, { payment, reference, cents, to }: TakeBack, by: Author): Promise<bigint> {
    const row = await lockInvoice(tx, id);
    const known = await tx.first(invoicePayments, { invoiceId: id, reference });
    if (known) return -known.cents;
    const paid = await tx.first(invoicePayments, { invoiceId: id, reference: payment });
    const notes = await tx.find(creditNotes, { invoiceId: id });
    // What a credit note has paid back already is not there to be taken back.
    const left = row.paidCents - notes.reduce((sum, n) => sum + n.refundCents, 0n);
    const part = least(cents, least(paid?.cents ?? 0n, left));
    if (part <= 0n) return 0n;
    const { organizationId } = row;
    const written = row.state === 'uncollectible';
    await openAccounts(tx, this.d, organizationId);
    const at = await tx.now();
    const transactionId = await this.d.ledger.post(tx, {
      idempotencyKey: `invoice-taken-back:${id}:${reference}`,
      kind: 'invoice-taken-back',
      organizationId,
      reference: id,
      entries: [
        { accountId: written ? account.losses : account.receivable(organizationId), amountNano: -part * NANO_PER_CENT },
        { accountId: to, amountNano: part * NANO_PER_CENT },
      ],
    });
    await tx.insert(invoicePayments, {
      id: transactionId ?? newId('transaction', at, this.d.random),
      invoiceId: id,
      organizationId,
      method: 'processor',
      reference,
      cents: -part,
      creditCents: 0n,
      transactionId,
      at,
    });
    // What is past due is so for a part that nobody had paid, or that was demanded: that goes on.
    const isLate = row.state === 'past_due';
    const rests = isLate ? {} : { dunned: dunningSteps(this.d.settings).length };
    const after = await transition(tx, invoices, invoiceMachine, row, row.state === 'paid' ? 'open' : row.state, {
      patch: { paidCents: row.paidCents - part, paidAt: null, ...rests },
      wakeAt: isLate ? row.wakeAt : null,
      type: 'invoice.taken_back',
      message: `${part} cents were taken back (${reference})`,
    });
    await auditInvoice(tx, by, 'take-back', row, after, { reference, cents: part });
    await tell(this.d.outbox, tx, 'taken_back', after, { reference });
    await settleStanding(tx, this.d, organizationId);
    return part;
  }

  /** It stays taken back: what is open of the invoice is to be paid, and reminded of, from now on. */
  async demandIn(tx: Tx, id: string): Promise<void> {
    const row = await lockInvoice(tx, id);
    if (row.state !== 'open' || openCents(row) <= 0n) return;
    const change = {
      patch: { dunned: 0 },
      wakeAt: await tx.now(),
      type: 'invoice.demanded',
      message: 'to be paid again',
    };
    await transition(tx, invoices, invoiceMachine, row, 'open', change);
  }
}

const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);

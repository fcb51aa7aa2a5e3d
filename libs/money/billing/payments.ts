import { DomainError, newId } from '#kernel';
import type { Author } from '#identity/audit';
import { WORKER, type Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { account, referenceUsed } from '#money/ledger';
import { NANO_PER_CENT } from './lines/cents.js';
import { auditInvoice, lockInvoice, openAccounts, tell, type BillingParts } from './parts.js';
import { invoicePayments, type InvoicePaymentRow } from './rows/documents.table.js';
import { invoiceMachine, invoices, openCents, type InvoiceRow } from './rows/invoices.table.js';
import { settleStanding } from './standing.js';

export interface NewPayment {
  readonly method: InvoicePaymentRow['method'];
  /** Counts once for an invoice. */
  readonly reference: string;
  /** Null: all that is still to be paid. What is more than that goes to the tenant's credit. */
  readonly cents: bigint | null;
}

/** Money that came in for invoices, and invoices that nobody will pay. */
export class Payments {
  constructor(private readonly d: BillingParts) {}

  /** Counts a payment for an invoice; the same again, known by its reference, changes nothing. */
  record(id: string, payment: NewPayment, by: Author): Promise<InvoiceRow> {
    return this.d.store.transaction(WORKER, (tx) => this.recordIn(tx, id, payment, by));
  }

  /** The same within the caller's transaction. */
  async recordIn(tx: Tx, id: string, { method, reference, cents: given }: NewPayment, by: Author): Promise<InvoiceRow> {
    const row = await lockInvoice(tx, id);
    const { organizationId } = row;
    const known = await tx.first(invoicePayments, { invoiceId: id, reference });
    if (known && (known.method !== method || (given !== null && given !== known.cents + known.creditCents)))
      throw referenceUsed();
    if (known) return row;
    const open = openCents(row);
    const written = row.state === 'uncollectible';
    if (row.state !== 'open' && row.state !== 'past_due' && !written) throw nothingToPay(row);
    const cents = given ?? open;
    if (cents <= 0n)
      throw new DomainError('invalid', 'amount-not-positive', 'A payment must be more than zero.', { field: 'cents' });
    const part = cents < open ? cents : open;
    const excess = cents - part;
    await openAccounts(tx, this.d, organizationId);
    const at = await tx.now();
    const transactionId = await this.d.ledger.post(tx, {
      idempotencyKey: `invoice-payment:${id}:${reference}`,
      kind: 'invoice-payment',
      organizationId,
      reference: id,
      entries: [
        { accountId: method === 'manual' ? account.cash : account.clearing, amountNano: -cents * NANO_PER_CENT },
        { accountId: written ? account.losses : account.receivable(organizationId), amountNano: part * NANO_PER_CENT },
        { accountId: account.credit(organizationId), amountNano: excess * NANO_PER_CENT },
      ],
    });
    const id_ = newId('transaction', at, this.d.random);
    const paid: InvoicePaymentRow = {
      id: transactionId ?? id_,
      invoiceId: id,
      organizationId,
      method,
      reference,
      cents: part,
      creditCents: excess,
      transactionId,
      at,
    };
    await tx.insert(invoicePayments, paid);
    const done = part === open;
    const after = await transition(tx, invoices, invoiceMachine, row, done ? 'paid' : row.state, {
      patch: { paidCents: row.paidCents + part, ...(done ? { paidAt: at } : {}) },
      wakeAt: done ? at : row.wakeAt,
      type: done ? 'invoice.paid' : 'invoice.payment',
      message: `${cents} cents came in (${method}, ${reference})`,
    });
    await auditInvoice(tx, by, 'pay', row, after, { method, reference, cents });
    if (done) await tell(this.d.outbox, tx, 'paid', after);
    await settleStanding(tx, this.d, organizationId);
    await this.d.changed?.(tx, after);
    return after;
  }

  /** Gives an invoice up: what is still open is the broker's loss. It may be paid after all. */
  writeOff(id: string, reason: string, by: Author): Promise<InvoiceRow> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const row = await lockInvoice(tx, id);
      if (row.state === 'uncollectible') return row;
      if (row.state !== 'open' && row.state !== 'past_due') throw nothingToPay(row);
      const open = openCents(row) * NANO_PER_CENT;
      await openAccounts(tx, this.d, row.organizationId);
      await this.d.ledger.post(tx, {
        idempotencyKey: `invoice-loss:${id}`,
        kind: 'invoice-loss',
        organizationId: row.organizationId,
        reference: id,
        entries: [
          { accountId: account.losses, amountNano: -open },
          { accountId: account.receivable(row.organizationId), amountNano: open },
        ],
      });
      const after = await transition(tx, invoices, invoiceMachine, row, 'uncollectible', {
        wakeAt: null,
        message: reason,
      });
      await auditInvoice(tx, by, 'uncollectible', row, after, { reason });
      await tell(this.d.outbox, tx, 'uncollectible', after);
      await settleStanding(tx, this.d, row.organizationId);
      await this.d.changed?.(tx, after);
      return after;
    });
  }
}

function nothingToPay(row: InvoiceRow): DomainError {
  return new DomainError('conflict', 'nothing-to-pay', `The invoice is ${row.state}: nothing of it is to be paid.`, {
    facts: { state: row.state },
  });
}

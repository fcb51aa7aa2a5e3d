import { DomainError, divRound, newId, splitByLargestRemainder } from '#kernel';
import type { Author } from '#identity/audit';
import { audit } from '#identity/audit';
import { WORKER, type Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { account } from '#money/ledger';
import { NANO_PER_CENT } from './lines/cents.js';
import { nextNumber } from './numbering.js';
import { auditInvoice, draftOf, lockInvoice, openAccounts, tell, type BillingParts } from './parts.js';
import { creditNoteLines, creditNotes, type CreditNoteRow, type RefundTarget } from './rows/documents.table.js';
import {
  invoiceLines,
  invoiceMachine,
  invoices,
  openCents,
  type InvoiceLineRow,
  type InvoiceRow,
} from './rows/invoices.table.js';
import { buyerOf } from './issue.js';
import { settleStanding } from './standing.js';

export interface NewCreditNote {
  readonly reason: string;
  /** Which lines and how much of each, without tax; or an amount to be spread over all; or all that is left. */
  readonly what: { readonly lines: readonly { n: number; cents: bigint }[] } | { readonly cents: bigint } | 'all';
  /** Where money goes that was paid already. */
  readonly refundTo: RefundTarget;
}

/** Takes back parts of issued invoices, which themselves never change, or whole ones that nothing was paid for. */
export class Corrections {
  constructor(private readonly d: BillingParts) {}

  /**
   * A credit note: it takes off what is still to be paid first; the rest goes to the tenant's credit or back to where the payment came from.
   * All notes of an invoice together never take back more than each of its lines, and its tax with them.
   */
  credit(
    invoiceId: string,
    order: NewCreditNote,
    by: Author,
    also: (tx: Tx, note: CreditNoteRow) => Promise<void> = () => Promise.resolve(),
  ): Promise<CreditNoteRow> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const row = await lockInvoice(tx, invoiceId);
      const { organizationId } = row;
      if (!['open', 'past_due', 'paid'].includes(row.state)) throw notCorrectable(row);
      const notes = await tx.find(creditNotes, { invoiceId });
      const lines = await takenBack(tx, row, order.what);
      const usageCents = lines.reduce((a, l) => a + l.cents, 0n);
      const taxCents = taxShare(row, notes, usageCents);
      const totalCents = usageCents + taxCents;
      const open = openCents(row);
      const appliedCents = totalCents < open ? totalCents : open;
      const rest = totalCents - appliedCents;
      const refundable = row.paidCents - notes.reduce((a, n) => a + n.refundCents, 0n);
      const refundCents = order.refundTo === 'payment' ? (rest < refundable ? rest : refundable) : 0n;
      const toCreditCents = rest - refundCents;
      const at = await tx.now();
      const id = newId('creditNote', at, this.d.random);
      await openAccounts(tx, this.d, organizationId);
      const number = await nextNumber(tx, this.d.settings.creditNoteSeries, at);
      const transactionId = await this.d.ledger.post(tx, {
        idempotencyKey: `credit-note:${id}`,
        kind: 'credit-note',
        organizationId,
        reference: id,
        entries: [
          { accountId: account.revenue, amountNano: -usageCents * NANO_PER_CENT },
          { accountId: account.tax, amountNano: -taxCents * NANO_PER_CENT },
          { accountId: account.receivable(organizationId), amountNano: appliedCents * NANO_PER_CENT },
          { accountId: account.credit(organizationId), amountNano: toCreditCents * NANO_PER_CENT },
          { accountId: account.refunds, amountNano: refundCents * NANO_PER_CENT },
        ],
      });
      const note: CreditNoteRow = {
        id,
        organizationId,
        invoiceId,
        number,
        reason: order.reason,
        issuedAt: at,
        usageCents,
        taxCents,
        totalCents,
        appliedCents,
        toCreditCents,
        refundCents,
        refundState: refundCents > 0n ? 'pending' : 'none',
        buyer: row.buyer ?? (await buyerOf(tx, organizationId, null)),
        seller: row.seller ?? this.d.settings.seller,
        transactionId,
      };
      await tx.insert(creditNotes, note);
      await tx.insert(
        creditNoteLines,
        lines.map((l, n) => ({ creditNoteId: id, n, organizationId, invoiceId, invoiceLineN: l.n, cents: l.cents })),
      );
      const settled = row.state !== 'paid' && appliedCents === open;
      const after = await transition(tx, invoices, invoiceMachine, row, settled ? 'paid' : row.state, {
        patch: { creditedCents: row.creditedCents + appliedCents, ...(settled ? { paidAt: at } : {}) },
        wakeAt: settled ? at : row.wakeAt,
        type: settled ? 'invoice.paid' : 'invoice.credited',
        message: `credit note ${number}: ${order.reason}`,
      });
      await auditInvoice(tx, by, 'credit', row, after, { creditNote: number, totalCents, reason: order.reason });
      await tell(this.d.outbox, tx, 'credited', after, { creditNoteId: id, creditNote: number });
      await settleStanding(tx, this.d, organizationId);
      await this.d.changed?.(tx, after);
      await also(tx, note);
      return note;
    });
  }

  /** What a credit note was to pay back has been paid: by hand, or by the payment processor. Again changes nothing. */
  async refundedIn(tx: Tx, creditNoteId: string, via: 'manual' | 'processor', by: Author): Promise<CreditNoteRow> {
    const note = await tx.first(creditNotes, { id: creditNoteId }, { lock: 'update' });
    if (!note) throw new DomainError('not-found', 'not-found', `There is no credit note ${creditNoteId} here.`);
    if (note.refundState === 'none')
      throw new DomainError('conflict', 'nothing-to-refund', `Credit note ${note.number} pays nothing back.`);
    if (note.refundState === 'done') return note;
    await this.d.ledger.post(tx, {
      idempotencyKey: `credit-note-refund:${note.id}`,
      kind: 'refund',
      organizationId: note.organizationId,
      reference: note.id,
      entries: [
        { accountId: account.refunds, amountNano: -note.refundCents * NANO_PER_CENT },
        {
          accountId: via === 'manual' ? account.cash : account.clearing,
          amountNano: note.refundCents * NANO_PER_CENT,
        },
      ],
    });
    await tx.update(creditNotes, { id: note.id, refundState: 'pending' }, { refundState: 'done' });
    const { organizationId, id: subject, refundCents } = note;
    const before = { refundState: note.refundState };
    const after = { refundState: 'done', refundCents, via };
    await audit(tx, { by, organizationId, action: 'credit-note.refund', subject, before, after });
    return { ...note, refundState: 'done' };
  }

  refunded(creditNoteId: string, via: 'manual' | 'processor', by: Author): Promise<CreditNoteRow> {
    return this.d.store.transaction(WORKER, (tx) => this.refundedIn(tx, creditNoteId, via, by));
  }

  /** As if it had never been issued: its posting is reversed and its usage comes on the next invoice, which there is from now on. */
  void(id: string, reason: string, by: Author): Promise<InvoiceRow> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const row = await lockInvoice(tx, id);
      if (row.state === 'void' && row.number !== null) return row;
      if (row.number === null || !invoiceMachine.can(row.state, 'void')) throw notCorrectable(row);
      if (row.paidCents > 0n || (await tx.find(creditNotes, { invoiceId: id }, { limit: 1 })).length > 0)
        throw new DomainError('conflict', 'already-settled', 'Something was paid or credited for this invoice.', {
          fix: 'Write a credit note over what is left.',
        });
      if (row.transactionId !== null) await this.d.ledger.reverse(tx, row.transactionId, id);
      const after = await transition(tx, invoices, invoiceMachine, row, 'void', {
        patch: { filedAt: null },
        wakeAt: await tx.now(),
        message: reason,
      });
      const now = await tx.now();
      await tx.insertNew(invoices, [draftOf(this.d, row.organizationId, now, now)]);
      await auditInvoice(tx, by, 'void', row, after, { reason });
      await tell(this.d.outbox, tx, 'voided', after);
      await settleStanding(tx, this.d, row.organizationId);
      await this.d.changed?.(tx, after);
      return after;
    });
  }
}

/** What the note takes off each line; never more than earlier notes have left of it. */
async function takenBack(
  tx: Tx,
  invoice: InvoiceRow,
  what: NewCreditNote['what'],
): Promise<{ n: number; cents: bigint }[]> {
  const lines = await tx.find(invoiceLines, { invoiceId: invoice.id }, { orderBy: [['n', 'asc']] });
  const before = new Map<number, bigint>();
  for (const l of await tx.find(creditNoteLines, { invoiceId: invoice.id }))
    before.set(l.invoiceLineN, (before.get(l.invoiceLineN) ?? 0n) + l.cents);
  const left = lines
    .map((l: InvoiceLineRow) => ({ n: l.n, cents: l.cents - (before.get(l.n) ?? 0n) }))
    .filter((l) => l.cents > 0n);
  const most = left.reduce((a, l) => a + l.cents, 0n);
  const wanted = wantedOf(what, left, most);
  const sum = wanted.reduce((a, l) => a + l.cents, 0n);
  if (sum <= 0n) throw new DomainError('conflict', 'nothing-to-credit', 'Nothing is left of this invoice to credit.');
  return wanted.filter((l) => l.cents > 0n);
}

function wantedOf(
  what: NewCreditNote['what'],
  left: readonly { n: number; cents: bigint }[],
  most: bigint,
): { n: number; cents: bigint }[] {
  if (what === 'all') return [...left];
  if ('cents' in what) {
    if (what.cents <= 0n || what.cents > most) throw tooMuch(most);
    const parts = splitByLargestRemainder(
      what.cents,
      left.map((l) => l.cents),
    );
    return left.map((l, i) => ({ n: l.n, cents: parts[i] ?? 0n }));
  }
  const asked = new Map<number, bigint>();
  for (const { n, cents } of what.lines) asked.set(n, (asked.get(n) ?? 0n) + cents);
  for (const [n, cents] of asked) {
    const rest = left.find((l) => l.n === n)?.cents ?? 0n;
    if (cents <= 0n || cents > rest) throw tooMuch(rest, n);
  }
  return [...asked].map(([n, cents]) => ({ n, cents }));
}

/** Of the invoice's tax, what belongs to all that was taken back so far less what earlier notes gave back: whole in the end. */
function taxShare(invoice: InvoiceRow, notes: readonly CreditNoteRow[], usageCents: bigint): bigint {
  if (invoice.usageCents <= 0n) return 0n;
  const before = notes.reduce((a, n) => a + n.usageCents, 0n);
  const given = notes.reduce((a, n) => a + n.taxCents, 0n);
  return divRound(invoice.taxCents * (before + usageCents), invoice.usageCents) - given;
}

function tooMuch(mostCents: bigint, n?: number): DomainError {
  const of = n === undefined ? 'this invoice' : `line ${n}`;
  return new DomainError('invalid', 'more-than-invoiced', `Of ${of}, ${mostCents} cents are left to credit.`, {
    facts: { mostCents: String(mostCents) },
  });
}

function notCorrectable(row: InvoiceRow): DomainError {
  return new DomainError('conflict', 'not-correctable', `The invoice is ${row.state}: it cannot be corrected so.`, {
    facts: { state: row.state },
  });
}

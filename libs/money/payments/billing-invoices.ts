import { BROKER } from '#identity/audit';
import type { Tx } from '#platform/database';
import {
  creditNotes,
  invoiceLines,
  invoices,
  openCents,
  type Billing,
  type CreditNoteRow,
  type InvoiceRow,
} from '#money/billing';
import type { InvoicesToCollect, InvoiceToCollect, OwedRefund } from './ports.js';

/** The billing room's invoices, as what cards are charged for. */
export function invoicesOf(billing: Billing): InvoicesToCollect {
  return {
    open: (tx, { limit, after }) =>
      tx.find(
        invoices,
        { state: { in: ['open', 'past_due'] } },
        { orderBy: [['id', 'asc']], limit, ...(after === null ? {} : { after: [after] }) },
      ),
    get: async (tx, id) => {
      const row = await tx.first(invoices, { id });
      return row && (row.state === 'open' || row.state === 'past_due') ? toCollect(tx, row) : null;
    },
    standing: async (tx, id) => {
      const row = await tx.first(invoices, { id });
      if (row?.state === 'paid') return 'paid';
      return row?.state === 'open' || row?.state === 'past_due' ? 'open' : 'withdrawn';
    },
    onChange: (changed) => billing.onChange((tx, { id }) => changed(tx, id)),
    settle: async (tx, id, { paymentId, cents }) => {
      const row = await tx.first(invoices, { id }, { lock: 'update' });
      // Paid by hand or withdrawn while the card was being charged.
      if (!row || !['open', 'past_due', 'uncollectible'].includes(row.state)) return false;
      await billing.payments.recordIn(tx, id, { method: 'processor', reference: paymentId, cents }, BROKER);
      return true;
    },
    takeBack: (tx, id, { paymentId: payment, ...of }) =>
      billing.takenBack.takeBackIn(tx, id, { payment, ...of }, BROKER),
    demand: (tx, id) => billing.takenBack.demandIn(tx, id),
    owed: async (tx, { limit, after }) => {
      const page = { orderBy: [['id', 'asc']], limit, ...(after === null ? {} : { after: [after] }) } as const;
      const notes = await tx.find(creditNotes, { refundState: 'pending' }, page);
      return notes.map(owed);
    },
    owedOf: async (tx, invoiceId) => {
      const notes = await tx.find(creditNotes, { invoiceId, refundState: 'pending' }, { orderBy: [['id', 'asc']] });
      return notes.map(owed);
    },
    refunded: async (tx, creditNoteId) => {
      await billing.corrections.refundedIn(tx, creditNoteId, 'processor', BROKER);
    },
  };
}

const owed = ({ id, invoiceId, refundCents }: CreditNoteRow): OwedRefund => ({
  creditNoteId: id,
  invoiceId,
  cents: refundCents,
});

async function toCollect(tx: Tx, row: InvoiceRow): Promise<InvoiceToCollect> {
  const lines = await tx.find(invoiceLines, { invoiceId: row.id }, { orderBy: [['n', 'asc']] });
  return {
    id: row.id,
    organizationId: row.organizationId,
    number: row.number ?? row.id,
    dueAtMs: row.dueAt ?? row.periodEnd,
    openCents: openCents(row),
    lines: [
      ...lines
        .filter((line) => line.cents !== 0n)
        .map(({ n, resource, meter, cents }) => ({
          id: String(n),
          description: `${resource}, ${meter}`,
          amountCents: cents,
        })),
      ...(row.taxCents === 0n ? [] : [{ id: 'tax', description: row.tax?.label ?? 'Tax', amountCents: row.taxCents }]),
    ],
  };
}

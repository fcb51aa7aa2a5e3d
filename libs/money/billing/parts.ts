import { audit, type Author } from '#identity/audit';
import type { Clock, Random } from '#kernel';
import { newId, notFound } from '#kernel';
import type { Outbox, Store, Tx } from '#platform/database';
import { account, type Ledger } from '#money/ledger';
import { monthEnd, monthStart } from '#money/metering';
import { invoices, newDraft, type InvoiceRow } from './rows/invoices.table.js';
import type { BillingSettings } from './settings.js';
import type { TaxCalculator } from './tax.js';

/** What the works of this room stand on. */
export interface BillingParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly ledger: Ledger;
  readonly outbox: Outbox;
  readonly settings: BillingSettings;
  readonly tax: TaxCalculator;
  /** Told, in the same transaction, whenever less of an issued invoice is to be paid than before. */
  readonly changed?: InvoiceChanged;
}

export type InvoiceChanged = (tx: Tx, row: InvoiceRow) => Promise<void>;

/** The invoice, locked until the transaction ends. */
export async function lockInvoice(tx: Tx, id: string): Promise<InvoiceRow> {
  const row = await tx.first(invoices, { id }, { lock: 'update' });
  if (!row) throw notFound('invoice', id);
  return row;
}

/** The draft of an organization for the month of `atMs`; there is one, whoever writes it. */
export function draftOf(
  { clock, random, settings }: Pick<BillingParts, 'clock' | 'random' | 'settings'>,
  organizationId: string,
  atMs: number,
  createdAt: number,
): InvoiceRow {
  const periodEnd = monthEnd(atMs);
  return newDraft({
    id: newId('invoice', clock.now(), random),
    organizationId,
    periodStart: monthStart(atMs),
    periodEnd,
    createdAt,
    wakeAt: periodEnd + settings.graceMs,
  });
}

/** The accounts that an organization's invoices move; harmless to repeat. */
export function openAccounts(tx: Tx, { ledger }: Pick<BillingParts, 'ledger'>, organizationId: string): Promise<void> {
  return ledger.open(tx, [
    { id: account.credit(organizationId), kind: 'credit', organizationId },
    { id: account.receivable(organizationId), kind: 'receivable', organizationId },
  ]);
}

/** Writes into the audit log what became of an invoice. */
export function auditInvoice(
  tx: Tx,
  by: Author,
  action: string,
  before: InvoiceRow,
  after: InvoiceRow,
  more: object = {},
): Promise<void> {
  const { organizationId, id } = after;
  return audit(tx, {
    by,
    organizationId,
    action: `invoice.${action}`,
    subject: id,
    before: shown(before),
    after: { ...shown(after), ...more },
  });
}

function shown(row: InvoiceRow) {
  const { state, number, totalCents, dueCents, paidCents, creditedCents } = row;
  return { state, number, totalCents, dueCents, paidCents, creditedCents };
}

/** Tells the outside of an invoice, in the transaction of what happened to it. */
export function tell(outbox: Outbox, tx: Tx, topic: string, row: InvoiceRow, more: object = {}): Promise<string> {
  const { id, organizationId, number, state, dueAt } = row;
  const openCents = String(row.dueCents - row.paidCents - row.creditedCents);
  return outbox.add(tx, {
    organizationId,
    topic: `invoice.${topic}`,
    payload: { invoiceId: id, number, state, dueAt, totalCents: String(row.totalCents), openCents, ...more },
  });
}

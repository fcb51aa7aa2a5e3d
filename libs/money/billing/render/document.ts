import { monthStart } from '#money/metering';
import type { CreditNoteLineRow, CreditNoteRow } from '../rows/documents.table.js';
import type { InvoiceLineRow, InvoiceRow, Party } from '../rows/invoices.table.js';
import type { BillingSettings } from '../settings.js';
import type { InvoiceView, ViewLine } from '../view.js';

/** A document as data: what a person reads on it, in order. Both PDF and CSV are made from it. */
export interface BillingDocument {
  readonly title: 'Invoice' | 'Credit note' | 'Payout statement';
  readonly number: string | null;
  /** Across each page, when it is no valid document. */
  readonly watermark: 'DRAFT' | 'VOID' | null;
  /** Fixes the file's own dates, so that the same document gives the same bytes. */
  readonly dateMs: number;
  readonly seller: Party;
  readonly buyer: Party;
  /** What stands above the buyer, and above the first column; `Billed to` and `Project` when absent. */
  readonly words?: { readonly party: string; readonly group: string };
  readonly facts: readonly (readonly [string, string])[];
  readonly lines: readonly DocumentLine[];
  readonly totals: readonly { readonly label: string; readonly cents: bigint; readonly strong: boolean }[];
  readonly notes: readonly string[];
  readonly footer: string;
}

export interface DocumentLine {
  /** A `movement` and a `credit` have no quantity. */
  readonly kind: 'usage' | 'late usage' | 'credit' | 'movement';
  readonly month: string;
  readonly projectId: string;
  readonly project: string;
  readonly resource: string;
  readonly model: string | null;
  readonly providerClass: string | null;
  readonly meter: string;
  readonly unit: string;
  readonly quantity: bigint;
  readonly amountNano: bigint;
  readonly cents: bigint;
}

export const dayText = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
const lastDay = (row: InvoiceRow): string => dayText(row.periodEnd - 1);

/** "$1,234.56" */
export function centsText(cents: bigint): string {
  const abs = cents < 0n ? -cents : cents;
  const whole = (abs / 100n).toString().replace(/\B(?=(\d{3})+$)/g, ',');
  return `${cents < 0n ? '-' : ''}$${whole}.${(abs % 100n).toString().padStart(2, '0')}`;
}

/** A metered quantity for people: time in hours to the thousandth, all else as it is. */
export function quantityText(quantity: bigint, unit: string): string {
  const grouped = (n: bigint): string => n.toString().replace(/\B(?=(\d{3})+$)/g, ',');
  if (unit !== 'ms') return `${grouped(quantity)} ${unit}`;
  const negative = quantity < 0n;
  const thousandths = ((negative ? -quantity : quantity) + 1_800n) / 3_600n;
  const text = `${grouped(thousandths / 1_000n)}.${(thousandths % 1_000n).toString().padStart(3, '0')} h`;
  return negative ? `-${text}` : text;
}

function lineOf(line: ViewLine | InvoiceLineRow, invoice: InvoiceRow): DocumentLine {
  return {
    kind: line.periodStart === invoice.periodStart ? 'usage' : 'late usage',
    month: new Date(monthStart(line.periodStart)).toISOString().slice(0, 7),
    projectId: line.projectId,
    project: line.projectName,
    resource: line.resource,
    model: line.model,
    providerClass: line.providerClass,
    meter: line.meter,
    unit: line.unit,
    quantity: line.quantity,
    amountNano: line.amountNano,
    cents: line.cents,
  };
}

export function documentOfInvoice(
  view: InvoiceView,
  organizationName: string,
  settings: Pick<BillingSettings, 'seller' | 'footer'>,
): BillingDocument {
  const { invoice, tax } = view;
  const issued = invoice.number !== null && invoice.issuedAt !== null;
  const percent = tax ? `${tax.label} ${(tax.rateBps / 100).toFixed(2).replace(/\.?0+$/, '')} %` : 'Tax';
  return {
    title: 'Invoice',
    number: invoice.number,
    watermark: invoice.state === 'void' ? 'VOID' : issued ? null : 'DRAFT',
    // A draft has no date of its own: its month's end stands for it.
    dateMs: invoice.issuedAt ?? invoice.periodEnd,
    seller: invoice.seller ?? settings.seller,
    buyer: view.buyer,
    facts: [
      ['Number', invoice.number ?? 'draft'],
      ...(invoice.issuedAt === null ? [] : [['Issued', dayText(invoice.issuedAt)] as const]),
      ['Period', `${dayText(invoice.periodStart)} to ${lastDay(invoice)}`],
      ...(invoice.dueAt === null || view.dueCents === 0n ? [] : [['Due', dayText(invoice.dueAt)] as const]),
      ['Customer', organizationName],
      ['Reference', invoice.id],
    ],
    lines: view.lines.map((l) => lineOf(l, invoice)),
    totals: [
      { label: 'Usage', cents: view.usageCents, strong: false },
      ...(view.taxCents === 0n ? [] : [{ label: percent, cents: view.taxCents, strong: false }]),
      { label: 'Total', cents: view.totalCents, strong: true },
      ...(view.fromCreditCents === 0n
        ? []
        : [{ label: 'Paid from credit', cents: -view.fromCreditCents, strong: false }]),
      { label: 'Amount due', cents: view.dueCents, strong: true },
    ],
    notes: [
      'All amounts in US dollars. Usage is metered to the nano-dollar; lines are rounded to cents so that they add up to the total.',
      ...(view.lines.some((l) => l.periodStart !== invoice.periodStart)
        ? ['Lines of earlier months are usage that was not on the invoice of its month.']
        : []),
    ],
    footer: settings.footer,
  };
}

export function documentOfNote(
  note: CreditNoteRow,
  invoice: InvoiceRow,
  taken: readonly CreditNoteLineRow[],
  lines: readonly InvoiceLineRow[],
  settings: Pick<BillingSettings, 'footer'>,
): BillingDocument {
  const byN = new Map(lines.map((l) => [l.n, l]));
  return {
    title: 'Credit note',
    number: note.number,
    watermark: null,
    dateMs: note.issuedAt,
    seller: note.seller,
    buyer: note.buyer,
    facts: [
      ['Number', note.number],
      ['Issued', dayText(note.issuedAt)],
      ['Corrects invoice', invoice.number ?? invoice.id],
      ['Reason', note.reason],
      ['Reference', note.id],
    ],
    lines: taken.flatMap((t) => {
      const line = byN.get(t.invoiceLineN);
      if (!line) return [];
      return [
        {
          ...lineOf(line, invoice),
          kind: 'credit' as const,
          quantity: 0n,
          amountNano: -t.cents * 10_000_000n,
          cents: -t.cents,
        },
      ];
    }),
    totals: [
      { label: 'Usage', cents: -note.usageCents, strong: false },
      ...(note.taxCents === 0n ? [] : [{ label: 'Tax', cents: -note.taxCents, strong: false }]),
      { label: 'Total', cents: -note.totalCents, strong: true },
      ...(note.appliedCents === 0n
        ? []
        : [{ label: 'Taken off the invoice', cents: note.appliedCents, strong: false }]),
      ...(note.toCreditCents === 0n ? [] : [{ label: 'Given as credit', cents: note.toCreditCents, strong: false }]),
      ...(note.refundCents === 0n ? [] : [{ label: 'Paid back', cents: note.refundCents, strong: false }]),
    ],
    notes: ['All amounts in US dollars.'],
    footer: settings.footer,
  };
}

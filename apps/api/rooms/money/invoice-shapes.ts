import { z } from 'zod';
import { idOf, isoTime, nanoUsdText } from '#contracts';
import {
  describeLine,
  invoiceStates,
  openCents,
  type CreditNoteRow,
  type InvoiceRow,
  type InvoiceView,
  type ViewLine,
} from '#money/billing';
import { timeText } from '../shapes.js';

export const centsText = z
  .string()
  .regex(/^-?\d{1,30}$/)
  .describe('Whole US cents');

const partySchema = z
  .object({
    name: z.string(),
    address: z.array(z.string()),
    taxId: z.string().nullable(),
    email: z.string().nullable(),
  })
  .meta({ id: 'BillingParty' });

export const invoiceSchema = z
  .object({
    id: idOf('invoice'),
    organizationId: z.string(),
    state: z.enum(invoiceStates),
    number: z.string().nullable().describe('Null until it is issued'),
    periodStart: isoTime,
    periodEnd: isoTime,
    createdAt: isoTime,
    issuedAt: isoTime.nullable(),
    dueAt: isoTime.nullable(),
    paidAt: isoTime.nullable(),
    issuedTotalCents: centsText.describe('Zero until it is issued'),
    openCents: centsText.describe('What is still to be paid'),
  })
  .meta({ id: 'Invoice' });

export const creditNoteSchema = z
  .object({
    id: idOf('creditNote'),
    invoiceId: z.string(),
    number: z.string(),
    reason: z.string(),
    issuedAt: isoTime,
    usageCents: centsText,
    taxCents: centsText,
    totalCents: centsText,
    appliedCents: centsText.describe('Taken off what was still to be paid'),
    toCreditCents: centsText.describe('Given to the credit'),
    refundCents: centsText.describe('To be paid back'),
    refundState: z.enum(['none', 'pending', 'done']),
  })
  .meta({ id: 'CreditNote' });

export const listedNoteSchema = creditNoteSchema
  .extend({ organizationId: z.string() })
  .meta({ id: 'ListedCreditNote' });

const lineSchema = z
  .object({
    n: z.int(),
    month: isoTime.describe('Start of the month of the usage; an earlier one than the invoice’s for what arrived late'),
    projectId: z.string(),
    project: z.string(),
    resource: z.string(),
    description: z.string().describe('Resource and model in words'),
    model: z.string().nullable(),
    providerClass: z.string().nullable(),
    meter: z.string(),
    quantity: z.string(),
    unit: z.string(),
    amount: nanoUsdText,
    cents: centsText,
  })
  .meta({ id: 'InvoiceLine' });

export const invoiceWithLines = invoiceSchema
  .extend({
    lines: z.array(lineSchema),
    buyer: partySchema,
    tax: z.object({ label: z.string(), rateBps: z.int() }).nullable(),
    usage: nanoUsdText.describe('The exact sum of the lines'),
    usageCents: centsText,
    taxCents: centsText,
    totalCents: centsText,
    fromCreditCents: centsText.describe('What of the total came out of the credit'),
    dueCents: centsText,
    paidCents: centsText,
    creditNotes: z.array(creditNoteSchema),
    payments: z.array(
      z.object({ reference: z.string(), method: z.enum(['manual', 'processor']), cents: centsText, at: isoTime }),
    ),
  })
  .meta({ id: 'InvoiceWithLines' });

export function showInvoice(row: InvoiceRow) {
  return {
    // Rows carry ids of their own kind; the type of a column is text.
    id: row.id as z.infer<typeof invoiceSchema>['id'],
    organizationId: row.organizationId,
    state: row.state,
    number: row.number,
    periodStart: timeText(row.periodStart),
    periodEnd: timeText(row.periodEnd),
    createdAt: timeText(row.createdAt),
    issuedAt: timeText(row.issuedAt),
    dueAt: timeText(row.dueAt),
    paidAt: timeText(row.paidAt),
    issuedTotalCents: String(row.totalCents),
    openCents: String(['void', 'paid'].includes(row.state) ? 0n : openCents(row)),
  };
}

export function showNote(note: CreditNoteRow) {
  return {
    id: note.id as z.infer<typeof creditNoteSchema>['id'],
    invoiceId: note.invoiceId,
    number: note.number,
    reason: note.reason,
    issuedAt: timeText(note.issuedAt),
    usageCents: String(note.usageCents),
    taxCents: String(note.taxCents),
    totalCents: String(note.totalCents),
    appliedCents: String(note.appliedCents),
    toCreditCents: String(note.toCreditCents),
    refundCents: String(note.refundCents),
    refundState: note.refundState,
  };
}

function showLine(l: ViewLine) {
  return {
    n: l.n,
    month: timeText(l.periodStart),
    projectId: l.projectId,
    project: l.projectName,
    resource: l.resource,
    description: describeLine(l),
    model: l.model,
    providerClass: l.providerClass,
    meter: l.meter,
    quantity: String(l.quantity),
    unit: l.unit,
    amount: String(l.amountNano),
    cents: String(l.cents),
  };
}

export function showView(view: InvoiceView): z.input<typeof invoiceWithLines> {
  return {
    ...showInvoice(view.invoice),
    lines: view.lines.map(showLine),
    buyer: { ...view.buyer, address: [...view.buyer.address] },
    tax: view.tax,
    usage: String(view.usageNano),
    usageCents: String(view.usageCents),
    taxCents: String(view.taxCents),
    totalCents: String(view.totalCents),
    fromCreditCents: String(view.fromCreditCents),
    dueCents: String(view.dueCents),
    paidCents: String(view.invoice.paidCents),
    creditNotes: view.creditNotes.map(showNote),
    payments: view.payments.map(({ reference, method, cents, creditCents, at }) => ({
      reference,
      method,
      cents: String(cents + creditCents),
      at: timeText(at),
    })),
  };
}

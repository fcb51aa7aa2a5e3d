import { projects } from '#identity/tenancy';
import type { Tx } from '#platform/database';
import { account, accounts } from '#money/ledger';
import { buyerOf, settlementOf, usedSince } from './issue.js';
import { splitCents } from './lines/cents.js';
import { linesOf } from './lines/usage-lines.js';
import { projectOfLine } from './lines/wording.js';
import {
  billingProfiles,
  creditNotes,
  invoicePayments,
  type CreditNoteRow,
  type InvoicePaymentRow,
} from './rows/documents.table.js';
import {
  invoiceLines,
  invoices,
  type InvoiceRow,
  type Party,
  type Tax,
  type UsageLine,
} from './rows/invoices.table.js';
import { taxAt } from './tax.js';

export interface ViewLine extends UsageLine {
  readonly n: number;
  readonly projectName: string;
  /** Whole cents; the lines add up to the usage of the invoice to the cent. */
  readonly cents: bigint;
}

/** An invoice with all that belongs to it. Of a draft, everything is as it would be if it were issued now. */
export interface InvoiceView {
  readonly invoice: InvoiceRow;
  readonly lines: readonly ViewLine[];
  readonly buyer: Party;
  readonly tax: Tax | null;
  readonly usageNano: bigint;
  readonly usageCents: bigint;
  readonly taxCents: bigint;
  readonly totalCents: bigint;
  readonly fromCreditCents: bigint;
  readonly dueCents: bigint;
  readonly creditNotes: readonly CreditNoteRow[];
  readonly payments: readonly InvoicePaymentRow[];
}

export async function viewOf(tx: Tx, invoice: InvoiceRow): Promise<InvoiceView> {
  if (invoice.number === null) return estimate(tx, invoice);
  const { id, organizationId, buyer, tax, usageNano, usageCents, taxCents, totalCents, fromCreditCents, dueCents } =
    invoice;
  return {
    invoice,
    lines: await tx.find(invoiceLines, { invoiceId: id }, { orderBy: [['n', 'asc']] }),
    buyer: buyer ?? (await buyerOf(tx, organizationId, null)),
    tax,
    usageNano,
    usageCents,
    taxCents,
    totalCents,
    fromCreditCents,
    dueCents,
    creditNotes: await tx.find(creditNotes, { invoiceId: id }, { orderBy: [['number', 'asc']] }),
    payments: await tx.find(invoicePayments, { invoiceId: id }, { orderBy: [['at', 'asc']] }),
  };
}

async function estimate(tx: Tx, invoice: InvoiceRow): Promise<InvoiceView> {
  const { id, organizationId } = invoice;
  const profile = await tx.first(billingProfiles, { organizationId });
  const fixed = invoice.frozenAt !== null;
  const lines = fixed
    ? await tx.find(invoiceLines, { invoiceId: id }, { orderBy: [['n', 'asc']] })
    : await named(tx, await liveLines(tx, invoice));
  const usageNano = lines.reduce((a, l) => a + l.amountNano, 0n);
  const usageCents = lines.reduce((a, l) => a + l.cents, 0n);
  const taxCents = taxAt(usageCents, profile?.taxRateBps ?? 0);
  const credit = await tx.first(accounts, { id: account.credit(organizationId) });
  const { balanceNano, availableNano } = credit ?? { balanceNano: 0n, availableNano: 0n };
  const usedSinceNano = await usedSince(tx, invoice);
  const settled = settlementOf({ usageNano, taxCents, balanceNano, availableNano, usedSinceNano });
  return {
    invoice,
    lines,
    buyer: await buyerOf(tx, organizationId, profile),
    tax: taxCents === 0n || !profile ? null : { label: profile.taxLabel, rateBps: profile.taxRateBps },
    usageNano,
    usageCents,
    taxCents,
    totalCents: usageCents + taxCents,
    fromCreditCents: settled.fromCreditCents,
    dueCents: settled.dueCents,
    creditNotes: [],
    payments: [],
  };
}

/** While an earlier invoice is a draft too, what arrived late is on that one. A month that ended without usage has none. */
async function liveLines(tx: Tx, invoice: InvoiceRow): Promise<UsageLine[]> {
  return invoice.state === 'draft' ? linesOf(tx, invoice) : [];
}

async function named(tx: Tx, lines: readonly UsageLine[]): Promise<ViewLine[]> {
  const { cents } = splitCents(lines.map((l) => l.amountNano));
  const ids = [...new Set(lines.map((l) => l.projectId))];
  const found = ids.length === 0 ? [] : await tx.find(projects, { id: { in: ids } });
  const names = new Map(found.map((p) => [p.id, p.name]));
  return lines.map((l, n) => ({ ...l, n, projectName: projectOfLine(l.projectId, names), cents: cents[n] ?? 0n }));
}

/** Invoices that an actor may see, by id. */
export function findInvoice(
  tx: Tx,
  actor: { readonly as: 'worker' } | { readonly as: 'tenant'; readonly organizationId: string },
  id: string,
): Promise<InvoiceRow | null> {
  return tx.first(invoices, actor.as === 'worker' ? { id } : { id, organizationId: actor.organizationId });
}

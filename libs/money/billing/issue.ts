import { DomainError, HOUR, notFound, StaleVersion } from '#kernel';
import { organizations, projects } from '#identity/tenancy';
import type { Author } from '#identity/audit';
import { PgTx, sql, WORKER, type Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { account, accounts } from '#money/ledger';
import { usageRecords } from '#money/metering';
import { centsOf, NANO_PER_CENT, splitCents } from './lines/cents.js';
import { linesOf } from './lines/usage-lines.js';
import { projectOfLine } from './lines/wording.js';
import { nextNumber } from './numbering.js';
import { auditInvoice, openAccounts, tell, type BillingParts } from './parts.js';
import { billingProfiles, type BillingProfileRow } from './rows/documents.table.js';
import { invoiceLines, invoiceMachine, invoices, type InvoiceRow, type Party } from './rows/invoices.table.js';
import { dueAfter } from './settings.js';

const positive = (n: bigint): bigint => (n > 0n ? n : 0n);
const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/** How long an invoice waits for an earlier one of the same organization, and for a tax calculator that failed, doubled up to a day. */
const RETRY_MS = HOUR;
const LONGEST_RETRY_MS = 24 * HOUR;

/** What of an invoice comes out of the credit and what is left to pay. */
export interface Settlement {
  readonly owedNano: bigint;
  readonly fromCreditCents: bigint;
  readonly taxFromCreditCents: bigint;
  readonly dueCents: bigint;
}

/**
 * Usage was drawn from the credit as it happened. What the credit lacks at the end of the month is owed: its balance without what was used
 * since, below zero, at most this invoice. Tax is taken from available credit as far as it goes.
 */
export function settlementOf(of: {
  readonly usageNano: bigint;
  readonly taxCents: bigint;
  readonly balanceNano: bigint;
  readonly availableNano: bigint;
  readonly usedSinceNano: bigint;
}): Settlement {
  const owedNano = least(positive(-(of.balanceNano + of.usedSinceNano)), positive(of.usageNano));
  const taxFromCreditCents = least(positive(of.availableNano) / NANO_PER_CENT, positive(of.taxCents));
  const totalCents = centsOf(of.usageNano) + of.taxCents;
  const dueCents = centsOf(owedNano) + of.taxCents - taxFromCreditCents;
  return { owedNano, taxFromCreditCents, fromCreditCents: totalCents - dueCents, dueCents };
}

/** From draft to issued: lines are fixed first, the tax is worked out outside of any transaction, then number, posting and due date. */
export class Issuing {
  constructor(private readonly d: BillingParts) {}

  /** Fixes the lines. A month without any usage ends here, void and without a number. */
  async freeze(id: string): Promise<InvoiceRow> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const seen = await tx.first(invoices, { id });
      if (!seen) throw notFound('invoice', id);
      // The organization's earlier invoices are locked too, oldest first: what arrived late is on one of them or on this, never on two.
      const upToThis = await tx.find(
        invoices,
        { organizationId: seen.organizationId, periodStart: { lte: seen.periodStart } },
        { orderBy: [['periodStart', 'asc']], lock: 'update' },
      );
      const row = upToThis.at(-1);
      if (!row || row.state !== 'draft') throw new StaleVersion('invoice', id);
      const now = await tx.now();
      if (now < row.periodEnd) throw notOver(row);
      const unfinished = upToThis.find((i) => i.id !== id && ['draft', 'issuing', 'issuing_failed'].includes(i.state));
      if (unfinished) throw waitsFor(unfinished);
      const lines = await linesOf(tx, row);
      if (lines.length === 0)
        return transition(tx, invoices, invoiceMachine, row, 'void', { wakeAt: null, message: 'nothing was used' });
      const { cents, totalCents } = splitCents(lines.map((l) => l.amountNano));
      const names = new Map(
        (await tx.find(projects, { id: { in: [...new Set(lines.map((l) => l.projectId))] } })).map((p) => [
          p.id,
          p.name,
        ]),
      );
      await tx.insert(
        invoiceLines,
        lines.map((line, n) => ({
          ...line,
          invoiceId: id,
          n,
          organizationId: row.organizationId,
          projectName: projectOfLine(line.projectId, names),
          cents: cents[n] ?? 0n,
        })),
      );
      return transition(tx, invoices, invoiceMachine, row, 'issuing', {
        patch: { frozenAt: now, usageNano: lines.reduce((a, l) => a + l.amountNano, 0n), usageCents: totalCents },
        wakeAt: now,
        message: `${lines.length} ${lines.length === 1 ? 'line' : 'lines'} fixed`,
      });
    });
  }

  /** Works out the tax and issues. A calculator that fails leaves the invoice in `issuing_failed`, to be tried again. */
  async finish(row: InvoiceRow, by: Author): Promise<InvoiceRow> {
    const { store, tax } = this.d;
    const { id, organizationId } = row;
    const profile = await store.transaction(WORKER, (tx) => tx.first(billingProfiles, { organizationId }));
    const question = { invoiceId: id, organizationId, profile, netCents: row.usageCents, atMs: row.periodEnd };
    let answer: Awaited<ReturnType<typeof tax.taxOf>>;
    try {
      answer = await tax.taxOf(question);
    } catch (error) {
      return this.failed(row, error);
    }
    return store.transaction(WORKER, (tx) => this.issue(tx, row, profile, answer, by));
  }

  private failed(row: InvoiceRow, error: unknown): Promise<InvoiceRow> {
    const message = error instanceof Error ? error.message : String(error);
    const waitMs = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.min(row.failures, 10));
    return this.d.store.transaction(WORKER, async (tx) =>
      transition(tx, invoices, invoiceMachine, row, 'issuing_failed', {
        patch: { failures: row.failures + 1, message },
        wakeAt: (await tx.now()) + waitMs,
        message: `the tax could not be worked out: ${message}`,
      }),
    );
  }

  private async issue(
    tx: Tx,
    row: InvoiceRow,
    profile: BillingProfileRow | null,
    { cents: taxCents, tax }: Awaited<ReturnType<BillingParts['tax']['taxOf']>>,
    by: Author,
  ): Promise<InvoiceRow> {
    const { ledger, settings } = this.d;
    const { id, organizationId } = row;
    const now = await tx.now();
    await openAccounts(tx, this.d, organizationId);
    const credit = await tx.first(accounts, { id: account.credit(organizationId) }, { lock: 'update' });
    if (!credit) throw new Error(`the credit account of ${organizationId} is gone`);
    const { balanceNano, availableNano } = credit;
    const usedSinceNano = await usedSince(tx, row);
    const s = settlementOf({ usageNano: row.usageNano, taxCents, balanceNano, availableNano, usedSinceNano });
    // Last of all locks but those of the accounts: whoever issues next waits for this row.
    const number = await nextNumber(tx, settings.invoiceSeries, now);
    const dueFromUsage = s.dueCents - (taxCents - s.taxFromCreditCents);
    const entries = [
      { accountId: account.credit(organizationId), amountNano: s.owedNano - s.taxFromCreditCents * NANO_PER_CENT },
      { accountId: account.receivable(organizationId), amountNano: -s.dueCents * NANO_PER_CENT },
      { accountId: account.tax, amountNano: taxCents * NANO_PER_CENT },
      { accountId: account.rounding, amountNano: dueFromUsage * NANO_PER_CENT - s.owedNano },
    ];
    const transactionId = entries.some((e) => e.amountNano !== 0n)
      ? await ledger.post(tx, {
          idempotencyKey: `invoice:${id}`,
          kind: 'invoice',
          organizationId,
          reference: id,
          entries,
        })
      : null;
    const due = s.dueCents > 0n;
    const after = await transition(tx, invoices, invoiceMachine, row, due ? 'open' : 'paid', {
      patch: {
        number,
        issuedAt: now,
        dueAt: dueAfter(now, profile?.netDays ?? settings.netDays),
        paidAt: due ? null : now,
        taxCents,
        totalCents: row.usageCents + taxCents,
        fromCreditCents: s.fromCreditCents,
        dueCents: s.dueCents,
        tax,
        buyer: await buyerOf(tx, organizationId, profile),
        seller: settings.seller,
        transactionId,
        message: null,
        failures: 0,
      },
      wakeAt: now,
      message: `issued as ${number}`,
    });
    await auditInvoice(tx, by, 'issue', row, after);
    await tell(this.d.outbox, tx, 'issued', after);
    return after;
  }
}

/** What the tenant was charged for time after the invoice's month: it is not owed on this invoice. */
export async function usedSince(tx: Tx, { organizationId, periodEnd }: InvoiceRow): Promise<bigint> {
  if (!(tx instanceof PgTx)) {
    const rows = await tx.find(usageRecords, { organizationId, side: 'charge', toAt: { gt: periodEnd } });
    return rows.reduce((a, r) => a + r.amountNano, 0n);
  }
  // What ends after this month lies in a later one: the partitions before need not be opened.
  const since = new Date(periodEnd).toISOString();
  const [sum] = await tx.query<{ amount: string }>(
    sql`select coalesce(sum(amount_nano), 0)::text as amount from usage_records
        where organization_id = ${organizationId} and side = 'charge' and to_at > ${since} and period_month >= ${since}`,
  );
  return BigInt(sum?.amount ?? 0);
}

/** The organization under the name that its profile gives, else its own. */
export async function buyerOf(tx: Tx, organizationId: string, profile: BillingProfileRow | null): Promise<Party> {
  if (profile) return { name: profile.name, address: profile.address, taxId: profile.taxId, email: profile.email };
  const organization = await tx.first(organizations, { id: organizationId });
  return { name: organization?.name ?? organizationId, address: [], taxId: null, email: null };
}

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

function notOver(row: InvoiceRow): DomainError {
  return new DomainError('conflict', 'period-not-over', `The month of this invoice ends on ${dayOf(row.periodEnd)}.`, {
    fix: 'Wait for its end; GET /v1/invoices/preview shows what it comes to so far.',
  });
}

function waitsFor(earlier: InvoiceRow): DomainError {
  return new DomainError(
    'conflict',
    'earlier-invoice-unfinished',
    `The invoice of ${dayOf(earlier.periodStart)} to ${dayOf(earlier.periodEnd)} (${earlier.id}) is not issued yet.`,
    { fix: 'Issue the earlier one first.', retryable: true },
  );
}

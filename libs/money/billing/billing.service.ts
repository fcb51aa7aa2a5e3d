import { HOUR, notFound } from '#kernel';
import { audit, type Author } from '#identity/audit';
import { PgTx, sql, WORKER, type Actor, type Tx } from '#platform/database';
import { monthEnd, monthStart, usageRecords } from '#money/metering';
import { Corrections } from './corrections.js';
import { Filing, type DocumentBytes } from './filing.js';
import { InvoiceReconciler, type StopWork } from './invoice.reconciler.js';
import { Issuing } from './issue.js';
import { draftOf, type BillingParts, type InvoiceChanged } from './parts.js';
import { Payments } from './payments.js';
import { TakenBack } from './taken-back.js';
import { Profiles } from './profiles.js';
import { creditNotes, type CreditNoteRow } from './rows/documents.table.js';
import { invoices, type InvoiceRow, type InvoiceState } from './rows/invoices.table.js';
import { findInvoice, viewOf, type InvoiceView } from './view.js';

export interface InvoicePage {
  readonly limit: number;
  readonly after?: readonly [number, string];
}

/** What tenants owe per month: drafts, issued invoices, payments and corrections. */
export class Billing {
  readonly issuing: Issuing;
  readonly payments: Payments;
  readonly corrections: Corrections;
  readonly takenBack: TakenBack;
  readonly profiles: Profiles;
  readonly filing: Filing;

  private readonly d: BillingParts;
  private readonly listeners: InvoiceChanged[] = [];

  constructor(parts: BillingParts, bytes: DocumentBytes) {
    const changed: InvoiceChanged = async (tx, row) => {
      for (const listener of this.listeners) await listener(tx, row);
    };
    const d = { ...parts, changed };
    this.d = d;
    this.issuing = new Issuing(d);
    this.payments = new Payments(d);
    this.corrections = new Corrections(d);
    this.takenBack = new TakenBack(d);
    this.profiles = new Profiles(d.store);
    this.filing = new Filing({ store: d.store, settings: d.settings, bytes });
  }

  /** Calls, in the same transaction, whenever less of an issued invoice is to be paid than before. */
  onChange(listener: InvoiceChanged): void {
    this.listeners.push(listener);
  }

  reconciler(stopWork: StopWork): InvoiceReconciler {
    return new InvoiceReconciler(this.d, this.issuing, this.filing, stopWork);
  }

  /** Makes sure that the organization's draft for the month of `atMs` exists; one per month, whoever asks. */
  async ensureDraft(organizationId: string, atMs: number): Promise<void> {
    await this.d.store.transaction(WORKER, async (tx) =>
      tx.insertNew(invoices, [draftOf(this.d, organizationId, atMs, await tx.now())]),
    );
  }

  /**
   * A draft for every organization that used something in the month of `atMs` or the one before, and one of this month where something was used in
   * the two before: what arrives late of those is on it. A month further back that was missed gets its own, unless a later one is issued:
   * invoices follow each other. Returns how many are new.
   */
  async openDrafts(atMs: number): Promise<number> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      const month = monthStart(atMs);
      const last = monthStart(month - 1);
      const before = monthStart(last - 1);
      const [usedBefore, usedLast] = [await usersIn(tx, before), await usersIn(tx, last)];
      const later = {
        organizationId: { in: usedBefore },
        periodStart: { gt: before },
        state: { not: 'draft' as const },
      };
      const passed = new Set((await tx.find(invoices, later)).map((i) => i.organizationId));
      const drafts = (ids: Iterable<string>, of: number) => [...ids].map((id) => draftOf(this.d, id, of, now));
      const rows = [
        ...drafts(
          usedBefore.filter((id) => !passed.has(id)),
          before,
        ),
        ...drafts(usedLast, last),
        ...drafts(new Set([...usedBefore, ...usedLast, ...(await usersIn(tx, month))]), month),
      ];
      return rows.length === 0 ? 0 : (await tx.insertNew(invoices, rows)).length;
    });
  }

  list(actor: Actor, organizationId: string, page: InvoicePage): Promise<InvoiceRow[]> {
    return this.find(actor, { organizationId }, page);
  }

  /** Of all organizations; for administrators. */
  listAll(filter: { organizationId?: string; state?: InvoiceState }, page: InvoicePage): Promise<InvoiceRow[]> {
    return this.find(WORKER, filter, page);
  }

  /** Credit notes of all organizations, newest first; for administrators. */
  listNotes(filter: { organizationId?: string }, page: InvoicePage): Promise<CreditNoteRow[]> {
    return this.d.store.transaction(WORKER, (tx) =>
      tx.find(creditNotes, filter, { orderBy: [['id', 'desc']], ...page }),
    );
  }

  private find(
    actor: Actor,
    filter: { organizationId?: string; state?: InvoiceState },
    page: InvoicePage,
  ): Promise<InvoiceRow[]> {
    return this.d.store.transaction(actor, (tx) =>
      tx.find(invoices, filter, {
        orderBy: [
          ['periodStart', 'desc'],
          ['id', 'desc'],
        ],
        ...page,
      }),
    );
  }

  get(actor: Actor, id: string): Promise<InvoiceView> {
    return this.d.store.transaction(actor, async (tx) => {
      const invoice = await findInvoice(tx, actor, id);
      if (!invoice) throw notFound('invoice', id);
      return viewOf(tx, invoice);
    });
  }

  /** The month of `atMs` as its invoice would be if it were issued now. */
  preview(actor: Actor, organizationId: string, atMs: number): Promise<InvoiceView> {
    return this.d.store.transaction(actor, async (tx) => {
      const known = await tx.first(invoices, { organizationId, periodStart: monthStart(atMs) });
      return viewOf(tx, known ?? draftOf(this.d, organizationId, atMs, await tx.now()));
    });
  }

  /** Issues now, before the grace is over; the month itself must be. Waits for nothing but the tax. */
  async issueNow(id: string, by: Author): Promise<InvoiceRow> {
    const row = await this.d.store.transaction(WORKER, (tx) => tx.first(invoices, { id }));
    if (!row) throw notFound('invoice', id);
    if (row.state !== 'draft' && row.state !== 'issuing') return row;
    const frozen = row.state === 'draft' ? await this.issuing.freeze(id) : row;
    if (frozen.state !== 'void') return this.issuing.finish(frozen, by);
    const { organizationId } = frozen;
    await this.d.store.transaction(WORKER, (tx) =>
      audit(tx, { by, organizationId, action: 'invoice.issue', subject: id, after: { state: 'void' } }),
    );
    return frozen;
  }
}

/** How often drafts are looked for. */
export const DRAFTS_EVERY_MS = HOUR;

/** Who was charged for something in the month that starts then. */
async function usersIn(tx: Tx, month: number): Promise<string[]> {
  if (!(tx instanceof PgTx)) {
    const rows = await tx.find(usageRecords, { side: 'charge', toAt: { gt: month } });
    return [...new Set(rows.filter((r) => r.toAt <= monthEnd(month)).map((r) => r.organizationId))].sort();
  }
  const rows = await tx.query<{ organization_id: string }>(
    // One probe of the index for each tenant, however many records there are.
    sql`select o.id as organization_id from organizations o where o.kind = 'tenant' and exists (
          select 1 from usage_records u where u.organization_id = o.id and u.side = 'charge'
            and u.to_at > ${new Date(month).toISOString()} and u.to_at <= ${new Date(monthEnd(month)).toISOString()})
        order by 1`,
  );
  return rows.map((r) => r.organization_id);
}

import { divRound, newId, notFound, splitByLargestRemainder, type Clock, type Random } from '#kernel';
import { PgTx, sql, WORKER, type Actor, type Store, type Tx } from '#platform/database';
import { monthEnd, monthStart } from '#money/metering';
import { invoices, type InvoiceRow } from './invoices.table.js';

export interface InvoiceLine {
  readonly projectId: string;
  readonly resource: string;
  readonly meter: string;
  readonly quantity: bigint;
  readonly unit: string;
  /** Exact, as in the ledger. */
  readonly amountNano: bigint;
  /** Whole cents; the lines add up to the total to the cent. */
  readonly cents: bigint;
}

export interface DraftInvoice {
  readonly invoice: InvoiceRow;
  readonly lines: readonly InvoiceLine[];
  readonly totalNano: bigint;
  readonly totalCents: bigint;
}

const NANO_PER_CENT = 10_000_000n;

/** What tenants owe per month. Drafts are counted anew from usage each time they are looked at; issuing comes later. */
export class Billing {
  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** Makes sure that the organization's draft for the month of `atMs` exists; one per month, whoever asks. */
  async ensureDraft(organizationId: string, atMs: number): Promise<void> {
    await this.store.transaction(WORKER, (tx) =>
      tx.insertNew(invoices, [
        {
          id: newId('invoice', this.clock.now(), this.random),
          organizationId,
          periodStart: monthStart(atMs),
          periodEnd: monthEnd(atMs),
          state: 'draft',
          number: null,
          createdAt: this.clock.now(),
        },
      ]),
    );
  }

  list(
    actor: Actor,
    organizationId: string,
    page: { limit: number; after?: readonly [number, string] },
  ): Promise<InvoiceRow[]> {
    return this.store.transaction(actor, (tx) =>
      tx.find(
        invoices,
        { organizationId },
        {
          orderBy: [
            ['periodStart', 'desc'],
            ['id', 'desc'],
          ],
          ...page,
        },
      ),
    );
  }

  async get(actor: Actor, id: string): Promise<DraftInvoice> {
    return this.store.transaction(actor, async (tx) => {
      const own = actor.as === 'worker' ? {} : { organizationId: actor.organizationId };
      const invoice = await tx.first(invoices, { id, ...own });
      if (!invoice) throw notFound('invoice', id);
      return draft(invoice, await usageLines(tx, invoice));
    });
  }
}

type UsageLine = Omit<InvoiceLine, 'cents'>;

/** Lines in whole cents by largest remainder, so that they add up to the rounded total. */
export function draft(invoice: InvoiceRow, lines: readonly UsageLine[]): DraftInvoice {
  const totalNano = lines.reduce((a, l) => a + l.amountNano, 0n);
  const totalCents = divRound(totalNano, NANO_PER_CENT);
  const cents =
    totalNano > 0n
      ? splitByLargestRemainder(
          totalCents,
          lines.map((l) => l.amountNano),
        )
      : lines.map(() => 0n);
  return { invoice, lines: lines.map((l, i) => ({ ...l, cents: cents[i] ?? 0n })), totalNano, totalCents };
}

async function usageLines(tx: Tx, invoice: InvoiceRow): Promise<UsageLine[]> {
  if (!(tx instanceof PgTx)) throw new TypeError('invoices are counted in PostgreSQL');
  const rows = await tx.query<{
    project_id: string;
    resource: string;
    meter: string;
    unit: string;
    quantity: string;
    amount: string;
  }>(
    sql`select project_id, resource, meter, unit, sum(quantity)::text as quantity, sum(amount_nano)::text as amount
        from usage_records
        where organization_id = ${invoice.organizationId} and side = 'charge'
          and to_at > ${new Date(invoice.periodStart).toISOString()} and to_at <= ${new Date(invoice.periodEnd).toISOString()}
        group by project_id, resource, meter, unit order by project_id, resource, meter`,
  );
  return rows.map((r) => ({
    projectId: r.project_id,
    resource: r.resource,
    meter: r.meter,
    unit: r.unit,
    quantity: BigInt(r.quantity),
    amountNano: BigInt(r.amount),
  }));
}

import { PgTx, sql, type Tx } from '#platform/database';
import { usageRecords } from '#money/metering';
import { invoiceLines, invoices, type InvoiceRow, type UsageLine } from '../rows/invoices.table.js';

type Period = Pick<InvoiceRow, 'organizationId' | 'periodStart' | 'periodEnd'>;

const identityOf = (l: UsageLine): string =>
  JSON.stringify([l.periodStart, l.projectId, l.resource, l.model, l.providerClass, l.meter, l.unit]);

/** What a period's records come to, by project and kind of thing. A record counts where its last millisecond lies. */
export async function usageOf(tx: Tx, period: Period): Promise<UsageLine[]> {
  const { organizationId, periodStart, periodEnd } = period;
  if (!(tx instanceof PgTx)) {
    const within = { organizationId, side: 'charge' as const, toAt: { lte: periodEnd } };
    const rows = (await tx.find(usageRecords, within)).filter((r) => r.toAt > periodStart);
    return summed(
      rows.map((r) => ({
        periodStart,
        projectId: r.projectId,
        resource: r.resource,
        model: r.model,
        providerClass: r.providerClass,
        meter: r.meter,
        unit: r.unit,
        quantity: r.quantity,
        amountNano: r.amountNano,
      })),
    );
  }
  // Lines are few and records many. Where the planner has not counted a month's records yet, it would sort them all instead of hashing them:
  // three times the work, most of it on the disk.
  await tx.query(sql`select set_config('enable_sort', 'off', true)`);
  const rows = await tx.query<{
    project_id: string;
    resource: string;
    model: string | null;
    provider_class: string | null;
    meter: string;
    unit: string;
    quantity: string;
    amount: string;
  }>(
    sql`select project_id, resource, model, provider_class, meter, unit,
          sum(quantity)::text as quantity, sum(amount_nano)::text as amount
        from usage_records
        where organization_id = ${organizationId} and side = 'charge'
          and period_month = ${new Date(periodStart).toISOString()}
          and to_at > ${new Date(periodStart).toISOString()} and to_at <= ${new Date(periodEnd).toISOString()}
        group by 1, 2, 3, 4, 5, 6`,
  );
  await tx.query(sql`select set_config('enable_sort', 'on', true)`);
  return summed(
    rows.map((r) => ({
      periodStart,
      projectId: r.project_id,
      resource: r.resource,
      model: r.model,
      providerClass: r.provider_class,
      meter: r.meter,
      unit: r.unit,
      quantity: BigInt(r.quantity),
      amountNano: BigInt(r.amount),
    })),
  );
}

/** One line for each identity, in an order that depends on nothing but the lines. */
function summed(lines: readonly UsageLine[]): UsageLine[] {
  const byIdentity = new Map<string, UsageLine>();
  for (const line of lines) {
    const key = identityOf(line);
    const known = byIdentity.get(key);
    byIdentity.set(
      key,
      known
        ? { ...known, quantity: known.quantity + line.quantity, amountNano: known.amountNano + line.amountNano }
        : line,
    );
  }
  return [...byIdentity.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line);
}

/** What is in `used` and not in `billed`, line by line. */
export function unbilled(used: readonly UsageLine[], billed: readonly UsageLine[]): UsageLine[] {
  const less = billed.map((l) => ({ ...l, quantity: -l.quantity, amountNano: -l.amountNano }));
  return summed([...used, ...less]).filter((l) => l.quantity !== 0n || l.amountNano !== 0n);
}

/** Usage may be told of 35 days late, so what belongs to a month may arrive in the second month after it. */
const LATE_MONTHS = 2;

function monthsBefore(ms: number, months: number): number {
  const d = new Date(ms);
  return Date.UTC(d.getUTCFullYear(), d.getUTCMonth() - months, 1);
}

/**
 * The lines of an invoice: its own month's usage, then what belongs to earlier invoices and is on none: it arrived after their lines were
 * fixed, or its invoice was voided. What was billed is subtracted from what was used, so nothing is on two invoices and nothing on none.
 */
export async function linesOf(tx: Tx, invoice: InvoiceRow): Promise<UsageLine[]> {
  const { organizationId, periodStart } = invoice;
  const own = await usageOf(tx, invoice);
  const earlier = (await tx.find(invoices, { organizationId, periodStart: { lt: periodStart } })).filter(
    (i) => i.state !== 'draft',
  );
  const voided = earlier.filter((i) => i.state === 'void').map((i) => i.id);
  const takenBack = voided.length === 0 ? [] : await tx.find(invoiceLines, { invoiceId: { in: voided } });
  const again = new Set(takenBack.map((l) => l.periodStart));
  const since = monthsBefore(periodStart, LATE_MONTHS);
  const late: UsageLine[] = [];
  for (const month of earlier.sort((a, b) => a.periodStart - b.periodStart)) {
    if (month.periodStart < since && !again.has(month.periodStart)) continue;
    const billed = await tx.find(invoiceLines, { organizationId, periodStart: month.periodStart });
    late.push(
      ...unbilled(await usageOf(tx, month), billed.filter((l) => !voided.includes(l.invoiceId)).map(withoutInvoice)),
    );
  }
  return [...own, ...late];
}

function withoutInvoice(l: UsageLine): UsageLine {
  const { periodStart, projectId, resource, model, providerClass, meter, unit, quantity, amountNano } = l;
  return { periodStart, projectId, resource, model, providerClass, meter, unit, quantity, amountNano };
}

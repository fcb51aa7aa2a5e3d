import { DAY } from '#kernel';
import { PgTx, sql, type Tx } from '#platform/database';
import { monthEnd, monthStart, usageRecords } from '#money/metering';
import { statementLines, type LeaseDay } from '../rows/statements.table.js';

/** Usage may be told of 35 days late, so what belongs to a month may arrive in the second month after it. */
const LATE_MONTHS = 2;

export const dayStartOf = (ms: number): number => Math.floor(ms / DAY) * DAY;

const identityOf = (l: LeaseDay): string => JSON.stringify([l.dayStart, l.sku, l.resource, l.leaseId, l.meter, l.unit]);

/** One line for each lease and day, in an order that depends on nothing but the lines. */
export function summed(lines: readonly LeaseDay[]): LeaseDay[] {
  const byIdentity = new Map<string, LeaseDay>();
  for (const line of lines) {
    const key = identityOf(line);
    const { quantity = 0n, amountNano = 0n } = byIdentity.get(key) ?? {};
    byIdentity.set(key, { ...line, quantity: quantity + line.quantity, amountNano: amountNano + line.amountNano });
  }
  return [...byIdentity.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line);
}

/** What is in `used` and not in `stated`. */
export function unstated(used: readonly LeaseDay[], stated: readonly LeaseDay[]): LeaseDay[] {
  const less = stated.map((l) => ({ ...l, quantity: -l.quantity, amountNano: -l.amountNano }));
  return summed([...used, ...less]).filter((l) => l.quantity !== 0n || l.amountNano !== 0n);
}

/**
 * What a provider is owed for a month and the two before it, and is on no statement yet. What was stated is subtracted from what was
 * used, so nothing is on two statements and nothing on none.
 */
export async function unstatedAccruals(tx: Tx, providerId: string, periodStart: number): Promise<LeaseDay[]> {
  const { months, endMs } = monthsUpTo(periodStart);
  const stated = await tx.find(statementLines, {
    providerId,
    kind: 'accrual',
    dayStart: { gte: months[0] ?? periodStart },
  });
  const before = stated.filter((l) => l.dayStart < endMs).map(leaseDay);
  return unstated(await usedIn(tx, providerId, months), before);
}

function monthsUpTo(periodStart: number): { months: number[]; endMs: number } {
  const months = [periodStart];
  while (months.length <= LATE_MONTHS) months.unshift(monthStart((months[0] ?? periodStart) - 1));
  return { months, endMs: monthEnd(periodStart) };
}

function leaseDay(l: {
  dayStart: number;
  leaseId: string | null;
  sku: string | null;
  resource: string | null;
  meter: string | null;
  unit: string | null;
  quantity: bigint | null;
  amountNano: bigint;
}): LeaseDay {
  const { dayStart, leaseId, sku, resource, meter, unit, quantity, amountNano } = l;
  return {
    dayStart,
    leaseId,
    sku,
    resource: resource ?? '',
    meter: meter ?? '',
    unit: unit ?? '',
    quantity: quantity ?? 0n,
    amountNano,
  };
}

async function usedIn(tx: Tx, providerId: string, months: readonly number[]): Promise<LeaseDay[]> {
  if (!(tx instanceof PgTx)) {
    const rows = await tx.find(usageRecords, { providerId, side: 'cost', periodMonth: { in: months } });
    return summed(rows.map((r) => leaseDay({ ...r, dayStart: dayStartOf(r.toAt - 1) })));
  }
  const rows = await tx.query<{
    day: string;
    lease_id: string | null;
    sku: string | null;
    resource: string;
    meter: string;
    unit: string;
    quantity: string;
    amount: string;
  }>(
    sql`select to_char((to_at - interval '1 millisecond') at time zone 'utc', 'YYYY-MM-DD') as day, lease_id, sku, resource, meter, unit,
          sum(quantity)::text as quantity, sum(amount_nano)::text as amount
        from usage_records
        where provider_id = ${providerId} and side = 'cost'
          and period_month = any(${months.map((m) => new Date(m).toISOString())}::timestamptz[])
        group by 1, 2, 3, 4, 5, 6`,
  );
  return summed(
    rows.map((r) => ({
      dayStart: Date.parse(`${r.day}T00:00:00Z`),
      leaseId: r.lease_id,
      sku: r.sku,
      resource: r.resource,
      meter: r.meter,
      unit: r.unit,
      quantity: BigInt(r.quantity),
      amountNano: BigInt(r.amount),
    })),
  );
}

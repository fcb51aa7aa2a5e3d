import { PgTx, sql, type Tx } from '#platform/database';
import { monthStart, usageRecords } from '#money/metering';
import type { MeteredCost } from './match.js';

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What of a period no earlier invoice of the provider was compared with, so that metered time is compared once. */
export function withoutEarlier(
  period: Span,
  earlier: readonly { readonly periodFrom: number; readonly periodTo: number }[],
): Span[] {
  let left: Span[] = [period];
  for (const { periodFrom, periodTo } of earlier)
    left = left.flatMap(({ fromMs, toMs }) =>
      [
        { fromMs, toMs: Math.min(toMs, periodFrom) },
        { fromMs: Math.max(fromMs, periodTo), toMs },
      ].filter((s) => s.fromMs < s.toMs),
    );
  return left;
}

/** Cost of leases by lease; a record counts where its last millisecond lies, as in reports and invoices. */
export async function meteredIn(tx: Tx, providerId: string, spans: readonly Span[]): Promise<MeteredCost[]> {
  const byLease = new Map<string, MeteredCost>();
  for (const span of spans)
    for (const found of tx instanceof PgTx ? await inPg(tx, providerId, span) : await inMemory(tx, providerId, span)) {
      const known = byLease.get(found.leaseId);
      byLease.set(found.leaseId, known ? both(known, found) : found);
    }
  return [...byLease.values()];
}

const both = (a: MeteredCost, b: MeteredCost): MeteredCost => ({
  leaseId: a.leaseId,
  amountNano: a.amountNano + b.amountNano,
  ms: a.ms + b.ms,
  fromMs: Math.min(a.fromMs, b.fromMs),
  toMs: Math.max(a.toMs, b.toMs),
});

async function inMemory(tx: Tx, providerId: string, { fromMs, toMs }: Span): Promise<MeteredCost[]> {
  const cost = { providerId, side: 'cost', meter: 'lease-time', toAt: { gt: fromMs } } as const;
  return (await tx.find(usageRecords, cost)).flatMap((r) =>
    r.leaseId === null || r.toAt > toMs
      ? []
      : [{ leaseId: r.leaseId, amountNano: r.amountNano, ms: Number(r.quantity), fromMs: r.fromAt, toMs: r.toAt }],
  );
}

async function inPg(tx: PgTx, providerId: string, { fromMs, toMs }: Span): Promise<MeteredCost[]> {
  const [from, to] = [new Date(fromMs).toISOString(), new Date(toMs).toISOString()];
  const rows = await tx.query<{ lease_id: string; amount: string; ms: string; first: Date; last: Date }>(
    sql`select lease_id, sum(amount_nano)::text as amount, sum(quantity)::text as ms, min(from_at) as first, max(to_at) as last
        from usage_records
        where provider_id = ${providerId} and side = 'cost' and meter = 'lease-time' and lease_id is not null
          and period_month >= ${new Date(monthStart(fromMs)).toISOString()} and period_month <= ${to}
          and to_at > ${from} and to_at <= ${to}
        group by lease_id`,
  );
  return rows.map((r) => ({
    leaseId: r.lease_id,
    amountNano: BigInt(r.amount),
    ms: Number(r.ms),
    fromMs: r.first.getTime(),
    toMs: r.last.getTime(),
  }));
}

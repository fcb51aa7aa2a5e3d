import { HOUR } from '#kernel';
import { PgTx, sql, type Tx } from '#platform/database';
import { usageRecords } from '#money/metering';
import { chargedByHour, type CommitmentRow } from '#money/rating';

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * What was charged in each hour from `fromMs` on of all that a promise is about, commitments themselves left out: `chargedByHour` of the
 * records. PostgreSQL sums them up, since a month has more of them than a process can hold.
 */
export async function chargedInHours(
  tx: Tx,
  of: Pick<CommitmentRow, 'organizationId' | 'projectId'>,
  { fromMs, toMs }: Span,
): Promise<bigint[]> {
  if (tx instanceof PgTx) return inPostgres(tx, of, { fromMs, toMs });
  const found = await tx.find(usageRecords, {
    organizationId: of.organizationId,
    ...(of.projectId === null ? {} : { projectId: of.projectId }),
    side: 'charge',
    toAt: { gt: fromMs },
    fromAt: { lt: toMs },
  });
  const charges = found.filter((c) => c.meter !== 'commitment');
  return chargedByHour(charges, fromMs, toMs);
}

async function inPostgres(
  tx: PgTx,
  { organizationId, projectId }: Pick<CommitmentRow, 'organizationId' | 'projectId'>,
  { fromMs, toMs }: Span,
): Promise<bigint[]> {
  const hours = Array.from({ length: Math.ceil((toMs - fromMs) / HOUR) }, () => 0n);
  // Most records lie within one hour and are only added up. The rest are split like `splitByLargestRemainder`: what the rounding down
  // leaves goes, one nano-dollar each, to the parts with the largest remainders, the earlier first, and a negative amount as its opposite.
  const rows = await tx.query<{ hour: number; amount: string }>(
    sql`with charged as not materialized (
          select c.*, floor(c.from_ms / ${HOUR}::numeric)::int as first_hour,
            floor((c.to_ms - 1) / ${HOUR}::numeric)::int as last_hour
          from (
            select key, period_month, amount_nano,
              floor(extract(epoch from from_at) * 1000) - ${fromMs}::numeric as from_ms,
              floor(extract(epoch from to_at) * 1000) - ${fromMs}::numeric as to_ms
            from usage_records
            where organization_id = ${organizationId} ${projectId === null ? sql`` : sql`and project_id = ${projectId}`}
              and side = 'charge' and meter <> 'commitment' and amount_nano <> 0
              and to_at > ${new Date(fromMs).toISOString()} and from_at < ${new Date(toMs).toISOString()}
          ) as c where c.to_ms > c.from_ms),
        cut as (
          select key, period_month, amount_nano, h.hour,
            div(abs(amount_nano) * p.ms, to_ms - from_ms) as part, mod(abs(amount_nano) * p.ms, to_ms - from_ms) as rest
          from charged, generate_series(first_hour, last_hour) as h (hour),
            lateral (select least(to_ms, (h.hour + 1) * ${HOUR}::numeric) - greatest(from_ms, h.hour * ${HOUR}::numeric) as ms) as p
          where first_hour < last_hour),
        ranked as (
          select hour, sign(amount_nano) as sign, part,
            row_number() over (partition by key, period_month order by rest desc, hour)
              <= abs(amount_nano) - sum(part) over (partition by key, period_month) as has_one_more
          from cut)
        select hour, sum(amount)::text as amount from (
          select first_hour as hour, sum(amount_nano) as amount from charged where first_hour = last_hour group by 1
          union all
          select hour, sum(sign * (part + has_one_more::int)) from ranked group by 1
        ) as every where hour >= 0 and hour < ${hours.length} group by hour`,
  );
  for (const { hour, amount } of rows) hours[hour] = BigInt(amount);
  return hours;
}

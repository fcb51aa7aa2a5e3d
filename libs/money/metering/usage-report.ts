import { PgTx, sql, type Sql, type Tx } from '#platform/database';

export const usageGroups = ['hour', 'day', 'project', 'job', 'resource'] as const;
export type UsageGroup = (typeof usageGroups)[number];

export interface UsageTotal {
  readonly group: string;
  readonly meter: string;
  readonly unit: string;
  readonly quantity: bigint;
  readonly amountNano: bigint;
}

const GROUP: Record<UsageGroup, Sql> = {
  hour: sql`to_char(date_trunc('hour', last_ms), 'YYYY-MM-DD"T"HH24:00:00"Z"')`,
  day: sql`to_char(date_trunc('day', last_ms), 'YYYY-MM-DD')`,
  project: sql`project_id`,
  job: sql`coalesce(job_id, 'idle')`,
  resource: sql`resource`,
};

/**
 * What a tenant used and what it cost, by one dimension; in some projects or in all. An interval counts where its last millisecond
 * lies, as on invoices, so that reports of adjoining times add up. Row-level security keeps it to the
 * caller's own once more.
 */
export async function usageBy(
  tx: Tx,
  of: { organizationId: string; projectIds: readonly string[] | 'all'; fromMs: number; toMs: number; by: UsageGroup },
): Promise<UsageTotal[]> {
  if (!(tx instanceof PgTx)) throw new TypeError('usage is counted in PostgreSQL');
  const group = GROUP[of.by];
  const projects = of.projectIds === 'all' ? sql`true` : sql`project_id = any(${[...of.projectIds]})`;
  const rows = await tx.query<{ bucket: string; meter: string; unit: string; quantity: string; amount: string }>(
    sql`select ${group} as bucket, meter, unit, sum(quantity)::text as quantity, sum(amount_nano)::text as amount
        from usage_records, lateral (select (to_at - interval '1 millisecond') at time zone 'utc' as last_ms) ended
        where organization_id = ${of.organizationId} and ${projects} and side = 'charge'
          and to_at > ${new Date(of.fromMs).toISOString()} and to_at <= ${new Date(of.toMs).toISOString()}
        group by 1, 2, 3 order by 1, 2, 3`,
  );
  return rows.map((r) => ({
    group: r.bucket,
    meter: r.meter,
    unit: r.unit,
    quantity: BigInt(r.quantity),
    amountNano: BigInt(r.amount),
  }));
}

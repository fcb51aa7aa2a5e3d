import { identifier, PgTx, sql, type Tx } from '#platform/database';

export const marginGroups = ['provider', 'sku', 'day', 'lease'] as const;
export type MarginGroup = (typeof marginGroups)[number];

export interface MarginRow {
  /** A provider's id, "<provider> <SKU>", a day (UTC) or a lease's id; `none` where no provider or lease is behind a charge. */
  readonly group: string;
  readonly chargeNano: bigint;
  readonly costNano: bigint;
  readonly marginNano: bigint;
  /** Of the charge; null where nothing was charged. */
  readonly marginBps: number | null;
  /** Part of the cost: what the vendors' least times and increments add at the ends of leases. */
  readonly tailNano: bigint;
  /** Machine time that the provider bills beyond what a tenant was charged for. */
  readonly costOnlyMs: bigint;
}

/** Revenue and cost of a period by one dimension; records count where their last millisecond lies. The largest charge first, days in order. */
export async function marginBy(
  tx: Tx,
  of: { readonly fromMs: number; readonly toMs: number; readonly by: MarginGroup },
): Promise<MarginRow[]> {
  if (!(tx instanceof PgTx)) throw new TypeError('reports are counted in PostgreSQL');
  const [from, to] = [new Date(of.fromMs).toISOString(), new Date(of.toMs).toISOString()];
  const rows = await tx.query<{ grp: string; charge: string; cost: string; tail: string; cost_only: string }>(
    sql`select coalesce(${identifier(of.by)}, 'none') as grp,
          coalesce(sum(amount_nano) filter (where side = 'charge'), 0)::text as charge,
          coalesce(sum(amount_nano) filter (where side = 'cost'), 0)::text as cost,
          coalesce(sum(amount_nano) filter (where side = 'cost' and source = 'lease-tail'), 0)::text as tail,
          (coalesce(sum(quantity) filter (where side = 'cost' and meter = 'lease-time'), 0)
            - coalesce(sum(quantity) filter (where side = 'charge' and meter = 'lease-time'), 0))::text as cost_only
        from (
          select u.side, u.meter, u.source, u.amount_nano, u.quantity, u.provider_id as provider, u.lease_id as lease,
            u.provider_id || ' ' || coalesce(l.offer ->> 'sku', u.resource) as sku,
            to_char((u.to_at - interval '1 millisecond') at time zone 'UTC', 'YYYY-MM-DD') as day
          from usage_records u left join leases l on l.id = u.lease_id
          where u.to_at > ${from} and u.to_at <= ${to} and (u.provider_id is not null or u.amount_nano <> 0)
        ) as used group by 1`,
  );
  return rows
    .map((r) => marginRow(r.grp, BigInt(r.charge), BigInt(r.cost), BigInt(r.tail), BigInt(r.cost_only)))
    .sort((a, b) => (of.by === 'day' ? 0 : compare(b.chargeNano, a.chargeNano)) || (a.group < b.group ? -1 : 1));
}

/** Exported for its spec. */
export function marginRow(
  group: string,
  chargeNano: bigint,
  costNano: bigint,
  tailNano: bigint,
  costOnlyMs: bigint,
): MarginRow {
  const marginNano = chargeNano - costNano;
  const marginBps = chargeNano === 0n ? null : Number((marginNano * 10_000n) / chargeNano);
  return { group, chargeNano, costNano, marginNano, marginBps, tailNano, costOnlyMs };
}

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

import { PgTx, sql, type Tx } from '#platform/database';

/** What tenants were charged on the leases of each of these reservations while their machines belonged to them. */
export async function earnedOn(tx: Tx, reservationIds: readonly string[]): Promise<Map<string, bigint>> {
  if (!(tx instanceof PgTx)) throw new TypeError('reports are counted in PostgreSQL');
  if (reservationIds.length === 0) return new Map();
  const rows = await tx.query<{ id: string; earned: string }>(
    sql`select l.reservation_id as id, coalesce(sum(u.amount_nano), 0)::text as earned
        from leases l join usage_records u on u.lease_id = l.id
        where l.reservation_id = any (${[...reservationIds]}) and u.side = 'charge' and u.from_at < l.reserved_until
        group by l.reservation_id`,
  );
  return new Map(rows.map((r) => [r.id, BigInt(r.earned)]));
}

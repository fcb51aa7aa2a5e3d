import { PgTx, sql, type Tx } from '#platform/database';
import { account, entries, transactions } from '#money/ledger';
import { firstSpent, grants, type GrantRow } from './grants.table.js';

/** What happened to an organization's grants at one instant, and what was charged from then until the next one. */
export interface GrantMoment {
  readonly given: readonly Pick<GrantRow, 'id' | 'amountNano' | 'priority' | 'expiresAt'>[];
  readonly returned: readonly { readonly id: string; readonly amountNano: bigint }[];
  readonly chargedNano: bigint;
}

/** What each grant has left after these moments: the charges between two of them are paid by the grants that were there, in their order. */
export function leftAfter(moments: readonly GrantMoment[]): Map<string, bigint> {
  const left = new Map<string, bigint>();
  let order: Pick<GrantRow, 'id' | 'priority' | 'expiresAt'>[] = [];
  for (const { given, returned, chargedNano } of moments) {
    for (const { id, amountNano } of returned) left.set(id, (left.get(id) ?? 0n) - amountNano);
    for (const { id, amountNano } of given) left.set(id, amountNano);
    order = [...order, ...given].sort(firstSpent);
    let rest = chargedNano;
    for (const { id } of order) {
      const has = left.get(id) ?? 0n;
      const paid = has < rest ? has : rest;
      if (paid <= 0n) continue;
      left.set(id, has - paid);
      rest -= paid;
    }
  }
  return left;
}

/**
 * What each grant that was there before an instant had left at it. The rows themselves say what is spent only as of the
 * last look at them, so this is told by the ledger: what was charged, given and given back, when.
 */
export async function grantsLeftAt(tx: Tx, organizationId: string, atMs: number): Promise<Map<string, bigint>> {
  const given = await tx.find(grants, { organizationId, createdAt: { lt: atMs } });
  if (given.length === 0) return new Map();
  const of = { organizationId, kind: 'promotion-expiry', at: { lt: atMs } };
  const expiries = await tx.find(transactions, of);
  const parts = await tx.find(entries, {
    transactionId: { in: expiries.map((t) => t.id) },
    accountId: account.promotions,
  });
  const backOf = new Map(parts.map((e) => [e.transactionId, e.amountNano]));
  const points = [...new Set([...given.map((g) => g.createdAt), ...expiries.map((t) => t.at)])].sort((a, b) => a - b);
  const charged = await chargedFrom(tx, organizationId, points, atMs);
  return leftAfter(
    points.map((at, i) => ({
      given: given.filter((g) => g.createdAt === at),
      returned: expiries
        .filter((t) => t.at === at)
        .map((t) => ({ id: t.reference, amountNano: backOf.get(t.id) ?? 0n })),
      chargedNano: charged[i] ?? 0n,
    })),
  );
}

/** What was charged from each point up to the next one, and from the last one up to `untilMs`. */
async function chargedFrom(
  tx: Tx,
  organizationId: string,
  points: readonly number[],
  untilMs: number,
): Promise<bigint[]> {
  const [first = untilMs] = points;
  const accountId = account.credit(organizationId);
  const sums = points.map(() => 0n);
  if (tx instanceof PgTx) {
    const bounds = points.map((at) => new Date(at).toISOString());
    const rows = await tx.query<{ n: number; nano: string }>(
      sql`select width_bucket(e.at, ${bounds}::timestamptz[]) as n, (-sum(e.amount_nano))::text as nano
          from ledger_entries e join ledger_transactions t on t.id = e.transaction_id
          where e.account_id = ${accountId} and t.kind = 'usage'
            and e.at >= ${new Date(first).toISOString()}::timestamptz and e.at < ${new Date(untilMs).toISOString()}::timestamptz
          group by 1`,
    );
    for (const { n, nano } of rows) sums[n - 1] = BigInt(nano);
    return sums;
  }
  const own = (await tx.find(entries, { accountId, at: { lt: untilMs } })).filter((e) => e.at >= first);
  const usage = await tx.find(transactions, { id: { in: own.map((e) => e.transactionId) }, kind: 'usage' });
  const ids = new Set(usage.map((t) => t.id));
  for (const e of own) {
    const n = points.findLastIndex((at) => at <= e.at);
    if (ids.has(e.transactionId)) sums[n] = (sums[n] ?? 0n) - e.amountNano;
  }
  return sums;
}

import { DAY } from '#kernel';
import { PgTx, sql, type Tx } from '#platform/database';
import { account, entries, transactions } from '#money/ledger';
import { monthStart } from '#money/metering';
import { statementLines } from '../rows/statements.table.js';
import type { ShownMovement } from './compose.js';

/** Kinds of transactions that move `payable` and are stated otherwise. */
const STATED_OTHERWISE = ['usage', 'payout-accrual'] as const;

/**
 * What moved a provider's `payable` beside usage, such as a difference of the vendor's invoice that was accepted, and is on no statement
 * yet. Looked for from the month before the last one on, as late usage is; each by its ledger transaction.
 */
export async function unstatedAdjustments(tx: Tx, providerId: string, periodStart: number): Promise<ShownMovement[]> {
  const sinceMs = monthStart(monthStart(periodStart - DAY) - DAY);
  const stated = await tx.find(statementLines, { providerId, kind: 'adjustment', dayStart: { gte: sinceMs } });
  const known = new Set(stated.map((l) => l.reference));
  return (await moved(tx, account.payable(providerId), sinceMs)).filter((m) => !known.has(m.reference));
}

async function moved(tx: Tx, accountId: string, sinceMs: number): Promise<ShownMovement[]> {
  const shown = (reference: string, kind: string, amountNano: bigint, at: number): ShownMovement => ({
    kind: 'adjustment',
    amountNano,
    reference,
    note: kind.replaceAll('-', ' '),
    at,
  });
  if (!(tx instanceof PgTx)) {
    const list = await tx.find(entries, { accountId, at: { gte: sinceMs } });
    const of = new Map(
      (await tx.find(transactions, { id: { in: list.map((e) => e.transactionId) } })).map((t) => [t.id, t.kind]),
    );
    return list
      .map((e) => shown(e.transactionId, of.get(e.transactionId) ?? '', e.amountNano, e.at))
      .filter((m) => !STATED_OTHERWISE.some((kind) => kind.replaceAll('-', ' ') === m.note));
  }
  const rows = await tx.query<{ id: string; kind: string; amount: string; at: Date }>(
    sql`select t.id, t.kind, sum(e.amount_nano)::text as amount, t.at
        from ledger_entries e join ledger_transactions t on t.id = e.transaction_id
        where e.account_id = ${accountId} and e.at >= ${new Date(sinceMs).toISOString()}
          and t.kind <> all(${[...STATED_OTHERWISE]})
        group by t.id, t.kind, t.at order by t.at, t.id`,
  );
  return rows.map((r) => shown(r.id, r.kind, BigInt(r.amount), new Date(r.at).getTime()));
}

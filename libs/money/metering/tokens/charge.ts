import { newId, type Clock, type Random } from '#kernel';
import type { TokenKind } from '#contracts';
import type { Tx } from '#platform/database';
import { account, ledgerPost } from '#money/ledger';
import { holds } from '#money/quotas';
import { rateTokens, type TokenCounts, type TokenTerms } from '#money/rating';
import { monthStart, usageRecords, usageRow, type Meter, type UsageRow } from '../usage.table.js';
import { tokenMonths, type TokenMonthRow } from './tokens.table.js';

/** What a finished shard of a job that is paid by tokens used up. */
export interface TokenUsage {
  readonly shard: Pick<
    UsageRow,
    'id' | 'organizationId' | 'projectId' | 'leaseId' | 'jobId' | 'providerId' | 'resource' | 'providerClass'
  > & { readonly fromMs: number; readonly toMs: number };
  readonly model: string;
  readonly terms: TokenTerms;
  readonly holdId: string;
  readonly counts: TokenCounts;
  readonly requests: bigint;
}

const METER: Readonly<Record<TokenKind, Meter>> = {
  input: 'input-tokens',
  cached: 'cached-tokens',
  output: 'output-tokens',
};

/**
 * Charges finished shards for their tokens, each once (the caller has moved the shard in this transaction; the ledger's key says it again): out of
 * their jobs' holds, after what the month gives free. What a hold does not cover is the broker's. Locked are first all the holds, then
 * the months, then accounts, each kind in the order of its ids.
 */
export async function chargeTokens(
  tx: Tx,
  used: readonly TokenUsage[],
  by: { readonly clock: Clock; readonly random: Random },
): Promise<void> {
  if (used.length === 0) return;
  const open = await tx.find(
    holds,
    { id: { in: [...new Set(used.map((u) => u.holdId))] }, state: 'held' },
    { orderBy: [['id', 'asc']], lock: 'update' },
  );
  const left = new Map(open.map((h) => [h.id, h.remainingNano]));
  const now = await tx.now();
  const inOrder = used.toSorted((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1));
  for (const usage of inOrder) {
    const { shard, model, holdId } = usage;
    const { organizationId } = shard;
    const rated = await rate(tx, usage);
    const remaining = left.get(holdId) ?? 0n;
    const chargedNano = rated.amountNano < remaining ? rated.amountNano : remaining;
    left.set(holdId, remaining - chargedNano);
    if (chargedNano > 0n) await tx.update(holds, { id: holdId }, { remainingNano: { add: -chargedNano } });
    const id = newId('transaction', by.clock.now(), by.random);
    const entries = [
      { accountId: account.credit(organizationId), amountNano: -chargedNano, from: 'held' as const },
      { accountId: account.revenue, amountNano: rated.amountNano, from: 'available' as const },
      { accountId: account.exposure, amountNano: chargedNano - rated.amountNano, from: 'available' as const },
    ].filter((e) => e.amountNano !== 0n);
    if (entries.length > 0) {
      const posted = await tx.call(ledgerPost, {
        id,
        key: `tokens:${shard.id}`,
        kind: 'usage',
        organizationId,
        reference: shard.id,
        reverses: null,
        at: now,
        entries,
      });
      if (posted.outcome !== 'posted')
        throw new Error(`the tokens of ${shard.id} could not be charged: ${posted.outcome}`);
    }
    let covered = chargedNano;
    const rows = rated.parts
      .filter((part) => part.quantity > 0n)
      .map((part): UsageRow => {
        const paid = part.amountNano < covered ? part.amountNano : covered;
        covered -= paid;
        const { id: shardId, fromMs: fromAt, toMs: toAt, ...of } = shard;
        return usageRow({
          ...of,
          ...part,
          id: newId('usage', by.clock.now(), by.random),
          key: `${shardId}:${part.meter}`,
          side: 'charge',
          source: 'shard',
          model,
          fromAt,
          toAt,
          amountNano: paid,
          transactionId: paid > 0n ? id : null,
          createdAt: now,
        });
      });
    if (rows.length > 0) await tx.insert(usageRecords, rows);
  }
}

const placeOf = ({ shard, model }: TokenUsage): string => `${shard.organizationId} ${model}`;

interface Part {
  readonly meter: Meter;
  readonly quantity: bigint;
  readonly unitPriceNano: bigint;
  readonly amountNano: bigint;
}

async function rate(
  tx: Tx,
  { shard, model, terms, counts, requests }: TokenUsage,
): Promise<{ amountNano: bigint; parts: Part[] }> {
  const { organizationId } = shard;
  const month = monthStart(shard.toMs - 1);
  const all = await lockMonth(tx, { organizationId, month, model: '' });
  const own = await lockMonth(tx, { organizationId, month, model });
  const rated = rateTokens({ ...terms, requestMinimumNano: '0' }, model, counts, { used: all, paid: own });
  const price = terms.tokens[model];
  if (!rated || !price) throw new Error(`the terms of ${shard.jobId ?? 'a job'} have no price for ${model}`);
  const { free, byKind } = rated;
  const kinds = ['input', 'cached', 'output'] as const;
  // The least price is that of requests of which nothing was free; of a shard that was partly free nobody can say which those are.
  const anyFree = kinds.some((kind) => free[kind] > 0n);
  const least = anyFree ? 0n : BigInt(terms.requestMinimumNano) * requests;
  const upToLeast = least > rated.amountNano ? least - rated.amountNano : 0n;
  const plus = (row: TokenMonthRow, minus: TokenCounts) => ({
    input: row.input + counts.input - minus.input,
    cached: row.cached + counts.cached - minus.cached,
    output: row.output + counts.output - minus.output,
  });
  await tx.update(tokenMonths, { organizationId, month, model: '' }, plus(all, { input: 0n, cached: 0n, output: 0n }));
  await tx.update(tokenMonths, { organizationId, month, model }, plus(own, free));
  return {
    amountNano: rated.amountNano + upToLeast,
    parts: [
      ...kinds.map((kind) => ({
        meter: METER[kind],
        quantity: counts[kind],
        unitPriceNano: BigInt(price[kind]),
        amountNano: byKind[kind],
      })),
      { meter: 'lines', quantity: requests, unitPriceNano: BigInt(terms.requestMinimumNano), amountNano: upToLeast },
    ],
  };
}

async function lockMonth(
  tx: Tx,
  key: Pick<TokenMonthRow, 'organizationId' | 'month' | 'model'>,
): Promise<TokenMonthRow> {
  await tx.insertNew(tokenMonths, [{ ...key, input: 0n, cached: 0n, output: 0n }]);
  const row = await tx.first(tokenMonths, key, { lock: 'update' });
  if (!row) throw new Error('a month of tokens was made and is not there');
  return row;
}

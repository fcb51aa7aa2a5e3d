import type { Tx } from '#platform/database';
import { RateWindows, type Quotas } from '#money/quotas';
import { shards, type JobRow, type ShardRow } from './jobs.table.js';

/** What a shard counts for against limits on rates: its lines are requests, and its tokens the most that they can be. */
export function rateAmounts(
  shard: Pick<ShardRow, 'lineFrom' | 'lineTo' | 'inputTokensMost' | 'outputTokensMost'>,
): Readonly<Record<'requests' | 'tokens', bigint>> {
  return {
    requests: BigInt(shard.lineTo - shard.lineFrom),
    tokens: BigInt(shard.inputTokensMost + shard.outputTokensMost),
  };
}

/** Pending shards that are looked at before it is said that none has room. */
const LOOKED_AT = 100;

/**
 * Whether one of a job's pending shards could be handed out now, as far as the limits on requests and tokens are concerned. Only a look: when
 * its machine has come, others may have been quicker.
 */
export async function hasRateRoom(
  tx: Tx,
  quotas: Pick<Quotas, 'ratesOf' | 'keyOf'>,
  job: Pick<JobRow, 'id' | 'kind' | 'organizationId' | 'projectId' | 'holdId'>,
  nowMs: number,
): Promise<boolean> {
  if (job.kind === 'command') return true;
  const rates = await quotas.ratesOf(tx, [job.organizationId]);
  if (rates.length === 0) return true;
  const scopes = [job.organizationId, job.projectId, await quotas.keyOf(tx, job.holdId)];
  const pending = await tx.find(
    shards,
    { jobId: job.id, state: 'pending' },
    { orderBy: [['n', 'asc']], limit: LOOKED_AT },
  );
  const windows = new RateWindows(rates, nowMs);
  return pending.length === 0 || pending.some((shard) => windows.admit(scopes, rateAmounts(shard)));
}

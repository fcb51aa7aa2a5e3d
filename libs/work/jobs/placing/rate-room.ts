import { MINUTE } from '#kernel';
import type { Tx } from '#platform/database';
import { RateWindows, type Quotas, type Waiter } from '#money/quotas';
import type { LeaseRow } from '#compute/leases';
import { shards, type JobRow, type ShardRow } from '../jobs.table.js';

type LimitedJob = Pick<JobRow, 'id' | 'kind' | 'organizationId' | 'projectId' | 'holdId' | 'createdAt'>;
type Rates = Pick<Quotas, 'ratesOf' | 'keyOf'>;

/** What a shard counts for against limits on rates: its lines are requests, and its tokens the most that they can be. */
export function rateAmounts(
  shard: Pick<ShardRow, 'lineFrom' | 'lineTo' | 'inputTokensMost' | 'outputTokensMost'>,
): Readonly<Record<'requests' | 'tokens', bigint>> {
  return {
    requests: BigInt(shard.lineTo - shard.lineFrom),
    tokens: BigInt(shard.inputTokensMost + shard.outputTokensMost),
  };
}

/**
 * How far away the room for the next shard may be for a machine to be kept idle: about what another one costs until it works (it boots for
 * some minutes, and vendors bill whole ones). So waiting never costs much more than letting go, nor letting go than waiting.
 */
export const KEEP_FOR_ROOM_MS = 5 * MINUTE;

const scopesOf = async (tx: Tx, quotas: Rates, job: LimitedJob): Promise<readonly (string | null)[]> => [
  job.organizationId,
  job.projectId,
  await quotas.keyOf(tx, job.holdId),
];

/** A job waits for room since it was last given a shard: jobs take turns, whatever their size. */
async function waiterOf(tx: Tx, { id, createdAt }: LimitedJob): Promise<Waiter> {
  const last = await tx.first(shards, { jobId: id, assignedAt: { gte: 0 } }, { orderBy: [['assignedAt', 'desc']] });
  return { id, sinceMs: last?.assignedAt ?? createdAt };
}

/**
 * Those of the shards that the limits on requests and tokens let through now. The shards of a job go in their order: a large one waits for
 * its job's turn, and is not overtaken by small ones.
 */
export async function admitted(
  tx: Tx,
  quotas: Pick<Quotas, 'ratesOf' | 'keyOf' | 'withRates'>,
  wanted: readonly ShardRow[],
  jobRows: ReadonlyMap<string, JobRow>,
): Promise<readonly ShardRow[]> {
  const limited = [...jobRows.values()].filter(
    (job) => job.kind !== 'command' && wanted.some((shard) => shard.jobId === job.id),
  );
  const organizationIds = [...new Set(limited.map((job) => job.organizationId))];
  const all = organizationIds.length === 0 ? [] : await quotas.ratesOf(tx, organizationIds);
  const asking = new Map<string, { scopes: readonly (string | null)[]; who: Waiter }>();
  for (const job of limited)
    if (all.some((q) => q.organizationId === job.organizationId))
      asking.set(job.id, { scopes: await scopesOf(tx, quotas, job), who: await waiterOf(tx, job) });
  const rates = all.filter((q) => [...asking.values()].some(({ scopes }) => scopes.includes(q.scopeId)));
  if (rates.length === 0) return wanted;
  const now = await tx.now();
  const waiting = new Set<string>();
  return quotas.withRates(tx, rates, (windows) =>
    wanted.filter((shard) => {
      const asks = asking.get(shard.jobId);
      if (asks === undefined) return true;
      if (waiting.has(shard.jobId)) return false;
      const goes = windows.admit(asks.who, asks.scopes, rateAmounts(shard));
      if (goes) asks.who = { id: shard.jobId, sinceMs: now };
      else waiting.add(shard.jobId);
      return goes;
    }),
  );
}

/**
 * When a job's next shard can be handed out, as far as the limits on requests and tokens are concerned; null: they have nothing to say. Only
 * a look: others may be quicker.
 */
async function roomAt(tx: Tx, quotas: Rates, job: LimitedJob, nowMs: number): Promise<number | null> {
  if (job.kind === 'command') return null;
  const rates = await quotas.ratesOf(tx, [job.organizationId]);
  if (rates.length === 0) return null;
  const next = await tx.first(shards, { jobId: job.id, state: 'pending' }, { orderBy: [['n', 'asc']] });
  if (!next) return null;
  const [who, scopes] = [await waiterOf(tx, job), await scopesOf(tx, quotas, job)];
  return new RateWindows(rates, nowMs).opensAt(who, scopes, rateAmounts(next));
}

/** Whether a shard of the job could be handed out now. */
export async function hasRateRoom(tx: Tx, quotas: Rates, job: LimitedJob, nowMs: number): Promise<boolean> {
  const at = await roomAt(tx, quotas, job, nowMs);
  return at === null || at <= nowMs;
}

/** Whether a job's machine has nothing to do, and the limits leave it so for longer than it is worth keeping. */
export async function waitsTooLong(
  tx: Tx,
  quotas: Rates,
  job: LimitedJob & Pick<JobRow, 'state'>,
  lease: Pick<LeaseRow, 'state' | 'want'>,
  nowMs: number,
): Promise<boolean> {
  if (job.state !== 'running' || lease.state !== 'ready' || lease.want !== 'run') return false;
  const at = await roomAt(tx, quotas, job, nowMs);
  if (at === null || at <= nowMs + KEEP_FOR_ROOM_MS) return false;
  return (await tx.first(shards, { jobId: job.id, state: 'assigned' })) === null;
}

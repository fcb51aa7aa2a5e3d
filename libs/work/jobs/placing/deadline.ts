import { pricingModels, type Workload } from '#contracts';
import type { Fallback } from '#market/placement';
import type { JobFallback, JobRow } from '../jobs.table.js';

type Timed = Pick<JobRow, 'workload' | 'createdAt' | 'shardsTotal' | 'shardsDone' | 'shardsFailed'>;

const shardsLeft = (job: Timed): number => Math.max(0, job.shardsTotal - job.shardsDone - job.shardsFailed);

/** When the work is to be done; null without a deadline. */
export function deadlineAt({ workload, createdAt }: Pick<JobRow, 'workload' | 'createdAt'>): number | null {
  const { deadlineS } = workload.constraints;
  return deadlineS === undefined ? null : createdAt + deadlineS * 1_000;
}

/** Until when the fallback still finishes the shards that are left in time; moves on as shards get done. Null = no matter. */
export function safeUntil(job: Timed & Pick<JobRow, 'fallback'>): number | null {
  const deadline = deadlineAt(job);
  if (deadline === null || job.fallback === null) return null;
  const { startS, workS, shardsLeft: then } = job.fallback;
  const workLeftS = then > 0 ? (workS * shardsLeft(job)) / then : workS;
  return Math.floor(deadline - (startS + workLeftS) * 1_000);
}

/** Seconds of work that are lost with a machine: what a batch has under way, all of a command. */
export function atRiskS(job: Pick<JobRow, 'kind' | 'workload'>): number {
  return job.kind === 'command' ? Infinity : job.workload.checkpointS;
}

/** A deadline that has passed still asks for what is fastest. */
const LEAST_DEADLINE_S = 1;

/** What there is still to do, as placement is asked: the shards that are left, by the time that is left, on what is still allowed. */
export function workLeft(job: Timed & Pick<JobRow, 'steadyOnly'>, nowMs: number): Workload {
  const { workload } = job;
  const share = job.shardsTotal > 0 ? shardsLeft(job) / job.shardsTotal : 1;
  const deadline = deadlineAt(job);
  const { pricing = pricingModels } = workload.constraints;
  const steady = pricing.filter((p) => p !== 'spot');
  return {
    ...workload,
    work: share === 1 || share === 0 ? workload.work : scaled(workload.work, share),
    constraints: {
      ...workload.constraints,
      ...(deadline === null ? {} : { deadlineS: Math.max(LEAST_DEADLINE_S, (deadline - nowMs) / 1_000) }),
      ...(job.steadyOnly && steady.length > 0 ? { pricing: steady } : {}),
    },
  };
}

function scaled(work: Workload['work'], share: number): Workload['work'] {
  if (work.kind !== 'tokens') return { ...work, hours: work.hours * share };
  return { ...work, inputTokens: work.inputTokens * share, outputTokens: work.outputTokens * share };
}

/** What a job keeps of its fallback: shards that get done later shorten it. */
export function fallbackOf(job: JobRow, found: Fallback | null): JobFallback | null {
  if (!found) return null;
  const { offer, startS, workS } = found;
  return { offerId: offer.id, name: `${offer.sku} in ${offer.region}`, startS, workS, shardsLeft: shardsLeft(job) };
}

/** What a deadline adds to the news of a new machine. */
export function planned(job: JobRow, fallback: JobFallback | null, isLate: boolean): string {
  if (isLate) return '; it will probably be late';
  const safeMs = safeUntil({ ...job, fallback });
  return fallback && safeMs !== null ? `; at ${new Date(safeMs).toISOString()} at the latest on ${fallback.name}` : '';
}

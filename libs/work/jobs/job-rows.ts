import type { EventRow } from '#platform/reconcile';
import type { BatchPlan } from './intake/batch-input.js';
import type { JobRow, ShardRow } from './jobs.table.js';
import type { Planned } from './placing/planning.js';

/** A job as it begins. */
export function jobRow(
  { id, submission: s, plan, workload, capNano, tokenTerms, quote }: Planned,
  holdId: string,
  now: number,
): JobRow {
  const { request } = s;
  return {
    id,
    organizationId: s.organizationId,
    projectId: s.projectId,
    name:
      request.name ??
      (request.spec.kind === 'command' ? (request.spec.command[0] ?? 'command') : `batch ${request.spec.model}`),
    kind: request.spec.kind,
    state: 'queued',
    reason: null,
    spec: { ...request.spec, ...(request.keepWarmS > 0 ? { keepWarmS: request.keepWarmS } : {}) },
    workload,
    labels: request.labels,
    holdId,
    capNano,
    tokenTerms,
    chargedNano: 0n,
    placementId: null,
    quoteId: quote?.id ?? null,
    leaseId: null,
    triedOffers: [],
    leaseTries: 0,
    fallback: null,
    steadyOnly: false,
    maxAttempts: request.maxAttempts,
    shardsTotal: plan.slices.length,
    shardsDone: 0,
    shardsFailed: 0,
    linesTotal: plan.lines,
    linesOk: 0,
    linesFailed: 0,
    cancelRequestedAt: null,
    createdAt: now,
    startedAt: null,
    endedAt: null,
    timeoutAt: now + request.timeoutS * 1_000,
    version: 1,
    wakeAt: now,
  };
}

export function queuedEvent(job: JobRow, n: number): EventRow {
  return {
    subjectId: job.id,
    n: job.version,
    organizationId: job.organizationId,
    projectId: job.projectId,
    type: 'job.queued',
    fromState: null,
    toState: 'queued',
    message: `submitted with ${n} ${n === 1 ? 'shard' : 'shards'}`,
    at: job.createdAt,
  };
}

export function shardRows(job: JobRow, plan: BatchPlan, newShardId: () => string): ShardRow[] {
  return plan.slices.map((slice, n) => ({
    id: newShardId(),
    organizationId: job.organizationId,
    projectId: job.projectId,
    jobId: job.id,
    n,
    state: 'pending',
    ...slice,
    fence: 0,
    failures: 0,
    leaseId: null,
    assignedAt: null,
    resultKey: null,
    resultSha256: null,
    linesOk: 0,
    linesFailed: 0,
    exitCode: null,
    message: null,
  }));
}

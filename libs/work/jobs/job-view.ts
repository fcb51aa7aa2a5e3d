import type { JobView } from '#contracts';
import { deadlineAt, safeUntil } from './placing/deadline.js';
import type { JobRow } from './jobs.table.js';

/** A job's money at one moment: what its hold still has, what it paid, and what the time since the last metering will cost. */
export interface JobMoney {
  readonly heldNano: bigint;
  readonly chargedNano: bigint;
  readonly runningNano: bigint;
}

export function toJobView(job: JobRow, { heldNano, chargedNano, runningNano }: JobMoney): JobView {
  const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  return {
    id: job.id as JobView['id'],
    projectId: job.projectId as JobView['projectId'],
    name: job.name,
    kind: job.kind,
    state: job.state,
    reason: job.reason,
    createdAt: new Date(job.createdAt).toISOString(),
    startedAt: iso(job.startedAt),
    endedAt: iso(job.endedAt),
    progress: {
      shardsTotal: job.shardsTotal,
      shardsDone: job.shardsDone,
      linesTotal: job.linesTotal,
      linesOk: job.linesOk,
      linesFailed: job.linesFailed,
    },
    placementId: job.placementId as JobView['placementId'],
    quoteId: job.quoteId as JobView['quoteId'],
    leaseId: job.leaseId as JobView['leaseId'],
    billing: job.tokenTerms === null ? 'time' : 'tokens',
    cost: {
      held: String(heldNano),
      charged: String(chargedNano),
      running: String(runningNano),
      cap: String(job.capNano),
    },
    labels: job.labels,
    workload: job.workload,
    cancelRequested: job.cancelRequestedAt !== null,
    timeoutAt: new Date(job.timeoutAt).toISOString(),
    deadlineAt: iso(deadlineAt(job)),
    moveAt: iso(safeUntil(job)),
  };
}

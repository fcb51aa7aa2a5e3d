import type { WorkItem } from '#contracts';
import type { JobRow, ShardRow } from './jobs.table.js';

/** An agent gets this long for one shard before the broker hands it out again. */
const SHARD_DEADLINE_MS = 6 * 3_600_000;

/** A shard as its agent is told of it. `stopsAt`: when its machine stops, epoch milliseconds; until then it saves what it has. */
export function toWorkItem(
  shard: ShardRow,
  job: JobRow,
  gpus: WorkItem['gpus'] | null,
  stopsAt: number | undefined,
): WorkItem {
  const base = {
    workId: shard.id,
    jobId: job.id,
    leaseId: shard.leaseId ?? '',
    fence: shard.fence,
    deadlineAt: new Date(
      Math.min(job.timeoutAt, (shard.assignedAt ?? job.createdAt) + SHARD_DEADLINE_MS),
    ).toISOString(),
    ...(gpus ? { gpus } : {}),
    ...(stopsAt === undefined ? {} : { checkpointBy: new Date(stopsAt).toISOString() }),
  };
  const { spec } = job;
  if (spec.kind === 'batch-inference') {
    return {
      ...base,
      spec: {
        kind: 'batch-inference',
        model: spec.model,
        inputPath: `/agent/v1/inputs/${shard.id}`,
        lineFrom: shard.lineFrom,
        lineTo: shard.lineTo,
      },
    };
  }
  return {
    ...base,
    spec: {
      kind: 'command',
      command: spec.command,
      env: spec.env,
      inputs: spec.inputs.map((i) => ({ path: i.path, from: `/agent/v1/artifacts/${i.artifactId}` })),
      outputs: spec.outputs,
      timeoutS: Math.max(1, Math.round((job.timeoutAt - job.createdAt) / 1_000)),
    },
  };
}

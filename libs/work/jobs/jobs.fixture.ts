import { workloadSchema } from '#contracts';
import type { JobRow, ShardRow } from './jobs.table.js';

/** Jobs and shards for specs; every field may be set to something odd. */
export const NOW = Date.UTC(2026, 10, 21);

export function jobWith(over: Partial<JobRow> = {}): JobRow {
  return {
    id: 'job_1',
    organizationId: 'org_1',
    projectId: 'prj_1',
    name: 'job',
    kind: 'batch-inference',
    state: 'queued',
    reason: null,
    spec: { kind: 'batch-inference', model: 'universal-sentence-encoder', inputArtifactId: 'art_1' as never },
    workload: workloadSchema.parse({}),
    labels: {},
    holdId: 'hold_1',
    capNano: 1_000_000_000n,
    tokenTerms: null,
    chargedNano: 0n,
    placementId: null,
    quoteId: null,
    leaseId: null,
    triedOffers: [],
    leaseTries: 0,
    fallback: null,
    steadyOnly: false,
    maxAttempts: 3,
    shardsTotal: 2,
    shardsDone: 0,
    shardsFailed: 0,
    linesTotal: 20,
    linesOk: 0,
    linesFailed: 0,
    cancelRequestedAt: null,
    createdAt: NOW,
    startedAt: null,
    endedAt: null,
    timeoutAt: NOW + 86_400_000,
    version: 1,
    wakeAt: NOW,
    ...over,
  };
}

export function shardWith(over: Partial<ShardRow> = {}): ShardRow {
  return {
    id: 'shd_1',
    organizationId: 'org_1',
    projectId: 'prj_1',
    jobId: 'job_1',
    n: 0,
    state: 'pending',
    lineFrom: 0,
    lineTo: 10,
    byteFrom: 0,
    byteTo: 100,
    inputTokensMost: 1_000,
    outputTokensMost: 1_000,
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
    ...over,
  };
}

import { StateMachine } from '#kernel';
import type { CreateJob, JobState, Workload } from '#contracts';
import { table } from '#platform/database';
import type { TokenTerms } from '#money/rating';

export const jobMachine = new StateMachine<JobState>('job', 'queued', {
  queued: ['placing', 'starting', 'running', 'failed', 'cancelled'],
  placing: ['starting', 'running', 'failed', 'cancelled'],
  starting: ['running', 'placing', 'failed', 'cancelled'],
  running: ['recovering', 'succeeded', 'failed', 'cancelled'],
  recovering: ['starting', 'running', 'succeeded', 'failed', 'cancelled'],
  succeeded: [],
  failed: [],
  cancelled: [],
});

/** Where a job on a machine that may be taken away must go at the latest, as it was found when that machine was chosen. */
export interface JobFallback {
  readonly offerId: string;
  /** For a person: "h100-1x in eu-1". */
  readonly name: string;
  /** Until it is noticed, boot, failed starts and losses, to the 90th percentile. */
  readonly startS: number;
  /** Useful work of the shards that were left then. */
  readonly workS: number;
  readonly shardsLeft: number;
}

export interface JobRow {
  id: string;
  organizationId: string;
  projectId: string;
  name: string;
  kind: 'command' | 'batch-inference';
  state: JobState;
  /** Why it waits or how it ended. */
  reason: string | null;
  spec: CreateJob['spec'] & { keepWarmS?: number };
  workload: Workload;
  labels: Record<string, string>;
  holdId: string;
  capNano: bigint;
  /** What its tokens cost; null: its machine's time is what is paid. */
  tokenTerms: TokenTerms | null;
  /** Charged so far; exact once the job has ended. */
  chargedNano: bigint;
  placementId: string | null;
  /** The quote under which its first machine is rented. */
  quoteId: string | null;
  leaseId: string | null;
  /** Offers that failed this job, so that the next plan looks elsewhere first. */
  triedOffers: string[];
  leaseTries: number;
  /** Set while a machine that may be taken away works towards a deadline. */
  fallback: JobFallback | null;
  /** The deadline is too near for machines that may be taken away. */
  steadyOnly: boolean;
  maxAttempts: number;
  shardsTotal: number;
  shardsDone: number;
  shardsFailed: number;
  linesTotal: number;
  linesOk: number;
  linesFailed: number;
  cancelRequestedAt: number | null;
  createdAt: number;
  startedAt: number | null;
  endedAt: number | null;
  timeoutAt: number;
  version: number;
  wakeAt: number | null;
}

export const jobs = table<JobRow>(
  'jobs',
  {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    name: 'text',
    kind: 'text',
    state: 'text',
    reason: 'text',
    spec: 'json',
    workload: 'json',
    labels: 'json',
    holdId: 'text',
    capNano: 'bigint',
    tokenTerms: 'json',
    chargedNano: 'bigint',
    placementId: 'text',
    quoteId: 'text',
    leaseId: 'text',
    triedOffers: 'texts',
    leaseTries: 'int',
    fallback: 'json',
    steadyOnly: 'bool',
    maxAttempts: 'int',
    shardsTotal: 'int',
    shardsDone: 'int',
    shardsFailed: 'int',
    linesTotal: 'int',
    linesOk: 'int',
    linesFailed: 'int',
    cancelRequestedAt: 'time',
    createdAt: 'time',
    startedAt: 'time',
    endedAt: 'time',
    timeoutAt: 'time',
    version: 'int',
    wakeAt: 'time',
  },
  { key: ['id'] },
);

export type ShardState = 'pending' | 'assigned' | 'done' | 'failed';

/** A slice of a batch (or a whole command). `fence` rises with each assignment: only a result with the live fence counts. */
export interface ShardRow {
  id: string;
  organizationId: string;
  projectId: string;
  jobId: string;
  n: number;
  state: ShardState;
  lineFrom: number;
  lineTo: number;
  byteFrom: number;
  byteTo: number;
  inputTokensMost: number;
  outputTokensMost: number;
  fence: number;
  failures: number;
  leaseId: string | null;
  assignedAt: number | null;
  resultKey: string | null;
  resultSha256: string | null;
  linesOk: number;
  linesFailed: number;
  exitCode: number | null;
  message: string | null;
}

export const shards = table<ShardRow>(
  'shards',
  {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    jobId: 'text',
    n: 'int',
    state: 'text',
    lineFrom: 'int',
    lineTo: 'int',
    byteFrom: 'int',
    byteTo: 'int',
    inputTokensMost: 'int',
    outputTokensMost: 'int',
    fence: 'int',
    failures: 'int',
    leaseId: 'text',
    assignedAt: 'time',
    resultKey: 'text',
    resultSha256: 'text',
    linesOk: 'int',
    linesFailed: 'int',
    exitCode: 'int',
    message: 'text',
  },
  { key: ['id'], unique: [['jobId', 'n']] },
);

export interface JobLogRow {
  workId: string;
  fence: number;
  n: number;
  organizationId: string;
  projectId: string;
  jobId: string;
  at: number;
  stream: 'stdout' | 'stderr' | 'agent';
  text: string;
}

export const jobLogs = table<JobLogRow>(
  'job_logs',
  {
    workId: 'text',
    fence: 'int',
    n: 'int',
    organizationId: 'text',
    projectId: 'text',
    jobId: 'text',
    at: 'time',
    stream: 'text',
    text: 'text',
  },
  { key: ['workId', 'fence', 'n'] },
);

/** Where a shard's result lies before and after it is accepted; the fence in the name keeps late ones apart. */
export function resultKey(shard: Pick<ShardRow, 'jobId' | 'id'>, fence: number): string {
  return `results/${shard.jobId}/${shard.id}-${fence}.jsonl`;
}

export function outputKey(shard: Pick<ShardRow, 'jobId' | 'id'>, fence: number, path: string): string {
  return `outputs/${shard.jobId}/${shard.id}-${fence}/${Buffer.from(path).toString('base64url')}`;
}

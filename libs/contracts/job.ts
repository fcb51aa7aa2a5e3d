import { z } from 'zod';
import { idOf, isoTime, nanoUsdText } from './wire.js';
import { workloadSchema, workSchema } from './workload.js';

export const jobStates = [
  'queued',
  'placing',
  'starting',
  'running',
  'recovering',
  'succeeded',
  'failed',
  'cancelled',
] as const;
export type JobState = (typeof jobStates)[number];

export const commandSpec = z.strictObject({
  kind: z.literal('command'),
  command: z.array(z.string().max(32_768)).min(1).max(256),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string().max(32_768)).default({}),
  /** Files placed in the working folder before the start. */
  inputs: z
    .array(z.strictObject({ path: z.string().min(1).max(500), artifactId: idOf('artifact') }))
    .max(100)
    .default([]),
  /** Paths relative to the working folder that are kept after the end. */
  outputs: z.array(z.string().min(1).max(500)).max(100).default([]),
});

export const batchInferenceSpec = z.strictObject({
  kind: z.literal('batch-inference'),
  model: z.string().min(1).max(200),
  /** JSONL of OpenAI batch lines, uploaded before. */
  inputArtifactId: idOf('artifact'),
  linesPerShard: z.int().min(1).max(10_000).optional(),
  /** What the tenant pays for: the machine's time (the default), or the tokens, where the price book has a price for the model. */
  billing: z.enum(['time', 'tokens']).optional(),
});

/** A job may leave out how much work it is: a batch is then estimated from its lines, a command counts as an hour. */
export const jobWorkloadSchema = workloadSchema.extend({ work: workSchema.optional() }).meta({ id: 'JobWorkload' });

export const createJobSchema = z
  .strictObject({
    name: z.string().min(1).max(200).optional(),
    projectId: idOf('project').optional(),
    spec: z.discriminatedUnion('kind', [commandSpec, batchInferenceSpec]),
    workload: jobWorkloadSchema.prefault({}),
    /** An open quote: the first machine is its offer at its price, and the workload is its workload (leave `workload` out). */
    quoteId: idOf('quote').optional(),
    /** The most this job may cost; it is held until the end. Absent = Berth's own estimate. */
    maxCost: nanoUsdText.optional(),
    /** Seconds from submit after which the job fails. */
    timeoutS: z.int().min(1).max(2_592_000).default(86_400),
    /** Tries per shard before it counts as failed. */
    maxAttempts: z.int().min(1).max(20).default(3),
    /** Keep the machine this long after the job for the project's next one; it is paid for meanwhile. 0 = release at once. */
    keepWarmS: z.int().min(0).max(86_400).default(0),
    labels: z.record(z.string().max(60), z.string().max(200)).default({}),
  })
  .meta({ id: 'CreateJob' });
export type CreateJob = z.infer<typeof createJobSchema>;
export type CreateJobInput = z.input<typeof createJobSchema>;

/** Most jobs that are taken together. */
export const JOBS_AT_ONCE = 500;

export const createJobsSchema = z
  .strictObject({
    projectId: idOf('project').optional(),
    jobs: z
      .array(createJobSchema.omit({ projectId: true }))
      .min(1)
      .max(JOBS_AT_ONCE),
  })
  .meta({ id: 'CreateJobs' });

export const jobView = z
  .object({
    id: idOf('job'),
    projectId: idOf('project'),
    name: z.string(),
    kind: z.enum(['command', 'batch-inference']),
    state: z.enum(jobStates),
    /** Why it waits or how it ended, for a person. */
    reason: z.string().nullable(),
    createdAt: isoTime,
    startedAt: isoTime.nullable(),
    endedAt: isoTime.nullable(),
    progress: z.object({
      shardsTotal: z.int(),
      shardsDone: z.int(),
      linesTotal: z.int(),
      linesOk: z.int(),
      linesFailed: z.int(),
    }),
    placementId: idOf('placement').nullable(),
    /** The quote under which its first machine is rented. */
    quoteId: idOf('quote').nullable(),
    leaseId: idOf('lease').nullable(),
    /** What is paid for. */
    billing: z.enum(['time', 'tokens']),
    cost: z.object({
      held: nanoUsdText,
      charged: nanoUsdText,
      /** Time on the machine since it was last metered: not charged yet, and never beyond what is held. */
      running: nanoUsdText,
      cap: nanoUsdText,
    }),
    labels: z.record(z.string(), z.string()),
    workload: workloadSchema,
    cancelRequested: z.boolean(),
    timeoutAt: isoTime,
    /** When the work is to be done (`constraints.deadlineS` from its creation on). */
    deadlineAt: isoTime.nullable(),
    /** When it leaves a machine that may be taken away for one that is not, to be done by the deadline; later as work gets done. */
    moveAt: isoTime.nullable(),
  })
  .meta({ id: 'Job' });
export type JobView = z.infer<typeof jobView>;

export const jobEventView = z
  .object({
    id: z.string(),
    at: isoTime,
    type: z.string(),
    from: z.string().nullable(),
    to: z.string().nullable(),
    message: z.string(),
  })
  .meta({ id: 'JobEvent' });
export type JobEventView = z.infer<typeof jobEventView>;

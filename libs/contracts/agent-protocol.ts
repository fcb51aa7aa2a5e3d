import { z } from 'zod';

/**
 * What a machine tells about itself; facts are measured by the agent, never believed from a price list. An agent is run by whoever has the
 * machine: beyond these bounds, which are those of offers, there is none, and work would seem to take no time on it.
 */
export const hostFactsSchema = z.strictObject({
  hostname: z.string().max(255),
  os: z.string().max(100),
  arch: z.string().max(40),
  vcpus: z.number().positive().max(100_000),
  cpuModel: z.string().max(200),
  ramGiB: z.number().positive().max(1_000_000),
  diskFreeGiB: z.number().nonnegative(),
  gpus: z
    .array(
      z.strictObject({
        index: z.int().nonnegative(),
        name: z.string().max(120),
        uuid: z.string().max(120),
        vramGiB: z.number().nonnegative().max(10_000),
        driverVersion: z.string().max(60),
        /** The instances that it is cut into while MIG is on: it cannot be used as a whole then. Absent: MIG is off. */
        mig: z
          .array(z.strictObject({ profile: z.string().max(40), uuid: z.string().max(120) }))
          .max(16)
          .optional(),
      }),
    )
    .max(64),
  /** Link between the GPUs as the driver tells it. */
  gpuLink: z.string().max(40),
  /** GPUs by index that reach each other over NVLink or xGMI alone, each in one list; absent where the driver does not say. */
  linkDomains: z.array(z.array(z.int().nonnegative()).max(64)).max(64).optional(),
  agentVersion: z.string().max(40),
  engines: z.array(z.string().max(60)).max(50),
});
export type HostFacts = z.infer<typeof hostFactsSchema>;

export const telemetrySchema = z.strictObject({
  cpuBusy: z.number().min(0).max(1),
  ramUsedGiB: z.number().nonnegative(),
  gpus: z
    .array(
      z.strictObject({
        index: z.int(),
        utilization: z.number().min(0).max(1),
        memoryUsedGiB: z.number(),
        temperatureC: z.number(),
      }),
    )
    .max(64),
});

/** One piece of work for an agent; `fence` rises with every assignment, and a result with an old fence is refused. */
export const workItemSchema = z.object({
  workId: z.string(),
  jobId: z.string(),
  leaseId: z.string(),
  fence: z.int().positive(),
  deadlineAt: z.iso.datetime(),
  /** The machine stops then: save what there is. Absent while nothing of that kind is to be expected. */
  checkpointBy: z.iso.datetime().optional(),
  /** The GPUs that the lease has of a machine it shares with others, by their driver's indices; absent: all that are there. */
  gpus: z
    .object({
      vendor: z.enum(['nvidia', 'amd']),
      indices: z.array(z.int().nonnegative()).min(1),
      /** Of these GPUs only this MIG instance, by its UUID. */
      mig: z.string().optional(),
    })
    .optional(),
  spec: z.discriminatedUnion('kind', [
    z.object({
      kind: z.literal('batch-inference'),
      model: z.string(),
      /** Lines [lineFrom, lineTo) of the job's input; fetched from `inputPath` with the agent's credential. */
      inputPath: z.string(),
      lineFrom: z.int().nonnegative(),
      lineTo: z.int().positive(),
    }),
    z.object({
      kind: z.literal('command'),
      command: z.array(z.string()).min(1),
      env: z.record(z.string(), z.string()),
      inputs: z.array(z.object({ path: z.string(), from: z.string() })),
      outputs: z.array(z.string()),
      timeoutS: z.number().positive(),
    }),
  ]),
});
export type WorkItem = z.infer<typeof workItemSchema>;

export const workReportSchema = z.discriminatedUnion('state', [
  z.strictObject({
    workId: z.string(),
    fence: z.int(),
    state: z.literal('running'),
    progress: z.strictObject({ done: z.int(), total: z.int() }).optional(),
  }),
  z.strictObject({
    workId: z.string(),
    fence: z.int(),
    state: z.literal('done'),
    /** Name of the uploaded result (`PUT /agent/v1/results/{workId}/{fence}` came before); null when there is none. */
    resultSha256: z.string().nullable(),
    counts: z.strictObject({
      ok: z.int().nonnegative(),
      failed: z.int().nonnegative(),
      inputTokens: z.int().nonnegative(),
      outputTokens: z.int().nonnegative(),
    }),
    exitCode: z.int().nullable(),
    busyMs: z.number().nonnegative(),
  }),
  z.strictObject({
    workId: z.string(),
    fence: z.int(),
    state: z.literal('failed'),
    code: z.string().max(60),
    message: z.string().max(2_000),
    exitCode: z.int().nullable(),
  }),
]);
export type WorkReport = z.infer<typeof workReportSchema>;

export const logLineSchema = z.strictObject({
  workId: z.string(),
  fence: z.int(),
  n: z.int().nonnegative(),
  at: z.iso.datetime(),
  stream: z.enum(['stdout', 'stderr', 'agent']),
  text: z.string().max(8_192),
});
export type LogLine = z.infer<typeof logLineSchema>;

export const enrolRequestSchema = z.strictObject({ token: z.string().max(200), facts: hostFactsSchema });
export const enrolResponseSchema = z
  .object({ agentId: z.string(), credential: z.string(), pollMs: z.int() })
  .meta({ id: 'Enrolment' });

/**
 * One long poll. `seq` rises by one per sync; a lower one is refused (a cloned disk shows as a fork).
 * The broker answers the whole desired work: what is not in it must be stopped.
 */
export const syncRequestSchema = z.strictObject({
  seq: z.int().nonnegative(),
  facts: hostFactsSchema.optional(),
  telemetry: telemetrySchema.optional(),
  reports: z.array(workReportSchema).max(1_000),
  logs: z.array(logLineSchema).max(2_000).default([]),
  /** How many further work items the agent can take now. */
  capacity: z.int().min(0).max(256),
  /** Wait at most this long for a change. */
  waitMs: z.int().min(0).max(30_000),
  /** Version of the desired state the agent holds; the broker answers at once when it differs. */
  knownWork: z
    .array(
      z.strictObject({
        workId: z.string(),
        fence: z.int(),
        /** It has heard that it should save what there is. */
        checkpoint: z.boolean().optional(),
      }),
    )
    .max(1_000),
  /** True while the agent shuts down: no new work. */
  draining: z.boolean().default(false),
});
export type SyncRequest = z.infer<typeof syncRequestSchema>;
export type SyncRequestInput = z.input<typeof syncRequestSchema>;

export const syncResponseSchema = z
  .object({
    work: z.array(workItemSchema),
    /** Reports that were taken in (also late or repeated ones): the agent may forget them. */
    acknowledged: z.array(z.object({ workId: z.string(), fence: z.int() })),
    /** The lease has ended or the host was removed: stop everything and exit. */
    goodbye: z.boolean(),
  })
  .meta({ id: 'SyncAnswer' });
export type SyncResponse = z.infer<typeof syncResponseSchema>;

import { z } from 'zod';
import { factorNames, findingKinds, precisions } from '#hardware';
import { interNodeFabrics, intraNodeLinks, pricingModels } from './offer.js';
import { isoTime, nanoUsdText } from './wire.js';

const tokens = z.int().min(1).max(10_000_000);

const someTokens = z.int().min(0).max(20_000_000);
/** Requests per second: one in 30 years, and more than any service has. */
const rate = z.number().min(1e-9).max(1e9);
const tokenLengths = z.strictObject({
  mean: z.number().min(0.001).max(10_000_000),
  p50: someTokens,
  p95: someTokens,
  p99: someTokens,
  max: someTokens,
});

/** What arrives, told by its distribution: what `berth size --trace` sends in place of the trace itself. */
export const traceSummarySchema = z
  .strictObject({
    requests: z.int().min(1),
    /** From the first arrival to the last. */
    spanS: z.number().nonnegative().max(1e10),
    meanPerS: rate,
    /** Arrivals of the 95th percentile of minutes, and of the busiest one, per second. */
    p95PerS: rate,
    peakPerS: rate,
    inputTokens: tokenLengths,
    outputTokens: tokenLengths,
    /** 99th percentile of prompt and answer together. */
    totalTokensP99: tokens,
    /** Share of prompt tokens that an earlier request began with; null = the trace does not tell. */
    cachedShare: z.number().min(0).max(1).nullable(),
  })
  .meta({ id: 'TraceSummary' });
export type TraceSummary = z.infer<typeof traceSummarySchema>;

/** The model, by a name of the shipped tables or by its `config.json`; one of the two. */
const modelFields = {
  model: z.string().min(1).max(200).optional(),
  config: z.record(z.string().max(200), z.unknown()).optional(),
  /** Longest sequence that must fit, prompt and answer. */
  contextTokens: tokens.optional(),
  /** Usual prompt and answer; absent = seven eighths and one eighth of the context. */
  inputTokens: tokens.optional(),
  outputTokens: tokens.optional(),
};

const modelWork = z.strictObject({
  kind: z.literal('model'),
  ...modelFields,
  /** Requests under way at once; absent = as many as each shape holds. */
  concurrency: z.int().min(1).max(1_000_000).optional(),
  /** A batch of tokens in place of a concurrency. */
  volume: z
    .strictObject({
      inputTokens: z.number().nonnegative().max(1e15),
      outputTokens: z.number().positive().max(1e15),
      withinHours: z.number().min(0.01).max(100_000).optional(),
    })
    .optional(),
});

const traceWork = z.strictObject({
  kind: z.literal('trace'),
  model: modelFields.model,
  config: modelFields.config,
  contextTokens: modelFields.contextTokens,
  /** The trace by its summary, or as text: one of the two. */
  summary: traceSummarySchema.optional(),
  text: z.string().min(1).max(900_000).optional(),
  /** Stop at the first bad line instead of leaving it out. */
  strict: z.boolean().default(false),
  /** Share of its speed that a replica is loaded with at the peak. */
  utilization: z.number().min(0.05).max(1).default(0.7),
});

const gpuHoursWork = z.strictObject({
  kind: z.literal('gpu-hours'),
  /** On `count` of the reference, as in a job's workload. */
  hours: z.number().positive().max(1e7),
  reference: z.string().min(1).max(60),
  count: z.int().min(1).max(64).default(1),
});

const hardwareWork = z.strictObject({
  kind: z.literal('hardware'),
  count: z.int().min(1).max(64).default(1),
  minVramGiB: z.number().positive().max(2_000).optional(),
  interconnect: z.enum(['any', 'nvlink', 'nvswitch']).default('any'),
  hours: z.number().positive().max(1e6).default(1),
});

export const sizingRequestSchema = z
  .strictObject({
    workload: z.discriminatedUnion('kind', [modelWork, traceWork, gpuHoursWork, hardwareWork]),
    /** Accelerators to look at, in common names; absent = every one that serves language models. */
    gpus: z.array(z.string().min(1).max(60)).min(1).max(20).optional(),
    /** Widths of the weights; absent = as published, and narrower. */
    precisions: z.array(z.enum(precisions)).min(1).max(4).optional(),
    cachePrecision: z.enum(['bf16', 'fp8']).default('bf16'),
    latency: z
      .strictObject({
        ttftMs: z.number().positive().max(600_000).optional(),
        tpotMs: z.number().positive().max(60_000).optional(),
      })
      .default({}),
    factors: z
      .strictObject({
        continuousBatching: z.boolean().default(true),
        promptCacheHitShare: z.number().min(0).max(0.99).optional(),
        speculation: z
          .strictObject({ acceptRate: z.number().min(0).max(1), draftTokens: z.int().min(1).max(16).default(4) })
          .optional(),
      })
      .default({ continuousBatching: true }),
    /** Machines that one replica may span. */
    machinesPerReplica: z.int().min(1).max(4).default(2),
    scope: z.enum(['market', 'rentable']).default('market'),
    pricing: z.array(z.enum(pricingModels)).min(1).max(4).default(['on-demand', 'spot']),
    regions: z.array(z.string().min(1).max(60)).min(1).max(100).optional(),
    countries: z.array(z.string().length(2)).min(1).max(250).optional(),
    providers: z.array(z.string().min(1).max(60)).min(1).max(100).optional(),
    maxPricePerHour: nanoUsdText.optional(),
    /** Most shapes to answer with, best first, and offers for each. */
    limit: z.int().min(1).max(200).default(20),
    offersPerShape: z.int().min(1).max(10).default(3),
  })
  .meta({ id: 'SizingRequest' });
export type SizingRequest = z.infer<typeof sizingRequestSchema>;
export type SizingRequestInput = z.input<typeof sizingRequestSchema>;

/** A predicted number with its 80 % interval. */
const predicted = z.object({ value: z.number(), low: z.number(), high: z.number() });
const predictedCost = z.object({ value: nanoUsdText, low: nanoUsdText, high: nanoUsdText });

/** An offer for a shape: machines of it, and what they cost. */
const sizedOffer = z.object({
  id: z.string(),
  providerId: z.string(),
  sku: z.string(),
  region: z.string(),
  pricing: z.enum(pricingModels),
  status: z.enum(['listed', 'rentable']),
  accelerator: z.string(),
  /** Accelerators per machine. */
  count: z.number(),
  intraNode: z.enum(intraNodeLinks),
  interNode: z.enum(interNodeFabrics),
  observedAt: isoTime,
  /** Nano-dollars per hour for one machine. */
  pricePerHour: nanoUsdText,
  machines: z.int(),
  /** For all machines. */
  totalPerHour: nanoUsdText,
  notes: z.array(z.string()),
});

const costedOffer = sizedOffer.extend({
  replicas: z.int(),
  /** Of prompt and answer tokens together, at the load that was asked for; the interval is that of the speed. */
  perMillionTokens: predictedCost,
  perMillionInput: nanoUsdText,
  perMillionOutput: nanoUsdText,
  /** For a volume: hours until it is done and what they cost. */
  hours: z.number().nullable(),
  total: nanoUsdText.nullable(),
});

const timedOffer = sizedOffer.extend({ hours: z.number(), total: nanoUsdText });

const shapeName = {
  accelerator: z.string(),
  gpus: z.int(),
  tensorParallel: z.int(),
  pipelineParallel: z.int(),
  precision: z.enum(precisions),
};

const sizedShape = z.object({
  ...shapeName,
  memory: z.object({
    totalGiB: z.number(),
    weightsGiB: z.number(),
    overheadGiB: z.number(),
    activationsGiB: z.number(),
    /** Left for the cache. */
    cacheGiB: z.number(),
    cachePerSequenceGiB: z.number(),
  }),
  /** Sequences of full length (of a trace: of its mean length) that one replica's memory holds; null = no limit (a model without a growing cache). */
  holds: z.int().nullable(),
  /** Requests that run at once in one replica here, and what keeps it from more. */
  runs: z.int(),
  limitedBy: z.enum(['load', 'memory', 'latency', 'engine']),
  replicas: z.int(),
  /** Prompt and answer tokens of one replica together. */
  tokensPerS: predicted,
  ttftMs: predicted,
  tpotMs: predicted,
  source: z.enum(['measured', 'published', 'roofline']),
  sourceNote: z.string(),
  confidence: z.number(),
  factors: z.array(z.object({ name: z.enum(factorNames), on: z.boolean(), multiplier: z.number(), note: z.string() })),
  /** Requests under way on the average and at the peak, by Little's law; null unless the load is a trace. */
  underWay: z.object({ mean: z.number(), peak: z.number() }).nullable(),
  offers: z.array(costedOffer),
  notes: z.array(z.string()),
});

export const sizingView = z
  .object({
    kind: z.enum(['model', 'trace', 'gpu-hours', 'hardware']),
    model: z
      .object({
        name: z.string(),
        parameters: z.number(),
        activeParameters: z.number(),
        parametersFrom: z.enum(['config', 'name', 'stated']),
        attention: z.enum(['MHA', 'GQA', 'MQA', 'MLA', 'none']),
        experts: z.object({ total: z.int(), perToken: z.int(), shared: z.int() }).nullable(),
        cacheBytesPerToken: z
          .number()
          .meta({ description: 'Bytes that one more token adds to a long sequence, 16 bits' }),
        publishedBits: z.number(),
        notes: z.array(z.string()),
      })
      .nullable(),
    demand: z
      .object({
        contextTokens: z.int(),
        inputTokens: z.number(),
        outputTokens: z.number(),
        concurrency: z.int().nullable(),
        trace: traceSummarySchema.nullable(),
      })
      .nullable(),
    /** Best first: the cheapest per token of those that meet the latency target, then those without an offer. */
    shapes: z.array(sizedShape),
    /** Shapes found in all; `shapes` holds the first `limit` of them. */
    shapesFound: z.int(),
    /** What cannot be: too little memory, heads that do not divide, too slow for the target. */
    misses: z.array(z.object({ ...shapeName, missingGiB: z.number().nullable(), reason: z.string() })),
    quantization: z.array(
      z.object({
        precision: z.enum(precisions),
        weightsGiB: z.number(),
        savedGiB: z.number(),
        /** The cheapest shape of this width, and its cost; null where none fits or is on offer. */
        shape: z.string().nullable(),
        holds: z.int().nullable(),
        perMillionTokens: nanoUsdText.nullable(),
        /** The same GPUs and split at every width, to see what the width alone does. */
        compared: z
          .object({ shape: z.string(), holds: z.int().nullable(), perMillionTokens: nanoUsdText.nullable() })
          .nullable(),
        risk: z.string(),
      }),
    ),
    /** For GPU-hours and plain hardware: the machines that do it, cheapest first. */
    machines: z.array(timedOffer),
    notes: z.array(z.string()),
    /** Lines of a trace to know about, the first of them: nonsense was left out, disorder and gaps count. */
    findings: z.array(z.object({ line: z.int(), kind: z.enum(findingKinds), reason: z.string() })),
    findingsFound: z.int(),
    /** Lines that were left out. */
    skipped: z.int(),
  })
  .meta({ id: 'Sizing' });
export type SizingView = z.infer<typeof sizingView>;
export type SizedShape = SizingView['shapes'][number];

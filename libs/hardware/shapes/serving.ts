import type { Accelerator } from '../accelerator.js';
import { cacheBytes, type ModelProfile } from '../models/profile.js';
import { predictServing } from '../serving/predict.js';
import type { PredictionSource, ServingQuery } from '../serving/query.js';
import { formula } from '../serving/residuals.js';
import type { MeasuredMachines } from '../useful-time.js';
import { measuredReplica } from './measured.js';
import { cacheCopies, type Split } from './memory.js';
import { bytesPerWeight, type Precision } from './precision.js';

/** One replica under a steady load of `batch` requests. */
export interface ServingCase {
  readonly model: ModelProfile;
  readonly accelerator: Accelerator;
  readonly split: Split;
  readonly precision: Precision;
  readonly batch: number;
  /** Prompt tokens that must be computed: those of a cached prefix are not among them. */
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Tokens of a whole sequence, cached prefix included: what the cache holds. */
  readonly sequenceTokens: number;
  readonly cacheBytesPerElement: number;
  /** What Berth's own leases were seen to do. */
  readonly measured?: MeasuredMachines | undefined;
}

/** Seconds and rates of one replica, with the 80 % interval as logarithms: low = value x exp(-lowLog). */
export interface ServingSpeed {
  readonly requestsPerS: number;
  readonly ttftS: number;
  readonly tpotS: number;
  /** Share of the replica's time that goes into prompts; the rest makes answers. */
  readonly prefillShare: number;
  readonly lowLog: number;
  readonly highLog: number;
  readonly source: PredictionSource;
  readonly sourceNote: string;
  /** 0..1. */
  readonly confidence: number;
}

/** Stages wait for each other at the ends of micro-batches. */
const PIPELINE_KEPT = 0.9;

/** Below the share of memory that the formula gives to weights and cache. */
const USABLE_SHARE = 0.85;
/** The speed of a replica; null when it does not fit. A pipeline is one stage, passed `pipeline` times. */
export function servingSpeed(c: ServingCase): ServingSpeed | null {
  const stages = c.split.pipeline;
  const stage = stageSpeed(c, Math.max(1, c.batch / stages));
  if (stage === null || stages === 1) return stage;
  return {
    ...stage,
    requestsPerS: stage.requestsPerS * PIPELINE_KEPT,
    ttftS: stage.ttftS * stages,
    tpotS: (stage.tpotS * stages) / PIPELINE_KEPT,
    sourceNote: `${stage.sourceNote}; ${stages} pipeline stages`,
    confidence: stage.confidence * 0.8,
    lowLog: stage.lowLog + Math.log(1.25),
  };
}

function stageSpeed(c: ServingCase, batch: number): ServingSpeed | null {
  const { model, accelerator, split } = c;
  const share = 1 / split.pipeline;
  // Windows and states make the cache smaller than tokens x bytes: the mean over the sequence is what is read and held.
  const bytesPerSequence =
    cacheBytes(model.cache, c.sequenceTokens, c.cacheBytesPerElement) * cacheCopies(model, split.tensor) * share;
  const query: ServingQuery = {
    model: {
      parametersB: (model.parameters / 1e9) * share,
      activeParametersB: (model.activeParameters / 1e9) * share,
      bytesPerParameter: bytesPerWeight[c.precision],
      layers: Math.max(1, Math.round(model.layers * share)),
      hiddenSize: model.hiddenSize,
      kvBytesPerToken: Math.max(1, bytesPerSequence / (c.inputTokens + c.outputTokens)),
    },
    // What fits was decided by the memory of the whole replica: the formula's own limit must not bind a second time.
    accelerator: { ...accelerator, vramGiB: accelerator.vramGiB / USABLE_SHARE },
    gpus: split.tensor,
    inputTokens: c.inputTokens,
    outputTokens: c.outputTokens,
    batch,
  };
  const { measured } = c;
  const bytesAt = (tokens: number, gpus: number): number =>
    Math.max(1, (cacheBytes(model.cache, tokens, c.cacheBytesPerElement) * cacheCopies(model, gpus)) / tokens);
  // A stage of a pipeline is no model that was seen: it only looks like a smaller one.
  const own = measured && split.pipeline === 1 ? measuredReplica(measured, query, bytesAt) : undefined;
  const p = predictServing(own ? { ...query, measured: () => own } : query);
  const m = formula(query);
  if (p === null || m === null) return null;
  return {
    requestsPerS: p.tokensPerS / (c.inputTokens + c.outputTokens),
    ttftS: p.ttftS,
    tpotS: p.tpotS,
    prefillShare: m.prefillS / (m.prefillS + c.outputTokens * m.decodeStepS),
    lowLog: p.lowLog,
    highLog: p.highLog,
    source: p.source,
    sourceNote: p.sourceNote,
    confidence: p.confidence,
  };
}

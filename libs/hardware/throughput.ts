import type { Accelerator } from './accelerator.js';
import { publishedThroughput } from './published-throughput.js';
import { predictServing } from './serving/predict.js';
import type { ServedModel } from './serving/query.js';
import { formula } from './serving/residuals.js';

export type { ServedModel } from './serving/query.js';

export type ServingEngine = 'tensorrt-llm' | 'vllm' | 'deepspeed-mii' | 'llama.cpp';

export interface ThroughputQuery {
  readonly model: ServedModel;
  readonly accelerator: Accelerator;
  /** GPUs of one replica, tensor parallel; vCPUs for `CPU`. */
  readonly gpus: number;
  readonly batch: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly engine?: ServingEngine;
  /** Default true: a published measurement of the same thing goes before the formula. */
  readonly usePublished?: boolean;
}

export interface Throughput {
  /** Prompt and answer tokens together, whole replica. */
  readonly tokensPerS: number;
  readonly prefillS: number;
  readonly decodeStepS: number;
  /** How many times over the batch exceeds what its cache lets run at once; finished sequences make room one by one, so a fraction is fine. */
  readonly waves: number;
  readonly source: 'published' | 'roofline';
  readonly sourceNote: string;
  /** 0..1. */
  readonly confidence: number;
}

/**
 * The rate of one replica as placement uses it: the published rate of that size, card and number first, else the
 * prediction of `serving/`. With `usePublished: false` the bare formula, which learned nothing from any run.
 * Null when the weights and one sequence do not fit.
 */
export function throughput(q: ThroughputQuery): Throughput | null {
  const { model, accelerator: a } = q;
  if (q.usePublished === false) return bareFormula(q);
  if (q.outputTokens > 0 && between(q.inputTokens / q.outputTokens, 0.5, 2)) {
    const p = publishedThroughput(model.parametersB, model.bytesPerParameter, a.name, q.gpus);
    if (p)
      return {
        tokensPerS: p.tokensPerS,
        prefillS: 0,
        decodeStepS: 0,
        waves: 1,
        source: 'published',
        sourceNote: p.source,
        confidence: 0.85,
      };
  }
  const said = formula(q);
  const predicted = predictServing(q);
  if (!said || !predicted) return null;
  return {
    tokensPerS: predicted.tokensPerS,
    prefillS: said.prefillS / predicted.factor,
    decodeStepS: said.decodeStepS / predicted.factor,
    waves: said.waves,
    source: predicted.source === 'published' ? 'published' : 'roofline',
    sourceNote: predicted.sourceNote,
    confidence: predicted.confidence,
  };
}

const between = (x: number, low: number, high: number): boolean => x >= low && x <= high;

/** Confidence in the bare formula: other makers' software reaches far less of its peak than NVIDIA's. */
function bareFormula(q: ThroughputQuery): Throughput | null {
  const said = formula(q);
  if (!said) return null;
  const single = q.accelerator.vendor === 'cpu' || q.engine === 'llama.cpp';
  const shape = said.assumed ? '; layers, width and cache assumed from the size' : '';
  return {
    tokensPerS: said.tokensPerS,
    prefillS: said.prefillS,
    decodeStepS: said.decodeStepS,
    waves: said.waves,
    source: 'roofline',
    sourceNote: single ? 'single stream' : `roofline${shape}`,
    confidence: single ? 0.3 : (q.accelerator.vendor === 'nvidia' ? 0.7 : 0.25) * (said.assumed ? 0.8 : 1),
  };
}

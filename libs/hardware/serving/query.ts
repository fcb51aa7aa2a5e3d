import type { Accelerator, AcceleratorMaker } from '../accelerator.js';

/** A card that was measured; among them one that nobody rents out, so that it is no accelerator of the market. */
export type ServingCard = Omit<Accelerator, 'vendor'> & { readonly vendor: AcceleratorMaker | 'sambanova' };

/** What a prediction must know of a model. */
export interface ServedModel {
  readonly parametersB: number;
  readonly bytesPerParameter: number;
  /** Parameters one token passes through; less than all for mixtures of experts. */
  readonly activeParametersB?: number;
  /** Where unknown, the Llama family's proportions for that size are taken. */
  readonly layers?: number;
  readonly hiddenSize?: number;
  readonly kvBytesPerToken?: number;
}

export interface ServingQuery {
  readonly model: ServedModel;
  readonly accelerator: ServingCard;
  /** GPUs of one replica, tensor parallel; vCPUs for `CPU`. */
  readonly gpus: number;
  /** Requests held at once: those beyond what the cache lets run wait. */
  readonly batch: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Any spelling of a serving framework ("vLLM", "tensorrt-llm"); one we have no runs of is predicted, with a wide interval. Default vLLM. */
  readonly engine?: string;
  /** What Berth itself has measured; goes before everything else. */
  readonly measured?: MeasuredSpeeds;
  /** Default true: published runs of the same model, card and engine correct the formula. */
  readonly usePublished?: boolean;
}

/** A speed seen on Berth's own leases. */
export interface MeasuredSpeed {
  /** Prompt and answer tokens together, whole replica. */
  readonly tokensPerS: number;
  /** Sample size after forgetting: how many runs this mean is worth. */
  readonly samples: number;
  /** Standard deviation of the log of the speed among those runs; null while there are too few. */
  readonly logSd: number | null;
  /** Standard deviation (ln) that comes of its having been seen under another load, or leaning on a prediction; default 0. */
  readonly awaySd?: number;
}

/** Speeds seen on Berth's own leases, by what was served where; undefined = never seen. */
export type MeasuredSpeeds = (query: ServingQuery) => MeasuredSpeed | undefined;

/**
 * How far from what was measured a prediction reaches: everything seen, or the worst of what was not: a model, a card, a
 * framework. It decides the width of the interval.
 */
export type Novelty = 'seen' | 'new-model' | 'new-gpu' | 'new-framework';

export type PredictionSource = 'measured' | 'published' | 'roofline';

export interface ServingPrediction {
  /** Prompt and answer tokens together, whole replica. */
  readonly tokensPerS: number;
  /** The 80 % interval of `tokensPerS`. */
  readonly tokensPerSLow: number;
  readonly tokensPerSHigh: number;
  /** The same as log ratios: low = tokensPerS x exp(-lowLog), high = tokensPerS x exp(highLog). Both at least 0. */
  readonly lowLog: number;
  readonly highLog: number;
  /** Median time to the first token of a request that arrives while the others are being served, waiting included. */
  readonly ttftS: number;
  /** Time per further token of one request, at that load. */
  readonly tpotS: number;
  /** How many times over the requests exceed what the cache lets run at once; 1 = nobody waits. */
  readonly waves: number;
  readonly source: PredictionSource;
  readonly sourceNote: string;
  /** 0..1: the share of a tenfold error the interval rules out; narrow = near 1. */
  readonly confidence: number;
  readonly novelty: Novelty;
  /** What the formula was multiplied by, learned from runs of that framework and vendor. 1 = nothing known. */
  readonly factor: number;
}

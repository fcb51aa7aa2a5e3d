import type { Accelerator } from './accelerator.js';

export const BYTES_PER_GIB = 2 ** 30;
export const BYTES_PER_GB = 1e9;

/** Bytes of the weights: parameters x bytes each (FP16/BF16 2, FP8/INT8 1, INT4 0.5). 7B in FP16 = 14 GB. */
export function weightsBytes(parametersB: number, bytesPerParameter: number): number {
  return parametersB * 1e9 * bytesPerParameter;
}

/**
 * What of a model decides its KV cache. `attention: 'heads'` is multi-head, grouped-query or multi-query attention
 * (count kv heads, not heads); `'latent'` is multi-head latent attention, which caches one compressed vector.
 */
export type KvLayout =
  | { readonly attention: 'heads'; readonly layers: number; readonly kvHeads: number; readonly headDim: number }
  | {
      readonly attention: 'latent';
      readonly layers: number;
      readonly kvLoraRank: number;
      readonly ropeHeadDim: number;
    };

/** KV-cache bytes of one token of one sequence. Only layers whose cache grows with the context count. */
export function kvBytesPerToken(layout: KvLayout, bytesPerElement = 2): number {
  const elements =
    layout.attention === 'heads' ? 2 * layout.kvHeads * layout.headDim : layout.kvLoraRank + layout.ropeHeadDim;
  return elements * layout.layers * bytesPerElement;
}

/** 2 x layers x kv_heads x head_dim x tokens x bytes, times the sequences held at once (domain row D3). */
export function kvCacheBytes(p: {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly tokens: number;
  readonly bytesPerElement: number;
  readonly batch?: number;
}): number {
  return kvBytesPerToken({ attention: 'heads', ...p }, p.bytesPerElement) * p.tokens * (p.batch ?? 1);
}

/** The same for latent attention (DeepSeek, Kimi, GLM-5). */
export function latentKvCacheBytes(p: {
  readonly layers: number;
  readonly kvLoraRank: number;
  readonly ropeHeadDim: number;
  readonly tokens: number;
  readonly bytesPerElement: number;
  readonly batch?: number;
}): number {
  return kvBytesPerToken({ attention: 'latent', ...p }, p.bytesPerElement) * p.tokens * (p.batch ?? 1);
}

export interface VramDemand {
  readonly weightsBytes: number;
  readonly kvBytesPerToken: number;
  /** Longest sequence a replica must hold, prompt and answer. */
  readonly tokensPerSequence: number;
  /** CUDA context and framework, per GPU; 2-4 GB are usual. */
  readonly overheadGB?: number;
  /** Working memory of a forward pass, per GPU; 1-2 GB are usual. */
  readonly activationsGB?: number;
}

export interface VramBudget {
  readonly totalBytes: number;
  readonly weightsBytes: number;
  readonly overheadBytes: number;
  readonly activationBytes: number;
  /** Left for the KV cache, over all GPUs of the replica; 0 when the weights do not fit. */
  readonly kvBytes: number;
  readonly maxTokens: number;
  /** Sequences of full length that fit at once: the concurrency limit of the replica. */
  readonly maxSequences: number;
  /** Weights fit and at least one full sequence with them. */
  readonly fits: boolean;
}

/** How the memory of one replica on `gpus` accelerators is used (rows D2, D3). */
export function vramBudget(vramGiB: number, gpus: number, demand: VramDemand): VramBudget {
  const totalBytes = vramGiB * BYTES_PER_GIB * gpus;
  const overheadBytes = (demand.overheadGB ?? 3) * BYTES_PER_GB * gpus;
  const activationBytes = (demand.activationsGB ?? 1.5) * BYTES_PER_GB * gpus;
  const left = totalBytes - demand.weightsBytes - overheadBytes - activationBytes;
  const kvBytes = Math.max(0, left);
  const maxTokens = demand.kvBytesPerToken > 0 ? Math.floor(kvBytes / demand.kvBytesPerToken) : Infinity;
  const maxSequences = Math.floor(maxTokens / Math.max(1, demand.tokensPerSequence));
  return {
    totalBytes,
    weightsBytes: demand.weightsBytes,
    overheadBytes,
    activationBytes,
    kvBytes,
    maxTokens,
    maxSequences,
    fits: left > 0 && maxSequences >= 1,
  };
}

export interface TensorParallelChoice {
  /** GPUs per replica; null = does not fit into one machine. */
  readonly tensorParallel: number | null;
  readonly budget: VramBudget | null;
  readonly reasons: readonly string[];
}

/** Links over which tensor parallelism loses little; PCIe works but each layer waits for the bus. */
const fastLinks: ReadonlySet<string> = new Set(['nvlink', 'nvswitch', 'xgmi', 'ici', 'neuronlink', 'roce-on-chip']);

export function hasFastLink(a: Pick<Accelerator, 'link'>): boolean {
  return fastLinks.has(a.link);
}

/** One GPU when the model fits it, else the smallest power of two inside one machine's link domain (row D4). */
export function chooseTensorParallel(
  a: Pick<Accelerator, 'name' | 'vramGiB' | 'link' | 'linkGBps'>,
  gpusInDomain: number,
  demand: VramDemand,
): TensorParallelChoice {
  const weightsGB = (demand.weightsBytes / BYTES_PER_GB).toFixed(1);
  for (let gpus = 1; gpus <= gpusInDomain; gpus *= 2) {
    const budget = vramBudget(a.vramGiB, gpus, demand);
    if (!budget.fits) continue;
    const reasons = [
      gpus === 1
        ? `${weightsGB} GB of weights and their cache fit one ${a.name}: no communication, simplest failure`
        : `${weightsGB} GB of weights need ${gpus} x ${a.name} (${a.vramGiB} GB each)`,
      `${budget.maxSequences} sequences of ${demand.tokensPerSequence} tokens fit at once`,
    ];
    if (gpus > 1) {
      reasons.push(
        hasFastLink(a)
          ? `all inside one ${a.link} domain (${a.linkGBps} GB/s per GPU)`
          : `no NVLink: every layer waits for ${a.link} (${a.linkGBps} GB/s); prefer a card on which it fits alone`,
      );
    }
    return { tensorParallel: gpus, budget, reasons };
  }
  return {
    tensorParallel: null,
    budget: null,
    reasons: [
      `${weightsGB} GB of weights do not fit ${gpusInDomain} x ${a.name} (${a.vramGiB} GB each) with room for the cache`,
    ],
  };
}

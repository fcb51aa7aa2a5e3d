import { cacheBytes, type ModelProfile } from '../models/profile.js';
import { BYTES_PER_GIB, vramBudget, type VramBudget } from '../sizing.js';
import { bytesPerWeight, type Precision } from './precision.js';

/** How one replica is cut: every layer over `tensor` GPUs, the layers in `pipeline` stages. */
export interface Split {
  readonly tensor: number;
  readonly pipeline: number;
}

export interface ReplicaMemory {
  readonly budget: VramBudget;
  /** Cache of one sequence of full length, over all GPUs, copies included. */
  readonly sequenceBytes: number;
  /** Sequences of full length that fit beside the weights; Infinity when a sequence keeps nothing. */
  readonly holds: number;
  /** What is lacking for the weights and one sequence; 0 = it fits. */
  readonly missingBytes: number;
}

/** Upper and usual share of a card that the runtime takes; an old 8 GB card runs a lean one. */
const OVERHEAD_GB = 3;
const OVERHEAD_SHARE = 1 / 8;

/**
 * How often each cached element is kept: with more GPUs than key-value heads the heads are copied, and the one vector of
 * latent attention lies on every GPU of the split.
 */
export function cacheCopies(model: Pick<ModelProfile, 'kvHeads' | 'attention'>, tensor: number): number {
  return model.attention === 'none' ? 1 : Math.max(1, tensor / model.kvHeads);
}

/** Why `tensor` GPUs cannot share the layers of the model evenly; null when they can. */
export function splitRefused(
  model: Pick<ModelProfile, 'heads' | 'kvHeads' | 'attention' | 'layers'>,
  split: Split,
): string | null {
  const { tensor, pipeline } = split;
  if (pipeline > model.layers) return `${pipeline} stages for ${model.layers} layers`;
  if (model.attention === 'none') return null;
  if (model.heads % tensor !== 0) return `${model.heads} heads cannot be split over ${tensor} GPUs`;
  if (model.kvHeads % tensor !== 0 && tensor % model.kvHeads !== 0)
    return `${model.kvHeads} key-value heads cannot be split over ${tensor} GPUs`;
  return null;
}

/** Memory of one replica: weights, overhead, activations, and how many sequences the rest holds. */
export function replicaMemory(
  model: ModelProfile,
  precision: Precision,
  vramGiB: number,
  split: Split,
  contextTokens: number,
  cacheBytesPerElement: number,
): ReplicaMemory {
  const overheadGB = Math.min(OVERHEAD_GB, vramGiB * OVERHEAD_SHARE);
  const sequenceBytes = cacheBytes(model.cache, contextTokens, cacheBytesPerElement) * cacheCopies(model, split.tensor);
  const gpus = split.tensor * split.pipeline;
  const budget = vramBudget(vramGiB, gpus, {
    weightsBytes: model.parameters * bytesPerWeight[precision],
    kvBytesPerToken: sequenceBytes / contextTokens,
    tokensPerSequence: contextTokens,
    overheadGB,
    activationsGB: overheadGB / 2,
  });
  const fixed = budget.weightsBytes + budget.overheadBytes + budget.activationBytes;
  const missingBytes = Math.max(0, fixed + sequenceBytes - budget.totalBytes);
  return {
    budget,
    sequenceBytes,
    holds: missingBytes > 0 ? 0 : sequenceBytes > 0 ? Math.floor(budget.kvBytes / sequenceBytes) : Infinity,
    missingBytes,
  };
}

export function gib(bytes: number): number {
  return bytes / BYTES_PER_GIB;
}

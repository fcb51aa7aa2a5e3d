import { gpuSize, type Kind } from './ask.js';
import type { Fleet } from './fleet.js';
import type { Weights } from './fragments.js';

/** Share of the demand that counts as typical, the largest kinds first (as the FGD authors have it). */
const TYPICAL_SHARE = 0.95;

/**
 * The typical kinds that want GPUs, weighted by count x GPUs^exponent. Exponent 0 counts requests (what FGD does), exponent 1
 * counts the GPUs that they ask for: then a rare request for a whole node weighs as much as what it would have used.
 */
export function typicalKinds(demand: ReadonlyMap<Kind, number>, exponent: 0 | 1): Weights {
  const weighted = [...demand].map(([kind, count]) => ({ kind, w: count * (exponent === 0 ? 1 : gpuSize(kind)) }));
  const total = weighted.reduce((sum, { w }) => sum + w, 0);
  const typical = new Map<Kind, number>();
  let counted = 0;
  for (const { kind, w } of weighted.toSorted((a, b) => b.w - a.w || a.kind.id - b.kind.id)) {
    if (counted >= TYPICAL_SHARE * total) break;
    counted += w;
    if (kind.gpus > 0 && w > 0) typical.set(kind, w);
  }
  return scaled(typical);
}

/** `share` of the second, the rest of the first. */
export function mixed(first: Weights, second: Weights, share: number): Weights {
  if (share <= 0) return first;
  const mix = new Map<Kind, number>();
  if (share < 1) for (const [kind, w] of first) mix.set(kind, (1 - share) * w);
  for (const [kind, w] of second) mix.set(kind, (mix.get(kind) ?? 0) + share * w);
  return mix;
}

/** The most GPUs that are asked for at once, and what a block of them is worth: its GPUs by the share of the demand that asks for it. */
export interface Block {
  readonly gpus: number;
  readonly worthGpus: number;
}

export function largestBlock(demand: ReadonlyMap<Kind, number>, fleet: Pick<Fleet, 'stride'>): Block {
  const fitting = [...demand].filter(([kind]) => kind.gpus <= fleet.stride);
  const gpus = Math.max(0, ...fitting.map(([kind]) => kind.gpus));
  const size = (of: readonly (readonly [Kind, number])[]): number =>
    of.reduce((sum, [kind, count]) => sum + count * gpuSize(kind), 0);
  const total = size([...demand]);
  const share = total === 0 ? 0 : size(fitting.filter(([kind]) => kind.gpus === gpus)) / total;
  return { gpus, worthGpus: gpus * share };
}

function scaled(weights: Weights): Weights {
  const total = [...weights.values()].reduce((sum, w) => sum + w, 0);
  return total === 0 ? weights : new Map([...weights].map(([kind, w]) => [kind, w / total]));
}

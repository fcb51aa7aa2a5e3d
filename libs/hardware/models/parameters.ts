import type { Dimensions } from './dimensions.js';
import type { Layer } from './layer-plan.js';
import type { CacheGroup } from './profile.js';

/**
 * Parameters counted from the dimensions: matrices and embeddings, without biases and norms (under 0.1 %). `active` are
 * those that one token passes through, embeddings included: of the experts only its own, as model cards count.
 */
export function countParameters(d: Dimensions): { total: number; active: number } {
  const embedding = d.vocabSize * d.hiddenSize;
  let total = embedding * (d.tied ? 1 : 2);
  let active = total;
  for (const layer of d.layers) {
    const mixer = mixerParameters(d, layer.mixer);
    const feed = feedForward(d, layer.feedForward);
    total += mixer + feed.total;
    active += mixer + feed.active;
  }
  return { total, active };
}

function mixerParameters(d: Dimensions, mixer: Layer['mixer']): number {
  const width = d.hiddenSize;
  if (mixer === 'none') return 0;
  if (mixer === 'mamba') {
    const m = d.mamba;
    return width * (2 * m.inner + 2 * m.groups * m.state + m.heads) + m.inner * width;
  }
  if (mixer === 'linear' && d.linear !== null)
    return width * (2 * d.linear.keyDim + 2 * d.linear.valueDim) + d.linear.valueDim * width;
  if (d.latent !== null && mixer === 'full') {
    const l = d.latent;
    const query = l.nopeDim + l.ropeDim;
    return (
      (l.queryRank === null ? width * d.heads * query : width * l.queryRank + l.queryRank * d.heads * query) +
      width * (l.rank + l.ropeDim) +
      l.rank * d.heads * (l.nopeDim + l.valueDim) +
      d.heads * l.valueDim * width
    );
  }
  const { kvHeads, headDim } = mixer === 'full' && d.fullLayers ? d.fullLayers : d;
  const valueDim = headDim === d.headDim ? d.valueHeadDim : headDim;
  const wide = d.heads * headDim * (d.gatedAttention ? 2 : 1);
  const query = d.queryRank === null ? width * wide : width * d.queryRank + d.queryRank * wide;
  return query + width * kvHeads * (headDim + valueDim) + d.heads * valueDim * width;
}

function feedForward(d: Dimensions, kind: Layer['feedForward']): { total: number; active: number } {
  const matrices = d.gated ? 3 : 2;
  if (kind === 'none') return { total: 0, active: 0 };
  if (kind === 'dense' || d.experts === null) {
    const dense = matrices * d.hiddenSize * d.intermediateSize;
    return { total: dense, active: dense };
  }
  const e = d.experts;
  const one = matrices * (e.latentSize ?? d.hiddenSize) * e.intermediateSize;
  const projections = e.latentSize === null ? 0 : 2 * d.hiddenSize * e.latentSize;
  const always = matrices * d.hiddenSize * e.sharedSize + d.hiddenSize * e.total + projections;
  return { total: e.total * one + always, active: e.perToken * one + always };
}

/** What the layers keep of each sequence, layers that keep the same thing together. */
export function cacheGroups(d: Dimensions): CacheGroup[] {
  const own = d.layers.slice(0, d.layers.length - d.layersWithoutOwnCache);
  const count = (mixer: Layer['mixer']): number => own.filter((l) => l.mixer === mixer).length;
  const groups: CacheGroup[] = [];
  const heads = d.kvHeads * (d.headDim + d.valueHeadDim);
  const full = count('full');
  if (full > 0 && d.latent !== null)
    groups.push({ kind: 'latent', layers: full, elementsPerToken: d.latent.rank + d.latent.ropeDim });
  else if (full > 0)
    groups.push({
      kind: 'full',
      layers: full,
      elementsPerToken: d.fullLayers ? 2 * d.fullLayers.kvHeads * d.fullLayers.headDim : heads,
    });
  const window = count('window');
  if (window > 0)
    groups.push({ kind: 'window', layers: window, elementsPerToken: heads, windowTokens: d.windowTokens ?? 4_096 });
  const linear = count('linear');
  if (linear > 0)
    groups.push({
      kind: 'state',
      layers: linear,
      // States are kept in 32 bits: twice the elements of the cache's 16.
      elementsPerSequence: 2 * (d.linear?.stateElements ?? d.heads * d.headDim * d.headDim),
    });
  const mamba = count('mamba');
  if (mamba > 0) groups.push({ kind: 'state', layers: mamba, elementsPerSequence: 2 * d.mamba.inner * d.mamba.state });
  return groups;
}

/**
 * A run of layers that keep the same thing of each sequence. `full` grows with every token, `window` up to the window,
 * `latent` is one compressed vector per token (multi-head latent attention), `state` is the same however long the text is
 * (Mamba, linear attention).
 */
export type CacheGroup =
  | { readonly kind: 'full'; readonly layers: number; readonly elementsPerToken: number }
  | { readonly kind: 'latent'; readonly layers: number; readonly elementsPerToken: number }
  | {
      readonly kind: 'window';
      readonly layers: number;
      readonly elementsPerToken: number;
      readonly windowTokens: number;
    }
  | { readonly kind: 'state'; readonly layers: number; readonly elementsPerSequence: number };

export type AttentionKind = 'MHA' | 'GQA' | 'MQA' | 'MLA' | 'none';

/** What of a language model decides its memory and its speed. Counts are plain numbers, not billions. */
export interface ModelProfile {
  readonly name: string;
  readonly parameters: number;
  /** Parameters that one token passes through: fewer than all in a mixture of experts. */
  readonly activeParameters: number;
  /** `config`: counted from the fields; `name`: the figure in the model's name; `stated`: by who published it. */
  readonly parametersFrom: 'config' | 'name' | 'stated';
  readonly layers: number;
  readonly hiddenSize: number;
  readonly attention: AttentionKind;
  readonly heads: number;
  /** Heads whose keys and values are kept; 1 for latent attention, whose one vector every GPU of a split holds. */
  readonly kvHeads: number;
  readonly experts: { readonly total: number; readonly perToken: number; readonly shared: number } | null;
  readonly cache: readonly CacheGroup[];
  readonly maxPositionTokens: number | null;
  /** Bits of a weight as published; 16 unless the config says that it is quantized. */
  readonly publishedBits: number;
  /** What a reader must know: parts that were taken from defaults, layouts that are bounded and not known. */
  readonly notes: readonly string[];
}

/** Bytes that one sequence of `tokens` keeps, over all GPUs, when each element has `bytesPerElement`. */
export function cacheBytes(cache: readonly CacheGroup[], tokens: number, bytesPerElement = 2): number {
  let elements = 0;
  for (const g of cache) {
    if (g.kind === 'state') elements += g.layers * g.elementsPerSequence;
    else if (g.kind === 'window') elements += g.layers * g.elementsPerToken * Math.min(tokens, g.windowTokens);
    else elements += g.layers * g.elementsPerToken * tokens;
  }
  return elements * bytesPerElement;
}

/** Bytes that one more token adds to a long sequence. */
export function growingBytesPerToken(cache: readonly CacheGroup[], bytesPerElement = 2): number {
  let elements = 0;
  for (const g of cache) if (g.kind === 'full' || g.kind === 'latent') elements += g.layers * g.elementsPerToken;
  return elements * bytesPerElement;
}

/** "8.0B", "671B, 37B active": a size as people say it. */
export function parametersText(m: Pick<ModelProfile, 'parameters' | 'activeParameters'>): string {
  const total = billions(m.parameters);
  return m.activeParameters < m.parameters ? `${total}, ${billions(m.activeParameters)} active` : total;
}

function billions(n: number): string {
  const b = n / 1e9;
  return `${b >= 100 ? b.toFixed(0) : b >= 1 ? b.toFixed(1) : b.toFixed(2)}B`;
}

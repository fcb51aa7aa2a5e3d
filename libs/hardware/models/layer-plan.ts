import type { ConfigFields } from './config-fields.js';

/** What one layer mixes tokens with, and what comes after it. */
export interface Layer {
  readonly mixer: 'full' | 'window' | 'linear' | 'mamba' | 'none';
  readonly feedForward: 'dense' | 'experts' | 'none';
}

const mixerWords: Readonly<Record<string, Layer['mixer']>> = {
  full_attention: 'full',
  attention: 'full',
  global_attention: 'full',
  deepseek_sparse_attention: 'full',
  sliding_attention: 'window',
  local_attention: 'window',
  chunked_attention: 'window',
  linear_attention: 'linear',
  recurrent: 'linear',
  mamba: 'mamba',
  mamba2: 'mamba',
  hybrid: 'mamba',
};

/** Windows without a list of layers: every n-th layer sees everything, the others a window. */
const patternOf: Readonly<Record<string, number>> = {
  gemma2: 2,
  gemma3: 6,
  gemma3_text: 6,
  cohere2: 4,
  gpt_oss: 2,
};
/** Models that carry `sliding_window` without using it unless `use_sliding_window` says so. */
const windowOffByDefault = /^(qwen2|qwen3|mimo)/;

/** The layers of a config, first to last. Fields that several families use for the same thing are read in one place. */
export function layerPlan(f: ConfigFields, modelType: string, layers: number): Layer[] {
  const pattern = f.text('hybrid_override_pattern');
  if (pattern !== undefined) return nemotronPlan(f, pattern, layers);
  const mixers = mixerPlan(f, modelType, layers);
  const experts = expertPlan(f, modelType, layers);
  return mixers.map((mixer, i) => ({ mixer, feedForward: experts[i] === true ? 'experts' : 'dense' }));
}

/** Nemotron-H writes one letter per layer: M Mamba, * attention, - feed-forward, E experts. Each layer is only that. */
function nemotronPlan(f: ConfigFields, pattern: string, layers: number): Layer[] {
  if (pattern.length !== layers)
    f.missing('hybrid_override_pattern', `has ${pattern.length} letters for ${layers} layers`);
  return [...pattern].map((letter): Layer => {
    if (letter === 'M') return { mixer: 'mamba', feedForward: 'none' };
    if (letter === '*') return { mixer: 'full', feedForward: 'none' };
    return { mixer: 'none', feedForward: letter === 'E' ? 'experts' : 'dense' };
  });
}

function mixerPlan(f: ConfigFields, modelType: string, layers: number): Layer['mixer'][] {
  const fill = (of: (i: number) => Layer['mixer']): Layer['mixer'][] => Array.from({ length: layers }, (_, i) => of(i));
  const listed = f.list('layer_types', 'layers_block_type');
  if (listed !== undefined) {
    if (listed.length !== layers)
      f.missing('layer_types', `has ${listed.length} entries for ${layers} layers (num_hidden_layers)`);
    return fill((i) => {
      const word = listed[i];
      const mixer = typeof word === 'string' ? mixerWords[word] : undefined;
      if (mixer === undefined && i < listed.length)
        f.missing(`layer_types[${i}]`, `${JSON.stringify(word)} is no kind of layer that is known`);
      return mixer ?? 'full';
    });
  }
  // MiMo-V2 and MiniMax-01 write numbers: 0 is full attention in the first, linear attention in the second.
  const hybrid = f.list('hybrid_layer_pattern');
  if (hybrid !== undefined) return fill((i) => (hybrid[i] === 1 ? 'window' : 'full'));
  const attnTypes = f.list('attn_type_list');
  if (attnTypes !== undefined) return fill((i) => (attnTypes[i] === 0 ? 'linear' : 'full'));
  const kimi = f.inner('linear_attn_config').list('full_attn_layers');
  if (kimi !== undefined) {
    if (kimi.length > layers) f.missing('full_attn_layers', `has ${kimi.length} entries for ${layers} layers`);
    const full = new Set(kimi);
    return fill((i) => (full.has(i + 1) ? 'full' : 'linear'));
  }
  const interval = f.count('full_attention_interval');
  if (interval !== undefined) return fill((i) => ((i + 1) % interval === 0 ? 'full' : 'linear'));
  const period = f.count('attn_layer_period');
  if (period !== undefined) {
    const offset = f.count('attn_layer_offset', 0) ?? 0;
    return fill((i) => (i % period === offset ? 'full' : 'mamba'));
  }
  if (/^(mamba|mamba2|falcon_mamba)$/.test(modelType)) return fill(() => 'mamba');
  if (f.count('attention_chunk_size') !== undefined) {
    // Llama 4: a layer without rotary positions sees everything; no_rope_layers marks it with 0.
    const noRope = f.list('no_rope_layers');
    const everyFourth = noRope === undefined || noRope.length === 0;
    return fill((i) => ((everyFourth ? (i + 1) % 4 === 0 : noRope[i] === 0) ? 'full' : 'window'));
  }
  // DeepSeek V4 keeps a window and a compressed rest: counted whole, which is an upper bound.
  if (/^deepseek_(v4|ref)/.test(modelType)) return fill(() => 'full');
  if (windowTokens(f, modelType) === null) return fill(() => 'full');
  const every = f.count('sliding_window_pattern') ?? patternOf[modelType];
  // Qwen says how many of its first layers see everything.
  const from = /^qwen[23]/.test(modelType) ? (f.count('max_window_layers', 0) ?? 0) : 0;
  if (every === undefined) return fill((i) => (i < from ? 'full' : 'window'));
  return fill((i) => ((i + 1) % every === 0 ? 'full' : 'window'));
}

/** Tokens that a windowed layer keeps; null when the config has no window in use. */
export function windowTokens(f: ConfigFields, modelType: string): number | null {
  const window = f.count(['sliding_window', 'sliding_window_size', 'attention_chunk_size', 'local_window_size']);
  if (window === undefined) return null;
  const used = f.flag('use_sliding_window');
  if (used === false) return null;
  if (used === undefined && windowOffByDefault.test(modelType) && f.list('layer_types') === undefined)
    return f.list('hybrid_layer_pattern') === undefined ? null : window;
  return window;
}

function expertPlan(f: ConfigFields, modelType: string, layers: number): boolean[] {
  const fill = (of: (i: number) => boolean): boolean[] => Array.from({ length: layers }, (_, i) => of(i));
  if (expertCount(f) === undefined) return fill(() => false);
  const listed = f.list('moe_layers');
  if (listed !== undefined && listed.length > layers)
    f.missing('moe_layers', `has ${listed.length} entries for ${layers} layers`);
  else if (listed !== undefined && listed.length > 0) {
    const set = new Set(listed);
    return fill((i) => set.has(i));
  }
  const text = f.text('moe_layers_enum');
  if (text !== undefined) {
    const set = new Set(text.split(',').map(Number));
    return fill((i) => set.has(i));
  }
  const frequency = f.list('moe_layer_freq');
  if (frequency !== undefined) return fill((i) => frequency[i] === 1);
  const dense = new Set(f.list('mlp_only_layers') ?? []);
  const first = f.count('first_k_dense_replace', 0) ?? denseStart[modelType] ?? 0;
  const step =
    f.count(['decoder_sparse_step', 'moe_layer_freq', 'interleave_moe_layer_step', 'expert_layer_period']) ?? 1;
  const offset = f.count('expert_layer_offset', 0);
  return fill(
    (i) => i >= first && !dense.has(i) && (offset === undefined ? (i + 1) % step : (i - offset) % step) === 0,
  );
}

/** Layers before the first experts, where the family's configs leave the field out. */
const denseStart: Readonly<Record<string, number>> = {
  deepseek_v3: 3,
  deepseek_v32: 3,
  kimi_k2: 1,
  kimi_linear: 1,
  glm_moe_dsa: 3,
  step3p7: 3,
  mimo_v2_flash: 1,
};

export function expertCount(f: ConfigFields): number | undefined {
  const names = ['n_routed_experts', 'num_local_experts', 'num_experts', 'moe_num_experts'];
  const found = f.count(names, 0, 100_000) ?? f.inner('ffn_config').count('moe_num_experts');
  return found === undefined || found <= 1 ? undefined : found;
}

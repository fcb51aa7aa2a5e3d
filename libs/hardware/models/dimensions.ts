import type { ConfigFields } from './config-fields.js';
import { expertCount, layerPlan, windowTokens, type Layer } from './layer-plan.js';

/** The numbers of a transformer that its memory follows from, whatever its family calls them. */
export interface Dimensions {
  readonly modelType: string;
  readonly layers: readonly Layer[];
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueHeadDim: number;
  /** Full-attention layers with heads of their own size (Gemma 4); null = the same. */
  readonly fullLayers: { readonly kvHeads: number; readonly headDim: number } | null;
  readonly windowTokens: number | null;
  /** Last layers that read the cache of an earlier one and keep none (Gemma 3n). */
  readonly layersWithoutOwnCache: number;
  /** Queries are made through a narrower vector (DeepSeek V4); null = directly. */
  readonly queryRank: number | null;
  readonly latent: {
    readonly rank: number;
    readonly ropeDim: number;
    readonly nopeDim: number;
    readonly valueDim: number;
    readonly queryRank: number | null;
  } | null;
  readonly intermediateSize: number;
  readonly gated: boolean;
  readonly vocabSize: number;
  readonly tied: boolean;
  readonly experts: {
    readonly total: number;
    readonly perToken: number;
    readonly intermediateSize: number;
    readonly sharedCount: number;
    /** Width of all shared experts together. */
    readonly sharedSize: number;
    /** Experts that work on a narrower vector than the model (Nemotron 3 Super). */
    readonly latentSize: number | null;
  } | null;
  readonly mamba: { readonly inner: number; readonly heads: number; readonly groups: number; readonly state: number };
  readonly linear: { readonly keyDim: number; readonly valueDim: number; readonly stateElements: number } | null;
  /** The attention output is gated by a vector of its own (Qwen 3.5): the query projection is twice as wide. */
  readonly gatedAttention: boolean;
  readonly maxPositionTokens: number | null;
  readonly notes: readonly string[];
}

/** Feed-forward parts of two matrices instead of three. */
const plainFeedForward =
  /^(gpt2|gpt_neo|gptj|gpt_neox|opt|bloom|falcon|RefinedWeb|phi|mpt|starcoder2|gpt_bigcode|persimmon|nemotron|nemotron_h|stablelm_alpha|codegen)$/;
/** Families whose output layer is the embedding when the config does not say. */
const tiedByDefault = /^(gpt2|gpt_neo|bloom|opt|gemma\w*|cohere\w*|gpt_bigcode|starcoder2|falcon|RefinedWeb|mpt)$/;

const layerNames = ['num_hidden_layers', 'n_layer', 'n_layers', 'num_layers'];
const widthNames = ['hidden_size', 'n_embd', 'd_model', 'dim', 'model_dim'];
const headNames = ['num_attention_heads', 'n_head', 'n_heads', 'num_heads'];
const kvNames = ['num_key_value_heads', 'n_head_kv', 'num_kv_heads', 'multi_query_group_num', 'n_kv_heads'];
const feedNames = ['intermediate_size', 'n_inner', 'ffn_dim', 'ffn_hidden_size', 'd_ff', 'hidden_dim'];
const lengthNames = [
  'max_position_embeddings',
  'max_sequence_length',
  'n_positions',
  'n_ctx',
  'max_seq_len',
  'seq_length',
];

/**
 * Reads them; null, with problems in `f`, when the config does not say enough. `isTiedAround`: what the config around a text part says of
 * its embeddings, for a part that says nothing.
 */
export function dimensions(f: ConfigFields, isTiedAround?: boolean): Dimensions | null {
  const modelType = f.text('model_type') ?? '';
  if (f.flag('is_encoder_decoder') === true)
    f.missing(
      'is_encoder_decoder',
      'is true: a model with an encoder beside its decoder cannot be sized from its config yet',
    );
  const notes: string[] = [];
  const layerCount = f.count(layerNames, 1, 2_000);
  const hiddenSize = f.count(widthNames, 1, 1_000_000);
  const pureMamba = /^(mamba|mamba2|falcon_mamba)$/.test(modelType);
  const heads = f.count(headNames, 1, 10_000) ?? (pureMamba ? 1 : undefined);
  const vocabSize = f.count(['vocab_size', 'padded_vocab_size']);
  if (layerCount === undefined) f.missing('num_hidden_layers', 'is missing: the number of layers');
  if (hiddenSize === undefined) f.missing('hidden_size', 'is missing: the width of the model');
  if (heads === undefined) f.missing('num_attention_heads', 'is missing: the number of attention heads');
  if (vocabSize === undefined) f.missing('vocab_size', 'is missing: the number of tokens the model knows');
  if (layerCount === undefined || hiddenSize === undefined || heads === undefined || vocabSize === undefined)
    return null;

  const kvHeads = keyValueHeads(f, modelType, heads);
  const stated = f.count(['head_dim', 'kv_channels', 'attention_head_dim'], 1, 65_536);
  const rank = f.count('kv_lora_rank');
  if (stated === undefined && rank === undefined && hiddenSize % heads !== 0)
    f.missing('head_dim', `is missing, and hidden_size ${hiddenSize} is no multiple of ${heads} heads`);
  if (rank === undefined && heads % kvHeads !== 0)
    f.missing('num_key_value_heads', `${kvHeads} does not divide the ${heads} attention heads`);
  const headDim = stated ?? Math.floor(hiddenSize / heads);
  if (modelType === 'nemotron-nas' || f.list('block_configs') !== undefined)
    f.missing(
      'block_configs',
      'gives every layer a shape of its own: such a model cannot be sized from its config yet',
    );
  const latent = latentOf(f, modelType, rank, notes);
  const total = expertCount(f);
  const layers = layerPlan(f, modelType, layerCount);
  const gated = !plainFeedForward.test(modelType);
  const intermediateSize =
    f.count(feedNames) ??
    f.inner('ffn_config').count('ffn_hidden_size') ??
    (gated && total ? undefined : 4 * hiddenSize);
  const experts = total === undefined ? null : expertsOf(f, modelType, total, intermediateSize);
  const globalHeadDim = f.count('global_head_dim');
  const fullLayers =
    globalHeadDim === undefined && f.count('num_global_key_value_heads') === undefined
      ? null
      : { kvHeads: f.count('num_global_key_value_heads') ?? kvHeads, headDim: globalHeadDim ?? headDim };
  if (modelType.startsWith('deepseek_v4') || modelType === 'deepseek_ref')
    notes.push('the cache of this family is compressed in ways of its own: the size here is an upper bound');
  return {
    modelType,
    layers,
    hiddenSize,
    heads,
    kvHeads,
    headDim,
    valueHeadDim: latent === null ? (f.count('v_head_dim') ?? headDim) : headDim,
    fullLayers,
    windowTokens: windowTokens(f, modelType),
    layersWithoutOwnCache: f.count('num_kv_shared_layers', 0) ?? 0,
    queryRank: rank === undefined ? (f.count('q_lora_rank') ?? null) : null,
    latent,
    intermediateSize: llama4Dense(f, modelType) ?? intermediateSize ?? experts?.intermediateSize ?? 4 * hiddenSize,
    gated,
    vocabSize,
    tied: f.flag('tie_word_embeddings') ?? isTiedAround ?? tiedByDefault.test(modelType),
    experts,
    mamba: {
      inner:
        (f.count('mamba_num_heads') ?? 0) * (f.count('mamba_head_dim') ?? 0) ||
        (f.count(['d_inner', 'intermediate_size_mamba']) ??
          (f.count(['expand', 'mamba_expand'], 1, 64) ?? 2) * hiddenSize),
      heads: f.count('mamba_num_heads') ?? 1,
      groups: f.count(['n_groups', 'mamba_n_groups']) ?? 1,
      state: f.count(['ssm_state_size', 'state_size', 'mamba_d_state']) ?? 16,
    },
    linear: linearOf(f),
    gatedAttention: f.flag('attn_output_gate') ?? /^qwen3_(5|next)/.test(modelType),
    maxPositionTokens: f.count(lengthNames) ?? null,
    notes,
  };
}

function keyValueHeads(f: ConfigFields, modelType: string, heads: number): number {
  // Falcon: 40B and 180B group; 7B shares one head and carries num_kv_heads without meaning it.
  if (
    /^(falcon|RefinedWeb)/.test(modelType) &&
    f.flag('new_decoder_architecture') !== true &&
    f.flag('multi_query') !== false
  )
    return 1;
  if (modelType === 'gpt_bigcode' && f.flag('multi_query') !== false) return 1;
  return f.count(kvNames, 1, 10_000) ?? f.inner('attn_config').count('kv_n_heads') ?? heads;
}

function latentOf(f: ConfigFields, modelType: string, rank: number | undefined, notes: string[]): Dimensions['latent'] {
  if (rank === undefined) return null;
  const wide = modelType === 'glm_moe_dsa';
  const given = [f.count('qk_nope_head_dim'), f.count('v_head_dim')];
  if (given.includes(undefined))
    notes.push('head sizes of the latent attention are those of its family: the config leaves them out');
  return {
    rank,
    ropeDim: f.count('qk_rope_head_dim', 0) ?? 64,
    nopeDim: given[0] ?? (wide ? 192 : 128),
    valueDim: given[1] ?? (wide ? 256 : 128),
    queryRank: f.count('q_lora_rank') ?? null,
  };
}

/** Experts beside the routed ones that every token passes through, where configs of the family leave the field out. */
const sharedByDefault =
  /^(deepseek_v3|deepseek_v32|deepseek_v4|deepseek_ref|kimi_k2|kimi_linear|glm_moe_dsa|llama4_text|step3p7)$/;

function expertsOf(
  f: ConfigFields,
  modelType: string,
  total: number,
  intermediateSize: number | undefined,
): Dimensions['experts'] {
  const perToken =
    f.count(['num_experts_per_tok', 'num_experts_per_token', 'top_k_experts', 'moe_topk', 'moe_k', 'moe_top_k']) ??
    f.inner('ffn_config').count('moe_top_k');
  if (perToken === undefined)
    f.missing('num_experts_per_tok', `is missing: how many of the ${total} experts a token uses`);
  else if (perToken > total)
    f.missing('num_experts_per_tok', `${perToken} is more than the ${total} experts there are`);
  const size = f.count(['moe_intermediate_size', 'expert_intermediate_size']) ?? intermediateSize;
  if (size === undefined) f.missing('moe_intermediate_size', 'is missing: the width of an expert');
  const width = size ?? 1;
  const sharedWidth = f.count(['shared_expert_intermediate_size', 'moe_shared_expert_intermediate_size'], 0);
  const sharedCount = f.count(['n_shared_experts', 'num_shared_experts', 'num_shared_expert'], 0, 1_000);
  const count = sharedCount ?? (sharedWidth !== undefined || sharedByDefault.test(modelType) ? 1 : 0);
  return {
    total,
    perToken: perToken ?? 1,
    intermediateSize: width,
    sharedCount: sharedWidth === 0 ? 0 : count,
    sharedSize: sharedWidth ?? count * width,
    latentSize: f.count('moe_latent_size') ?? null,
  };
}

/** Llama 4's dense layers have a width of their own; `intermediate_size` is that of an expert. */
function llama4Dense(f: ConfigFields, modelType: string): number | undefined {
  return modelType === 'llama4_text' ? f.count('intermediate_size_mlp') : undefined;
}

function linearOf(f: ConfigFields): Dimensions['linear'] {
  const keyHeads = f.count('linear_num_key_heads');
  const valueHeads = f.count('linear_num_value_heads');
  const keyDim = f.count('linear_key_head_dim');
  const valueDim = f.count('linear_value_head_dim');
  if (keyHeads === undefined || valueHeads === undefined || keyDim === undefined || valueDim === undefined) return null;
  return {
    keyDim: keyHeads * keyDim,
    valueDim: valueHeads * valueDim,
    stateElements: valueHeads * keyDim * valueDim,
  };
}

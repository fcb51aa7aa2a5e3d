import { ConfigFields, isJson, type ConfigProblem, type Json } from './config-fields.js';
import { dimensions } from './dimensions.js';
import { cacheGroups, countParameters } from './parameters.js';
import type { AttentionKind, ModelProfile } from './profile.js';

export type ConfigAnswer =
  | { readonly ok: true; readonly profile: ModelProfile }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** Where multimodal and speech models keep the part that generates text. */
const textParts = ['text_config', 'llm_config', 'language_config', 'language_model', 'thinker_config'];

const LLAMA = {
  hidden_size: 4_096,
  num_hidden_layers: 32,
  num_attention_heads: 32,
};

/**
 * What the text part of a multimodal model leaves out where it is as in the first model of its family: the file says only what differs.
 * Read off the defaults of the families in the transformers library (5.x), which reads such a file the same way.
 */
const LEFT_OUT: Readonly<Record<string, Json>> = {
  gemma3_text: {
    vocab_size: 262_208,
    hidden_size: 2_304,
    intermediate_size: 9_216,
    num_hidden_layers: 26,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    max_position_embeddings: 131_072,
    sliding_window: 4_096,
  },
  llama: { ...LLAMA, intermediate_size: 11_008 },
  mistral: { ...LLAMA, intermediate_size: 14_336, num_key_value_heads: 8 },
};

/** Reads a Hugging Face `config.json`, text or already parsed. Never throws: what is wrong comes back with its fields. */
export function readModelConfig(config: unknown, name?: string): ConfigAnswer {
  let json = config;
  if (typeof config === 'string') {
    try {
      json = JSON.parse(config);
    } catch (error) {
      return refuse('', `is not JSON: ${error instanceof Error ? error.message : 'unreadable'}`);
    }
  }
  if (!isJson(json)) return refuse('', 'must be a JSON object, as in the config.json of a model');
  const { part: stated, path } = textPart(json);
  const usual = path === '' ? undefined : LEFT_OUT[String(stated['model_type'])];
  const part = { ...usual, ...stated };
  const assumed = Object.keys(usual ?? {}).filter((name) => stated[name] === undefined);
  const f = new ConfigFields(part, path);
  const outer = new ConfigFields(json, '');
  const d = dimensions(f, outer.flag('tie_word_embeddings'));
  if (d === null || f.problems.length > 0) return { ok: false, problems: f.problems };
  const { total, active } = countParameters(d);
  return {
    ok: true,
    profile: {
      name: name ?? outer.text('_name_or_path') ?? d.modelType,
      parameters: total,
      activeParameters: active,
      parametersFrom: 'config',
      layers: d.layers.length,
      hiddenSize: d.hiddenSize,
      attention: attentionKind(
        d.heads,
        d.kvHeads,
        d.latent !== null,
        d.layers.some(({ mixer }) => keeps(mixer)),
      ),
      heads: d.heads,
      kvHeads: d.latent === null ? d.kvHeads : 1,
      experts: d.experts && { total: d.experts.total, perToken: d.experts.perToken, shared: d.experts.sharedCount },
      cache: cacheGroups(d),
      maxPositionTokens: d.maxPositionTokens,
      publishedBits: publishedBits(json, part),
      notes: [
        ...d.notes,
        ...(path === '' ? [] : [`the text part of the config (${path.slice(0, -1)}) was taken`]),
        ...(assumed.length === 0 ? [] : [`${assumed.join(', ')}: left out there, taken as the family has them`]),
      ],
    },
  };
}

const keeps = (mixer: string): boolean => mixer === 'full' || mixer === 'window';

function attentionKind(heads: number, kvHeads: number, latent: boolean, any: boolean): AttentionKind {
  if (!any) return 'none';
  if (latent) return 'MLA';
  if (kvHeads === heads) return 'MHA';
  return kvHeads === 1 ? 'MQA' : 'GQA';
}

function textPart(json: Json): { part: Json; path: string } {
  let part = json;
  let path = '';
  for (let deeper = true; deeper;) {
    deeper = false;
    // A config that states layers itself is the text model, whatever else hangs below it.
    if (part['num_hidden_layers'] !== undefined || part['n_layer'] !== undefined) break;
    for (const name of textParts) {
      const inner = part[name];
      if (!isJson(inner)) continue;
      path += `${name}.`;
      part = inner;
      deeper = true;
      break;
    }
  }
  return { part, path };
}

/** Bits of a weight as the config's quantization says; methods that mix widths count as the width of their matrices. */
function publishedBits(json: Json, part: Json): number {
  const q = json['quantization_config'] ?? part['quantization_config'] ?? json['compression_config'];
  if (!isJson(q)) return 16;
  const bits = q['bits'] ?? q['w_bit'] ?? q['weight_bits'];
  if (typeof bits === 'number' && bits >= 2 && bits <= 16) return bits;
  const method = JSON.stringify([q['quant_method'], q['quant_algo'], q['format'], q['config_groups']]).toLowerCase();
  if (q['load_in_4bit'] === true || /fp4|mxfp4|int4|awq|"num_bits":4/.test(method)) return 4;
  if (q['load_in_8bit'] === true || /fp8|int8|w8a8|float8|"num_bits":8/.test(method)) return 8;
  return 16;
}

function refuse(field: string, message: string): ConfigAnswer {
  return { ok: false, problems: [{ field, message }] };
}

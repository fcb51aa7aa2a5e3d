import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { loadModelArchitectures } from '../model-architectures.js';
import { readModelConfig } from './config-json.js';
import { isProfile, loadModelLibrary } from './library.js';
import { cacheBytes, growingBytesPerToken, type ModelProfile } from './profile.js';

const library = loadModelLibrary();

function known(name: string): ModelProfile {
  const found = library.find(name);
  if (!isProfile(found)) throw new Error(`${name} is not in the library; near: ${found.nearest.join(', ')}`);
  return found;
}

function read(config: Record<string, unknown>): ModelProfile {
  const answer = readModelConfig(config);
  if (!answer.ok) throw new Error(JSON.stringify(answer.problems));
  return answer.profile;
}

const llama7b = {
  model_type: 'llama',
  num_hidden_layers: 32,
  hidden_size: 4096,
  num_attention_heads: 32,
  intermediate_size: 11008,
  vocab_size: 32000,
};

describe('parameters counted from a config', () => {
  // Published totals and active parameters, billions.
  it.each([
    ['meta-llama/Llama-2-7b-hf', 6.74, 6.74],
    ['meta-llama/Llama-3.1-8B', 8.03, 8.03],
    ['meta-llama/Llama-3.1-70B', 70.6, 70.6],
    ['meta-llama/Llama-3.1-405B', 405.9, 405.9],
    ['mistralai/Mixtral-8x7B-v0.1', 46.7, 12.9],
    ['mistralai/Mixtral-8x22B-v0.1', 140.6, 39.1],
    ['deepseek-ai/DeepSeek-V3', 671, 37.6],
    ['deepseek-ai/DeepSeek-V2', 236, 21.4],
    ['Qwen/Qwen3-235B-A22B', 235.1, 22.2],
    ['Qwen/Qwen3-30B-A3B', 30.5, 3.35],
    ['openai/gpt-oss-120b', 116.8, 5.7],
    ['meta-llama/Llama-4-Maverick-17B-128E-Instruct', 400, 17.2],
    ['google/gemma-2-27b', 27.2, 27.2],
    ['google/gemma-7b', 8.54, 8.54],
    ['tiiuae/falcon-180B', 179.5, 179.5],
    ['bigscience/bloom-7b1', 7.07, 7.07],
    ['gpt2', 0.124, 0.124],
    ['Qwen/Qwen2.5-72B', 72.7, 72.7],
    ['allenai/OLMoE-1B-7B-0924', 6.92, 1.28],
  ])('%s has %d B, %d B active', (name, totalB, activeB) => {
    const p = known(name);
    expect(Math.abs(p.parameters / 1e9 / totalB - 1)).toBeLessThan(0.02);
    expect(Math.abs(p.activeParameters / 1e9 / activeB - 1)).toBeLessThan(0.03);
  });

  it('never has more active parameters than parameters', () => {
    for (const name of library.names) {
      const p = known(name);
      expect(p.activeParameters).toBeLessThanOrEqual(p.parameters);
      expect(p.parameters).toBeGreaterThan(1e7);
    }
  });
});

describe('the cache', () => {
  it('of Llama-2-7B at 4,096 tokens is 2,147,483,648 bytes', () => {
    expect(cacheBytes(known('meta-llama/Llama-2-7b-hf').cache, 4_096)).toBe(2_147_483_648);
  });

  it('of DeepSeek-V3 is one vector of 576 per token and layer', () => {
    const p = known('deepseek-ai/DeepSeek-V3');
    expect(p.attention).toBe('MLA');
    expect(growingBytesPerToken(p.cache)).toBe(70_272);
    expect(cacheBytes(p.cache, 1_000)).toBe(70_272_000);
  });

  it('counts key-value heads, not heads', () => {
    expect(known('meta-llama/Llama-3.1-70B')).toMatchObject({ attention: 'GQA', heads: 64, kvHeads: 8 });
    expect(growingBytesPerToken(known('meta-llama/Llama-3.1-70B').cache)).toBe(327_680);
    expect(known('tiiuae/falcon-7b')).toMatchObject({ attention: 'MQA', kvHeads: 1 });
    expect(known('meta-llama/Llama-2-7b-hf').attention).toBe('MHA');
  });

  it('of windowed layers stops growing at the window', () => {
    const p = known('google/gemma-3-27b');
    expect(p.cache).toEqual([
      { kind: 'full', layers: 10, elementsPerToken: 4_096 },
      { kind: 'window', layers: 52, elementsPerToken: 4_096, windowTokens: 1_024 },
    ]);
    const at = (tokens: number) => cacheBytes(p.cache, tokens);
    expect(at(20_000) - at(10_000)).toBe(10_000 * 10 * 4_096 * 2);
    expect(at(1_000)).toBe(1_000 * 62 * 4_096 * 2);
  });

  it('of state layers is the same however long the text is', () => {
    const p = known('Qwen/Qwen3-Next-80B-A3B-Instruct');
    expect(growingBytesPerToken(p.cache)).toBe(12 * 2 * 2 * 256 * 2);
    expect(p.cache.find((g) => g.kind === 'state')).toMatchObject({ layers: 36 });
  });

  it('agrees with the derived figure of every shipped row, but for families that the table counts differently', () => {
    // MiMo-V2 and Llama 4 keep a window in most layers, which the columns of the table do not show.
    const other = /^meta-llama\/Llama-4/;
    let compared = 0;
    for (const row of loadModelArchitectures()) {
      const found = library.find(row.model);
      if (row.derivedKvBytesPerToken === null || !isProfile(found) || other.test(row.model)) continue;
      expect([row.model, growingBytesPerToken(found.cache)]).toEqual([row.model, row.derivedKvBytesPerToken]);
      compared++;
    }
    expect(compared).toBeGreaterThan(85);
  });

  it('never shrinks with more tokens, and a narrower element never needs more', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...library.names),
        fc.integer({ min: 1, max: 200_000 }),
        fc.integer({ min: 0, max: 200_000 }),
        (name, tokens, more) => {
          const { cache } = known(name);
          expect(cacheBytes(cache, tokens + more)).toBeGreaterThanOrEqual(cacheBytes(cache, tokens));
          expect(cacheBytes(cache, tokens, 1)).toBeLessThanOrEqual(cacheBytes(cache, tokens, 2));
        },
      ),
    );
  });
});

describe('config.json', () => {
  it('takes the text part of a multimodal model, and says so', () => {
    const p = read({ model_type: 'llava', vision_config: { hidden_size: 1024 }, text_config: llama7b });
    expect(p.parameters).toBe(read(llama7b).parameters);
    expect(p.notes.join()).toContain('text_config');
  });

  it.each([
    // As published: whatever is as in the first model of the family is left out of the text part.
    [
      'gemma-3-4b',
      {
        model_type: 'gemma3',
        text_config: {
          model_type: 'gemma3_text',
          hidden_size: 2_560,
          intermediate_size: 10_240,
          num_hidden_layers: 34,
          sliding_window: 1_024,
        },
      },
      3.88,
      131_072,
    ],
    [
      'gemma-3-27b',
      {
        model_type: 'gemma3',
        text_config: {
          model_type: 'gemma3_text',
          hidden_size: 5_376,
          intermediate_size: 21_504,
          num_hidden_layers: 62,
          num_attention_heads: 32,
          num_key_value_heads: 16,
          head_dim: 128,
          sliding_window: 1_024,
        },
      },
      27.01,
      131_072,
    ],
    [
      'llava-1.5-7b',
      { model_type: 'llava', text_config: { model_type: 'llama', max_position_embeddings: 4_096, vocab_size: 32_064 } },
      6.74,
      4_096,
    ],
  ])('takes what the text part of %s leaves out as its family has it, and says so', (_name, config, billions, most) => {
    const p = read(config);
    expect([Number((p.parameters / 1e9).toFixed(2)), p.maxPositionTokens]).toEqual([billions, most]);
    expect(p.notes.join()).toContain('left out there');
  });

  it('reads the names that other families use for the same things', () => {
    const p = read({ model_type: 'gpt2', n_layer: 12, n_embd: 768, n_head: 12, vocab_size: 50257, n_positions: 1024 });
    expect(Math.round(p.parameters / 1e6)).toBe(124);
    expect(p.maxPositionTokens).toBe(1_024);
  });

  it('reads which layers keep what from each of the usual fields', () => {
    const full = (more: Record<string, unknown>) =>
      read({ ...llama7b, ...more })
        .cache.map((g) => `${g.kind}:${g.layers}`)
        .join(' ');
    expect(full({ layer_types: [...Array(8).fill('full_attention'), ...Array(24).fill('linear_attention')] })).toBe(
      'full:8 state:24',
    );
    expect(full({ model_type: 'mistral', sliding_window: 4096 })).toBe('window:32');
    expect(full({ model_type: 'mistral', sliding_window: null })).toBe('full:32');
    expect(full({ model_type: 'qwen2', sliding_window: 4096 })).toBe('full:32');
    expect(full({ model_type: 'qwen2', sliding_window: 4096, use_sliding_window: true })).toBe('window:32');
    // Qwen's first layers see everything: with 28 of 32 only four have a window, with as many as there are none has.
    const qwen = { model_type: 'qwen2', sliding_window: 4096, use_sliding_window: true };
    expect(full({ ...qwen, max_window_layers: 28 })).toBe('full:28 window:4');
    expect(full({ ...qwen, max_window_layers: 32 })).toBe('full:32');
    expect(full({ model_type: 'jamba', attn_layer_period: 8, attn_layer_offset: 4 })).toBe('full:4 state:28');
    expect(full({ model_type: 'qwen3_next', full_attention_interval: 4 })).toBe('full:8 state:24');
    expect(full({ hybrid_override_pattern: 'M*-E'.repeat(8) })).toBe('full:8 state:8');
    expect(full({ hybrid_layer_pattern: [0, ...Array(31).fill(1)], sliding_window: 128 })).toBe('full:1 window:31');
  });

  it('counts embeddings that the config around a text part says are tied once', () => {
    const untied = read({ text_config: llama7b }).parameters;
    const tied = read({ tie_word_embeddings: true, text_config: llama7b }).parameters;
    expect(untied - tied).toBe(32_000 * 4_096);
    const own = { ...llama7b, tie_word_embeddings: false };
    expect(read({ tie_word_embeddings: true, text_config: own }).parameters).toBe(untied);
  });

  it.each([
    [{ quant_method: 'fp8' }, 8],
    [{ quant_method: 'gptq', bits: 4 }, 4],
    [{ quant_method: 'awq' }, 4],
    [{ quant_method: 'mxfp4' }, 4],
    [{ quant_method: 'bitsandbytes', load_in_8bit: true }, 8],
    [undefined, 16],
  ])('reads the width of %j as %d bits', (quantization_config, bits) => {
    expect(read({ ...llama7b, quantization_config }).publishedBits).toBe(bits);
  });

  it.each([
    ['', 'is not JSON'],
    ['[]', 'must be a JSON object'],
  ])('refuses %j', (text, message) => {
    const answer = readModelConfig(text);
    expect(answer).toMatchObject({ ok: false, problems: [{ field: '' }] });
    expect(JSON.stringify(answer)).toContain(message);
  });

  it.each([
    [{ ...llama7b, num_hidden_layers: undefined }, 'num_hidden_layers'],
    [{ ...llama7b, hidden_size: -1 }, 'hidden_size'],
    [{ ...llama7b, num_attention_heads: 'many' }, 'num_attention_heads'],
    [{ ...llama7b, num_key_value_heads: 5 }, 'num_key_value_heads'],
    [{ ...llama7b, num_attention_heads: 31 }, 'head_dim'],
    [{ ...llama7b, num_local_experts: 8 }, 'num_experts_per_tok'],
    [{ ...llama7b, num_local_experts: 8, num_experts_per_tok: 9 }, 'num_experts_per_tok'],
    [{ ...llama7b, layer_types: ['full_attention'] }, 'layer_types'],
    [{ text_config: { ...llama7b, vocab_size: undefined } }, 'text_config.vocab_size'],
    [{ ...llama7b, model_type: 'nemotron-nas' }, 'block_configs'],
    // Its encoder and the attention between the two would be left out: half the weights of a T5.
    [{ ...llama7b, model_type: 't5', is_encoder_decoder: true }, 'is_encoder_decoder'],
  ])('names the field that is wrong (%#)', (config, field) => {
    const answer = readModelConfig(config);
    if (answer.ok) throw new Error('must be refused');
    expect(answer.problems.map((p) => p.field)).toContain(field);
  });

  it.each([
    [
      'moe_layers',
      { num_local_experts: 8, num_experts_per_tok: 2, moe_layers: Array.from({ length: 50_000 }, (_, i) => i) },
    ],
    ['full_attn_layers', { linear_attn_config: { full_attn_layers: Array.from({ length: 50_000 }, (_, i) => i) } }],
  ])('refuses %s that is longer than the layers', (field, over) => {
    const read = readModelConfig({ ...llama7b, ...over });
    expect(read.ok ? [] : read.problems.map((p) => p.field)).toContain(field);
  });

  it('never throws, whatever it is given', () => {
    fc.assert(
      fc.property(
        fc.record({ ...Object.fromEntries(Object.keys(llama7b).map((k) => [k, fc.anything()])) }),
        (config) => {
          expect(typeof readModelConfig(config).ok).toBe('boolean');
        },
      ),
    );
  });
});

describe('names', () => {
  it.each([
    ['meta-llama/Llama-3.1-70B', 'GQA', 16],
    ['meta-llama/Meta-Llama-3.1-70B-Instruct', 'GQA', 16],
    ['llama3.1:70b', 'GQA', 16],
    ['neuralmagic/Meta-Llama-3.1-70B-Instruct-FP8', 'GQA', 8],
    ['Qwen/Qwen2.5-72B-Instruct-AWQ', 'GQA', 4],
    ['qwen3-235b-a22b-instruct-2507', 'GQA', 16],
    ['deepseek-v3', 'MLA', 8],
  ])('finds %s', (name, attention, bits) => {
    expect(known(name)).toMatchObject({ attention, publishedBits: bits });
  });

  it('names the nearest for one that it does not know', () => {
    const found = library.find('meta-lama/Lama-3.1-70');
    expect(isProfile(found)).toBe(false);
    if (!isProfile(found)) expect(found.nearest[0]).toBe('meta-llama/Meta-Llama-3.1-70B');
    const nothing = library.find('zzz');
    if (!isProfile(nothing)) expect(nothing.nearest).toEqual([]);
  });

  it('says what is missing where the shipped config is incomplete', () => {
    const found = library.find('moonshotai/Kimi-K3');
    if (isProfile(found)) throw new Error('must be incomplete');
    expect(found.incomplete).toContain('num_experts_per_tok');
  });
});

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from '#kernel';
import { writeFileDurably } from '../durable-file.js';
import { writeGguf, type GgufTensor, type GgufValue } from './gguf-writer.js';

export const TINY_MODEL = 'tiny-llama-seeded';

/** Sizes of the stand-in model: small enough to make in a blink, a true llama graph all the same. */
const EMBEDDING = 64;
const FEED_FORWARD = 128;
const BLOCKS = 2;
const HEADS = 4;
const CONTEXT = 2_048;

// Token kinds of the GGUF vocabulary.
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const BYTE = 6;

/** ChatML: the template most chat clients know. */
const CHAT_TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

interface Piece {
  readonly text: string;
  readonly kind: number;
}

/** Every byte, so that any text has tokens; and syllables, so that the noise can be read aloud. */
function vocabulary(): Piece[] {
  const pieces: Piece[] = [
    { text: '<unk>', kind: UNKNOWN },
    { text: '<s>', kind: CONTROL },
    { text: '</s>', kind: CONTROL },
  ];
  for (let byte = 0; byte < 256; byte++) {
    pieces.push({ text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, kind: BYTE });
  }
  pieces.push(
    { text: '<|im_start|>', kind: CONTROL },
    { text: '<|im_end|>', kind: CONTROL },
    { text: '▁', kind: NORMAL },
  );
  for (const start of ['▁', '']) {
    for (const consonant of 'bdfghjklmnprstvwyz') {
      for (const vowel of 'aeiou') pieces.push({ text: start + consonant + vowel, kind: NORMAL });
    }
  }
  return pieces;
}

/**
 * A llama-architecture model with random weights, the same bytes for the same seed. It answers noise: it stands in where
 * tokens, counts, limits and cancellation matter and meaning does not.
 */
export function tinyLlama(seed: number): Buffer {
  const random = new SeededRandom(seed);
  const pieces = vocabulary();
  const end = pieces.findIndex((piece) => piece.text === '<|im_end|>');
  const metadata: Record<string, GgufValue> = {
    'general.architecture': { type: 'string', value: 'llama' },
    'general.name': { type: 'string', value: TINY_MODEL },
    'general.license': { type: 'string', value: 'apache-2.0' },
    'llama.context_length': { type: 'u32', value: CONTEXT },
    'llama.embedding_length': { type: 'u32', value: EMBEDDING },
    'llama.block_count': { type: 'u32', value: BLOCKS },
    'llama.feed_forward_length': { type: 'u32', value: FEED_FORWARD },
    'llama.attention.head_count': { type: 'u32', value: HEADS },
    'llama.attention.head_count_kv': { type: 'u32', value: HEADS },
    'llama.attention.layer_norm_rms_epsilon': { type: 'f32', value: 1e-5 },
    'llama.rope.dimension_count': { type: 'u32', value: EMBEDDING / HEADS },
    'llama.vocab_size': { type: 'u32', value: pieces.length },
    'tokenizer.ggml.model': { type: 'string', value: 'llama' },
    'tokenizer.ggml.tokens': { type: 'strings', value: pieces.map((piece) => piece.text) },
    // Longer pieces win merges; the score only has to order them.
    'tokenizer.ggml.scores': {
      type: 'f32s',
      value: pieces.map((piece) => (piece.kind === NORMAL ? [...piece.text].length : 0)),
    },
    'tokenizer.ggml.token_type': { type: 'i32s', value: pieces.map((piece) => piece.kind) },
    'tokenizer.ggml.unknown_token_id': { type: 'u32', value: 0 },
    'tokenizer.ggml.bos_token_id': { type: 'u32', value: 1 },
    'tokenizer.ggml.eos_token_id': { type: 'u32', value: end },
    'tokenizer.ggml.add_bos_token': { type: 'bool', value: true },
    'tokenizer.ggml.add_space_prefix': { type: 'bool', value: false },
    'tokenizer.chat_template': { type: 'string', value: CHAT_TEMPLATE },
  };

  const matrix = (
    name: string,
    columns: number,
    rows: number,
    keepRow: (row: number) => boolean = () => true,
  ): GgufTensor => {
    // Scaled by the width of the input, so that activations keep their size through the blocks.
    const scale = Math.sqrt(3 / columns);
    const values = new Float32Array(columns * rows);
    for (let i = 0; i < values.length; i++) {
      const value = (random.float() * 2 - 1) * scale;
      if (keepRow(Math.floor(i / columns))) values[i] = value;
    }
    return { name, shape: [columns, rows], format: 'f16', values };
  };
  const norm = (name: string): GgufTensor => ({
    name,
    shape: [EMBEDDING],
    format: 'f32',
    values: new Float32Array(EMBEDDING).fill(1),
  });

  const tensors: GgufTensor[] = [matrix('token_embd.weight', EMBEDDING, pieces.length)];
  for (let block = 0; block < BLOCKS; block++) {
    const at = (part: string): string => `blk.${block}.${part}.weight`;
    tensors.push(
      norm(at('attn_norm')),
      matrix(at('attn_q'), EMBEDDING, EMBEDDING),
      matrix(at('attn_k'), EMBEDDING, EMBEDDING),
      matrix(at('attn_v'), EMBEDDING, EMBEDDING),
      matrix(at('attn_output'), EMBEDDING, EMBEDDING),
      norm(at('ffn_norm')),
      matrix(at('ffn_gate'), EMBEDDING, FEED_FORWARD),
      matrix(at('ffn_up'), EMBEDDING, FEED_FORWARD),
      matrix(at('ffn_down'), FEED_FORWARD, EMBEDDING),
    );
  }
  tensors.push(norm('output_norm.weight'));
  // Only readable pieces get a say in the output: the logits of bytes and control tokens stay 0, beneath the best piece.
  tensors.push(matrix('output.weight', EMBEDDING, pieces.length, (row) => pieces[row]?.kind === NORMAL));
  return writeGguf(metadata, tensors);
}

/** Path of the stand-in model in `dir`, written first if it is missing. */
export async function ensureTinyGguf(dir: string, seed = 1): Promise<string> {
  const path = join(dir, `${TINY_MODEL}-${seed}.gguf`);
  if (!existsSync(path)) await writeFileDurably(path, tinyLlama(seed));
  return path;
}

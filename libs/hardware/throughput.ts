import type { Accelerator } from './accelerator.js';
import { publishedThroughput } from './published-throughput.js';
import { BYTES_PER_GIB, weightsBytes } from './sizing.js';

export type ServingEngine = 'tensorrt-llm' | 'vllm' | 'deepspeed-mii' | 'llama.cpp';

export interface ServedModel {
  readonly parametersB: number;
  readonly bytesPerParameter: number;
  /** Parameters one token passes through; less than all for mixtures of experts. */
  readonly activeParametersB?: number;
  /** Where unknown, the Llama family's proportions for that size are taken. */
  readonly layers?: number;
  readonly hiddenSize?: number;
  readonly kvBytesPerToken?: number;
}

export interface ThroughputQuery {
  readonly model: ServedModel;
  readonly accelerator: Accelerator;
  /** GPUs of one replica, tensor parallel; vCPUs for `CPU`. */
  readonly gpus: number;
  readonly batch: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly engine?: ServingEngine;
  /** Default true: a published measurement of the same thing goes before the formula. */
  readonly usePublished?: boolean;
}

export interface Throughput {
  /** Prompt and answer tokens together, whole replica. */
  readonly tokensPerS: number;
  readonly prefillS: number;
  readonly decodeStepS: number;
  /** How many times over the batch exceeds what its cache lets run at once; finished sequences make room one by one, so a fraction is fine. */
  readonly waves: number;
  readonly source: 'published' | 'roofline';
  readonly sourceNote: string;
  /** 0..1. */
  readonly confidence: number;
}

/** Seconds of framework work per decode step, read off published runs once and not fitted per row. */
const stepS: Record<ServingEngine, number> = {
  'tensorrt-llm': 0.001,
  vllm: 0.003,
  'deepspeed-mii': 0.004,
  'llama.cpp': 0,
};
/** Shares of peak that serving engines reach: model FLOPS utilization, and bandwidth utilization while decoding. */
const MFU = 0.5;
const MBU = 0.7;
/** Share of memory an engine gives to weights and cache together. */
const USABLE_MEMORY = 0.9;
/** Latency of one all-reduce hop. */
const HOP_S = 10e-6;
/** A server's memory channels saturate: more vCPUs add no bandwidth beyond this, GB/s. */
const CPU_SOCKET_GBPS = 300;

interface Shape {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly kvBytesPerToken: number;
  readonly assumed: boolean;
}

/** Llama proportions: 32 layers of 4,096 at 7B, 80 of 8,192 at 70B; layers grow as parameters^0.4, 8 kv heads of 128. */
function shapeOf(m: ServedModel): Shape {
  const layers = m.layers ?? Math.max(4, Math.round(32 * (m.parametersB / 7) ** 0.4));
  const hiddenSize =
    m.hiddenSize ?? Math.max(256, Math.round(Math.sqrt((m.parametersB * 1e9) / (12 * layers)) / 128) * 128);
  const kvBytes = m.kvBytesPerToken ?? 2 * 8 * 128 * layers * 2;
  const assumed = m.layers === undefined || m.hiddenSize === undefined || m.kvBytesPerToken === undefined;
  return { layers, hiddenSize, kvBytesPerToken: kvBytes, assumed };
}

/**
 * Roofline plus framework mechanics: prefill bound by FLOPS, a decode step by the bytes it must read, tensor parallelism
 * by two all-reduces per layer, batches beyond the cache by waiting. Errors against 1,201 published runs of NVIDIA serving
 * engines are checked in `throughput-accuracy.spec.ts`; other makers' software reaches far less of its peak, hence the
 * low confidence there.
 * Null when the weights and one sequence do not fit.
 */
export function throughput(q: ThroughputQuery): Throughput | null {
  const { model, accelerator: a } = q;
  if (q.usePublished !== false && q.outputTokens > 0 && between(q.inputTokens / q.outputTokens, 0.5, 2)) {
    const p = publishedThroughput(model.parametersB, model.bytesPerParameter, a.name, q.gpus);
    if (p)
      return {
        tokensPerS: p.tokensPerS,
        prefillS: 0,
        decodeStepS: 0,
        waves: 1,
        source: 'published',
        sourceNote: p.source,
        confidence: 0.85,
      };
  }
  return a.vendor === 'cpu' || q.engine === 'llama.cpp' ? singleStream(q) : batched(q);
}

const between = (x: number, low: number, high: number): boolean => x >= low && x <= high;

function batched(q: ThroughputQuery): Throughput | null {
  const { model, accelerator: a, gpus, batch } = q;
  const shape = shapeOf(model);
  const weights = weightsBytes(model.parametersB, model.bytesPerParameter);
  const active = (model.activeParametersB ?? model.parametersB) * 1e9;
  const freeBytes = USABLE_MEMORY * gpus * a.vramGiB * BYTES_PER_GIB - weights;
  const perSequence = shape.kvBytesPerToken * (q.inputTokens + q.outputTokens);
  const atOnce = Math.floor(freeBytes / perSequence);
  if (freeBytes <= 0 || atOnce < 1) return null;
  const waves = Math.max(1, batch / atOnce);
  const running = Math.min(batch, atOnce);

  // FP8 weights use the FP8 units where there are any; narrower ones are widened first and gain only bandwidth.
  const tflops = model.bytesPerParameter === 1 && a.fp8Tflops !== null ? a.fp8Tflops : a.fp16Tflops;
  const flops = gpus * tflops * 1e12 * MFU;
  const bytesPerS = gpus * a.memoryGBps * 1e9 * MBU;
  const commS = (tokens: number): number => allReduceS(tokens, shape, a, gpus);
  // Of a mixture of experts a step touches what its tokens chose: all of it from a few dozen tokens on.
  const activeShare = active / (model.parametersB * 1e9);
  const touched = weights * (1 - (1 - activeShare) ** running);

  const prefillS =
    (2 * active * running * q.inputTokens) / flops + weights / bytesPerS + commS(running * q.inputTokens);
  const cacheBytes = running * shape.kvBytesPerToken * (q.inputTokens + q.outputTokens / 2);
  const decodeStepS =
    Math.max((touched + cacheBytes) / bytesPerS, (2 * active * running) / flops) +
    commS(running) +
    stepS[q.engine ?? 'vllm'];
  const seconds = waves * (prefillS + q.outputTokens * decodeStepS);
  return {
    tokensPerS: (batch * (q.inputTokens + q.outputTokens)) / seconds,
    prefillS,
    decodeStepS,
    waves,
    source: 'roofline',
    sourceNote: shape.assumed ? 'roofline; layers, width and cache assumed from the size' : 'roofline',
    confidence: (a.vendor === 'nvidia' ? 0.7 : 0.25) * (shape.assumed ? 0.8 : 1),
  };
}

/** Two ring all-reduces of the hidden state per layer, at the one-way link rate, plus the hops. */
function allReduceS(tokens: number, shape: Shape, a: Accelerator, gpus: number): number {
  if (gpus <= 1) return 0;
  const oneWay = Math.max(1, a.linkGBps / 2) * 1e9;
  const bytes = ((2 * (gpus - 1)) / gpus) * tokens * shape.hiddenSize * 2;
  return shape.layers * 2 * (bytes / oneWay + (gpus - 1) * HOP_S);
}

/** llama.cpp and CPUs: neither batch nor more GPUs help; half the bandwidth, a third of the FLOPS, 150 us per layer. */
function singleStream(q: ThroughputQuery): Throughput | null {
  const { model, accelerator: a } = q;
  const shape = shapeOf(model);
  const isCpu = a.vendor === 'cpu';
  const weights = weightsBytes(model.parametersB, model.bytesPerParameter);
  if (!isCpu && weights > USABLE_MEMORY * q.gpus * a.vramGiB * BYTES_PER_GIB) return null;
  const active = (model.activeParametersB ?? model.parametersB) * 1e9;
  const flops = (isCpu ? q.gpus : 1) * a.fp16Tflops * 1e12 * 0.3;
  const bytesPerS = (isCpu ? Math.min(CPU_SOCKET_GBPS, q.gpus * a.memoryGBps) : a.memoryGBps) * 1e9 * 0.5;
  const activeBytes = active * model.bytesPerParameter;
  const layerS = isCpu ? 0 : shape.layers * 150e-6;
  const prefillS = (2 * active * q.inputTokens) / flops + activeBytes / bytesPerS + layerS;
  const decodeStepS = Math.max(activeBytes / bytesPerS, (2 * active) / flops) + layerS;
  const seconds = prefillS + q.outputTokens * decodeStepS;
  return {
    tokensPerS: (q.inputTokens + q.outputTokens) / seconds,
    prefillS,
    decodeStepS,
    waves: q.batch,
    source: 'roofline',
    sourceNote: 'single stream',
    confidence: 0.3,
  };
}

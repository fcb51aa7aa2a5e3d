import { BYTES_PER_GIB, weightsBytes } from '../sizing.js';
import type { EngineMechanics } from './engines.js';
import type { ServedModel, ServingCard, ServingQuery } from './query.js';

/** Share of memory an engine gives to weights and cache together. */
const USABLE_MEMORY = 0.9;
/** Latency of one all-reduce hop. */
const HOP_S = 10e-6;
/** A server's memory channels saturate: more vCPUs add no bandwidth beyond this, GB/s. */
const CPU_SOCKET_GBPS = 300;

/** What the formula says of one replica under a closed load of `batch` requests. */
export interface Mechanics {
  /** Prompt and answer tokens together. */
  readonly tokensPerS: number;
  /** Prefill of all requests that run at once. */
  readonly prefillS: number;
  /** Prefill of one request by itself. */
  readonly onePrefillS: number;
  readonly decodeStepS: number;
  /** Requests that run at once. */
  readonly running: number;
  /** How many times over the batch exceeds what its cache lets run at once; finished sequences make room one by one, so a fraction is fine. */
  readonly waves: number;
  /** Layers, width or cache were taken from the usual proportions of that size. */
  readonly assumed: boolean;
}

interface Shape {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly kvBytesPerToken: number;
  readonly assumed: boolean;
}

/** Llama proportions: 32 layers of 4,096 at 7B, 80 of 8,192 at 70B; layers grow as parameters^0.4, 8 kv heads of 128. */
export function shapeOf(m: ServedModel): Shape {
  const layers = m.layers ?? Math.max(4, Math.round(32 * (m.parametersB / 7) ** 0.4));
  const hiddenSize =
    m.hiddenSize ?? Math.max(256, Math.round(Math.sqrt((m.parametersB * 1e9) / (12 * layers)) / 128) * 128);
  const kvBytesPerToken = m.kvBytesPerToken ?? 2 * 8 * 128 * layers * 2;
  const assumed = m.layers === undefined || m.hiddenSize === undefined || m.kvBytesPerToken === undefined;
  return { layers, hiddenSize, kvBytesPerToken, assumed };
}

type Demand = Pick<ServingQuery, 'model' | 'accelerator' | 'gpus' | 'batch' | 'inputTokens' | 'outputTokens'>;

/**
 * Roofline plus framework mechanics: prefill bound by FLOPS, a decode step by the bytes it must read, tensor parallelism
 * by two all-reduces per layer, batches beyond the cache by waiting. Null when the weights and one sequence do not fit.
 */
export function mechanics(q: Demand, engine: EngineMechanics): Mechanics | null {
  return q.accelerator.vendor === 'cpu' || !engine.batches ? singleStream(q, engine) : batched(q, engine);
}

function batched(q: Demand, engine: EngineMechanics): Mechanics | null {
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
  const flops = gpus * tflops * 1e12 * engine.mfu;
  const bytesPerS = gpus * a.memoryGBps * 1e9 * engine.mbu;
  const commS = (tokens: number): number => allReduceS(tokens, shape, a, gpus);
  // Of a mixture of experts a step touches what its tokens chose: all of it from a few dozen tokens on.
  const activeShare = active / (model.parametersB * 1e9);
  const touched = weights * (1 - (1 - activeShare) ** running);

  const prefill = (sequences: number): number =>
    (2 * active * sequences * q.inputTokens) / flops + weights / bytesPerS + commS(sequences * q.inputTokens);
  const prefillS = prefill(running);
  const cacheBytes = running * shape.kvBytesPerToken * (q.inputTokens + q.outputTokens / 2);
  const decodeStepS =
    Math.max((touched + cacheBytes) / bytesPerS, (2 * active * running) / flops) +
    commS(running) +
    engine.stepS +
    shape.layers * engine.layerS;
  const seconds = waves * (prefillS + q.outputTokens * decodeStepS);
  return {
    tokensPerS: (batch * (q.inputTokens + q.outputTokens)) / seconds,
    prefillS,
    onePrefillS: prefill(1),
    decodeStepS,
    running,
    waves,
    assumed: shape.assumed,
  };
}

/** Two ring all-reduces of the hidden state per layer, at the one-way link rate, plus the hops. */
function allReduceS(tokens: number, shape: Shape, a: ServingCard, gpus: number): number {
  if (gpus <= 1) return 0;
  const oneWay = Math.max(1, a.linkGBps / 2) * 1e9;
  const bytes = ((2 * (gpus - 1)) / gpus) * tokens * shape.hiddenSize * 2;
  return shape.layers * 2 * (bytes / oneWay + (gpus - 1) * HOP_S);
}

/** llama.cpp and CPUs: neither batch nor more GPUs help; half the bandwidth, a third of the FLOPS, 150 us per layer. */
function singleStream(q: Demand, engine: EngineMechanics): Mechanics | null {
  const { model, accelerator: a } = q;
  const shape = shapeOf(model);
  const isCpu = a.vendor === 'cpu';
  const weights = weightsBytes(model.parametersB, model.bytesPerParameter);
  if (!isCpu && weights > USABLE_MEMORY * q.gpus * a.vramGiB * BYTES_PER_GIB) return null;
  const active = (model.activeParametersB ?? model.parametersB) * 1e9;
  const flops = (isCpu ? q.gpus : 1) * a.fp16Tflops * 1e12 * (isCpu ? 0.3 : engine.mfu);
  const bytesPerS =
    (isCpu ? Math.min(CPU_SOCKET_GBPS, q.gpus * a.memoryGBps) : a.memoryGBps) * 1e9 * (isCpu ? 0.5 : engine.mbu);
  const activeBytes = active * model.bytesPerParameter;
  const layerS = isCpu ? 0 : engine.stepS + shape.layers * engine.layerS;
  const prefillS = (2 * active * q.inputTokens) / flops + activeBytes / bytesPerS + layerS;
  const decodeStepS = Math.max(activeBytes / bytesPerS, (2 * active) / flops) + layerS;
  const seconds = prefillS + q.outputTokens * decodeStepS;
  return {
    tokensPerS: (q.inputTokens + q.outputTokens) / seconds,
    prefillS,
    onePrefillS: prefillS,
    decodeStepS,
    running: 1,
    waves: q.batch,
    assumed: shape.assumed,
  };
}

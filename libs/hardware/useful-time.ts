import type { Accelerator } from './accelerator.js';
import { accelerator } from './accelerators.js';
import { normalizeAccelerator } from './names.js';
import { hasFastLink, vramBudget, weightsBytes } from './sizing.js';
import type { MeasuredSpeed } from './serving/query.js';
import { throughput, type ServedModel } from './throughput.js';

/** How much there is to do; the shape of a workload's `work`. */
export type Work =
  | { readonly kind: 'gpu-hours'; readonly hours: number; readonly reference: string }
  | { readonly kind: 'wall-hours'; readonly hours: number }
  | {
      readonly kind: 'tokens';
      readonly inputTokens: number;
      readonly outputTokens: number;
      readonly parametersB: number;
      readonly bytesPerParameter: number;
    };

/** Batch and sequence length that token work is assumed to run with, and speeds are learned for: offline batches of usual requests. */
export const usualLoad = { batch: 64, tokens: 1_024 } as const;
const { batch: BATCH, tokens: SEQUENCE_TOKENS } = usualLoad;
/** Share of speed kept with each doubling of the accelerators of one machine: a working assumption, not a measurement. */
const KEPT_PER_DOUBLING = { fast: 0.97, slow: 0.9 };
const DEFAULT_VCPUS = 1;
/** Runs that a prediction is worth beside what was measured: a few runs move it, many replace it. */
const PRIOR_RUNS = 4;

/**
 * Speed as one number: the geometric mean of dense FP16 TFLOPS and memory GB/s, since training and prefill follow the
 * first and decoding the second. A stand-in until the work itself has been measured.
 */
function speed(a: Accelerator): number {
  return Math.sqrt(a.fp16Tflops * a.memoryGBps);
}

/** A speed of whole machines that Berth saw itself, by what was served on what; undefined = never seen. */
export type MeasuredMachines = (of: {
  readonly accelerator: string;
  /** How many the machine has; vCPUs for `CPU`. */
  readonly units: number;
  readonly parametersB: number;
  readonly bytesPerParameter: number;
}) => MeasuredSpeed | undefined;

function find(name: string): Accelerator | undefined {
  return accelerator(name) ?? accelerator(normalizeAccelerator(name) ?? '');
}

/** How many times faster one `acceleratorName` is than one `referenceName`; null when either is unknown. */
export function relativeSpeed(acceleratorName: string, referenceName: string): number | null {
  const a = find(acceleratorName);
  const reference = find(referenceName);
  return a && reference ? speed(a) / speed(reference) : null;
}

/** Share of the summed speed that `count` accelerators of one machine keep. */
export function scalingEfficiency(a: Pick<Accelerator, 'link'>, count: number): number {
  if (count <= 1) return 1;
  return (hasFastLink(a) ? KEPT_PER_DOUBLING.fast : KEPT_PER_DOUBLING.slow) ** Math.log2(count);
}

/**
 * Seconds of useful work on one machine with `count` of that accelerator (below 1 = a fraction; 0 = a CPU machine with
 * `vcpus`), without boots, restarts or waiting; what Berth measured itself pulls the prediction towards it, the more runs the further. Null when it cannot be done there or the accelerator is unknown.
 */
export function usefulSeconds(
  work: Work,
  acceleratorName: string,
  count: number,
  vcpus: number | null = null,
  measured?: MeasuredMachines,
): number | null {
  if (work.kind === 'wall-hours') return work.hours * 3_600;
  const a = find(acceleratorName);
  if (!a) return null;
  const onCpu = a.vendor === 'cpu';
  const units = onCpu ? (vcpus ?? DEFAULT_VCPUS) : count;
  if (units <= 0) return null;
  if (work.kind === 'gpu-hours') {
    const relative = relativeSpeed(a.name, work.reference);
    if (relative === null) return null;
    return (work.hours * 3_600) / (relative * units * (onCpu ? 1 : scalingEfficiency(a, units)));
  }
  const { parametersB, bytesPerParameter } = work;
  const own = measured?.({ accelerator: a.name, units, parametersB, bytesPerParameter });
  const predicted = machineTokensPerS(work, a, units);
  const tokensPerS =
    own && predicted !== null ? shrunkSpeed(own, predicted).tokensPerS : (own?.tokensPerS ?? predicted);
  const tokens = work.inputTokens + work.outputTokens;
  if (tokens === 0) return 0;
  return tokensPerS === null ? null : tokens / tokensPerS;
}

/** The mean of the logarithms of what was measured and what is predicted, by the runs that each is worth; `weight` is that of what was measured. */
export function shrunkSpeed(own: MeasuredSpeed, predictedPerS: number): { tokensPerS: number; weight: number } {
  const weight = own.samples / (own.samples + PRIOR_RUNS);
  return { tokensPerS: predictedPerS * (own.tokensPerS / predictedPerS) ** weight, weight };
}

/** Predictions that were made, by everything they depend on; a prediction takes tens of microseconds, a ranking asks for hundreds. */
const predictions = new Map<string, number | null>();
const MOST_PREDICTED = 20_000;

/** Tokens/s of as many replicas as the machine holds, each on the fewest GPUs that fit. */
function machineTokensPerS(work: Extract<Work, { kind: 'tokens' }>, a: Accelerator, units: number): number | null {
  const total = work.inputTokens + work.outputTokens;
  const inputTokens = total > 0 ? Math.round((SEQUENCE_TOKENS * work.inputTokens) / total) : SEQUENCE_TOKENS;
  const key = `${a.name}|${units}|${work.parametersB}|${work.bytesPerParameter}|${inputTokens}`;
  const known = predictions.get(key);
  if (known !== undefined) return known;
  if (predictions.size >= MOST_PREDICTED) predictions.clear();
  const tokensPerS = predictTokensPerS(work, a, units, inputTokens);
  predictions.set(key, tokensPerS);
  return tokensPerS;
}

function predictTokensPerS(
  work: Extract<Work, { kind: 'tokens' }>,
  a: Accelerator,
  units: number,
  inputTokens: number,
): number | null {
  const model: ServedModel = { parametersB: work.parametersB, bytesPerParameter: work.bytesPerParameter };
  const query = { model, batch: BATCH, inputTokens, outputTokens: SEQUENCE_TOKENS - inputTokens };
  if (a.vendor === 'cpu') return throughput({ ...query, accelerator: a, gpus: units })?.tokensPerS ?? null;
  if (units < 1) {
    // A slice has its share of everything, and no neighbour to lean on.
    const slice = {
      ...a,
      name: '',
      vramGiB: a.vramGiB * units,
      memoryGBps: a.memoryGBps * units,
      fp16Tflops: a.fp16Tflops * units,
      fp8Tflops: a.fp8Tflops === null ? null : a.fp8Tflops * units,
    };
    return fits(work, slice, 1) ? (throughput({ ...query, accelerator: slice, gpus: 1 })?.tokensPerS ?? null) : null;
  }
  let smallest: number | null = null;
  for (let gpus = 1; gpus <= units; gpus *= 2) {
    const one = fits(work, a, gpus) ? throughput({ ...query, accelerator: a, gpus }) : null;
    if (!one) continue;
    const tokensPerS = one.tokensPerS * Math.floor(units / gpus);
    // A measurement of some split of the machine goes before the formula for the smallest.
    if (one.source === 'published') return tokensPerS;
    smallest ??= tokensPerS;
  }
  return smallest;
}

function fits(work: Extract<Work, { kind: 'tokens' }>, a: Accelerator, gpus: number): boolean {
  // A slice or an old 8 GB card runs small models with a lean runtime: overhead is at most an eighth of its memory.
  const overheadGB = Math.min(3, a.vramGiB / 8);
  return vramBudget(a.vramGiB, gpus, {
    weightsBytes: weightsBytes(work.parametersB, work.bytesPerParameter),
    kvBytesPerToken: 0,
    tokensPerSequence: 1,
    overheadGB,
    activationsGB: overheadGB / 2,
  }).fits;
}

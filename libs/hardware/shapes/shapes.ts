import type { Accelerator } from '../accelerator.js';
import type { ModelProfile } from '../models/profile.js';
import { hasFastLink } from '../sizing.js';
import type { MeasuredMachines } from '../useful-time.js';
import { chooseBatch, MAX_BATCH, speedWith, type LatencyTarget, type ReplicaCase } from './evaluate.js';
import type { Factors } from './factors.js';
import { gib, replicaMemory, splitRefused, type ReplicaMemory, type Split } from './memory.js';
import { storedOnly, widthRefused, type Precision } from './precision.js';
import type { ServingSpeed } from './serving.js';

/** How much is to be served. */
export type Load =
  /** Requests under way at once; null = as many as a replica holds within the target. */
  | { readonly kind: 'concurrency'; readonly requests: number | null }
  /** Arrivals: replicas are for the peak, kept below `utilization` of what they can do. */
  | { readonly kind: 'rate'; readonly meanPerS: number; readonly peakPerS: number; readonly utilization: number }
  /** A batch of tokens, done when it is done or within some hours. */
  | {
      readonly kind: 'volume';
      readonly inputTokens: number;
      readonly outputTokens: number;
      readonly withinHours: number | null;
    };

export interface SizingQuery {
  readonly model: ModelProfile;
  /** Longest sequence that must fit, prompt and answer. */
  readonly contextTokens: number;
  /** Usual prompt and answer: what the speed is predicted for. */
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly load: Load;
  readonly precisions: readonly Precision[];
  /** 2, or 1 for a cache in 8 bits. */
  readonly cacheBytesPerElement: number;
  readonly latency: LatencyTarget;
  readonly factors: Factors;
  /** Most GPUs of one machine, and most machines of one replica. */
  readonly gpusPerMachine: number;
  readonly machinesPerReplica: number;
  /** What Berth's own leases were seen to do; goes before what others published. */
  readonly measured?: MeasuredMachines;
}

/** GPU model x count x split x precision, with what it holds and does. */
export interface Shape {
  readonly accelerator: Accelerator;
  readonly precision: Precision;
  readonly split: Split;
  readonly gpus: number;
  readonly memory: ReplicaMemory;
  /** Requests that run at once in one replica here. */
  readonly batch: number;
  readonly limitedBy: 'load' | 'memory' | 'latency' | 'engine';
  readonly replicas: number;
  readonly speed: ServingSpeed;
  readonly meetsLatency: boolean;
  readonly notes: readonly string[];
}

/** A shape that cannot be: by how much memory, or why else. */
export interface Miss {
  readonly accelerator: Accelerator;
  readonly precision: Precision;
  readonly split: Split;
  readonly missingGiB: number | null;
  readonly reason: string;
}

/** More machines than the world has: a load beyond it is a slip, and its numbers would mean nothing. */
const MOST_REPLICAS = 10_000_000;

export interface FoundShapes {
  readonly shapes: readonly Shape[];
  readonly misses: readonly Miss[];
}

/** Shapes of one accelerator: for each precision every split that fits, and of those that do not the one that lacks least. */
export function shapesOf(q: SizingQuery, a: Accelerator): FoundShapes {
  const steps = shapesStepwise(q, a);
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
}

/** The same, yielding after each split that was looked at: one takes a millisecond or several. */
export function* shapesStepwise(q: SizingQuery, a: Accelerator): Generator<void, FoundShapes> {
  const shapes: Shape[] = [];
  const misses: Miss[] = [];
  for (const precision of q.precisions) {
    const refused = widthRefused(a, precision);
    if (refused !== null) {
      misses.push({ accelerator: a, precision, split: { tensor: 1, pipeline: 1 }, missingGiB: null, reason: refused });
      continue;
    }
    const found: Shape[] = [];
    let nearest: Miss | null = null;
    for (const split of splits(q)) {
      // Stages only where the layers do not fit into one machine's link domain: they add time to every token.
      if (split.pipeline > 1 && found.some((s) => s.split.tensor >= split.tensor || s.split.pipeline < split.pipeline))
        continue;
      const one = shapeOf(q, a, precision, split);
      yield;
      if ('speed' in one) found.push(one);
      else if (nearest === null || (one.missingGiB ?? Infinity) < (nearest.missingGiB ?? Infinity)) nearest = one;
    }
    shapes.push(...found);
    if (nearest !== null && (found.length === 0 || nearest.missingGiB !== null)) misses.push(nearest);
  }
  return { shapes, misses };
}

/** Splits to try, smallest first. */
function splits(q: SizingQuery): Split[] {
  const tensors: number[] = [];
  for (let tensor = 1; tensor <= q.gpusPerMachine; tensor *= 2) tensors.push(tensor);
  const all = tensors.map((tensor) => ({ tensor, pipeline: 1 }));
  const most = q.gpusPerMachine * q.machinesPerReplica;
  for (let gpus = 2; gpus <= most; gpus++) {
    // Whole machines, or part of one.
    if (gpus > q.gpusPerMachine && gpus % q.gpusPerMachine !== 0) continue;
    for (const tensor of [...tensors].reverse())
      if (gpus % tensor === 0 && gpus > tensor) all.push({ tensor, pipeline: gpus / tensor });
  }
  return all;
}

/** One shape in full, or why it cannot be. */
export function shapeOf(q: SizingQuery, a: Accelerator, precision: Precision, split: Split): Shape | Miss {
  const uneven = splitRefused(q.model, split);
  if (uneven !== null) return { accelerator: a, precision, split, missingGiB: null, reason: uneven };
  const memoryAt = (tokens: number): ReplicaMemory =>
    replicaMemory(q.model, precision, a.vramGiB, split, tokens, q.cacheBytesPerElement);
  const longest = memoryAt(q.contextTokens);
  const gpus = split.tensor * split.pipeline;
  if (longest.missingBytes > 0) {
    const missingGiB = gib(longest.missingBytes);
    return {
      accelerator: a,
      precision,
      split,
      missingGiB,
      reason: `${missingGiB.toFixed(1)} GiB more needed on ${gpus} x ${a.name} for the weights and one sequence`,
    };
  }
  // Lengths of a trace are mixed: the longest must fit, and as many as fit at their mean run together.
  const memory = q.load.kind === 'rate' ? memoryAt(Math.ceil(q.inputTokens + q.outputTokens)) : longest;
  const c: ReplicaCase = {
    model: q.model,
    accelerator: a,
    split,
    precision,
    inputTokens: q.inputTokens,
    outputTokens: q.outputTokens,
    sequenceTokens: q.inputTokens + q.outputTokens,
    cacheBytesPerElement: q.cacheBytesPerElement,
    measured: q.measured,
  };
  const wanted = q.load.kind === 'concurrency' ? (q.load.requests ?? Infinity) : Infinity;
  const most = Math.min(wanted, memory.holds, MAX_BATCH);
  const chosen = chooseBatch(c, most, q.factors, q.latency);
  if (chosen === null)
    return { accelerator: a, precision, split, missingGiB: null, reason: 'its speed cannot be predicted' };
  const { replicas, batch } = spread(q, chosen.batch, chosen.speed);
  if (!(replicas <= MOST_REPLICAS))
    return {
      accelerator: a,
      precision,
      split,
      missingGiB: null,
      reason: `more than ${MOST_REPLICAS} replicas would be needed`,
    };
  const speed = batch === chosen.batch ? chosen.speed : (speedWith(c, batch, q.factors) ?? chosen.speed);
  return {
    accelerator: a,
    precision,
    split,
    gpus,
    memory,
    batch,
    limitedBy: chosen.batch < most ? 'latency' : most === wanted ? 'load' : most === memory.holds ? 'memory' : 'engine',
    replicas,
    speed,
    meetsLatency: chosen.meetsLatency,
    notes: notesOf(q, a, precision, split),
  };
}

/** Replicas for the load, and how many requests each of them then runs. */
function spread(q: SizingQuery, batch: number, speed: ServingSpeed): { replicas: number; batch: number } {
  const { load } = q;
  if (load.kind === 'concurrency') {
    if (load.requests === null) return { replicas: 1, batch };
    const replicas = Math.ceil(load.requests / batch);
    return { replicas, batch: Math.ceil(load.requests / replicas) };
  }
  if (load.kind === 'rate')
    return { replicas: Math.max(1, Math.ceil(load.peakPerS / (speed.requestsPerS * load.utilization))), batch };
  if (load.withinHours === null) return { replicas: 1, batch };
  const hours = volumeHours(q, speed, 1) ?? 0;
  return { replicas: Math.max(1, Math.ceil(hours / load.withinHours)), batch };
}

/** Hours that a volume takes on `replicas`; null for other loads. Prompts and answers are in the proportion of the volume. */
export function volumeHours(q: SizingQuery, speed: ServingSpeed, replicas: number): number | null {
  if (q.load.kind !== 'volume') return null;
  const { inputTokens, outputTokens } = q.load;
  // Time of a request goes into its prompt and its answer; the volume may have more of one than usual requests do.
  const perRequestS = 1 / speed.requestsPerS;
  const promptS = (perRequestS * speed.prefillShare * inputTokens) / q.inputTokens;
  const answerS = (perRequestS * (1 - speed.prefillShare) * outputTokens) / q.outputTokens;
  return (promptS + answerS) / replicas / 3_600;
}

function notesOf(q: SizingQuery, a: Accelerator, precision: Precision, split: Split): string[] {
  const notes: string[] = [];
  if (split.tensor > 1 && !hasFastLink(a))
    notes.push(`no NVLink: every layer waits for ${a.link} (${a.linkGBps} GB/s)`);
  if (split.pipeline > 1)
    notes.push('pipeline stages serve offline work well; every token passes all of them, so answers come slower');
  if (split.tensor * split.pipeline > q.gpusPerMachine)
    notes.push(`${Math.ceil((split.tensor * split.pipeline) / q.gpusPerMachine)} machines that must start together`);
  if (split.tensor > q.model.kvHeads && q.model.attention !== 'none')
    notes.push(
      q.model.attention === 'MLA'
        ? `the cache lies on each of the ${split.tensor} GPUs in full; data-parallel attention would keep it once`
        : `${q.model.kvHeads} key-value heads on ${split.tensor} GPUs: the cache is kept ${split.tensor / q.model.kvHeads} times`,
    );
  if (storedOnly(a, precision)) notes.push(`${precision} saves memory only: ${a.name} computes in 16 bits`);
  return notes;
}

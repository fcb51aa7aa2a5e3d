import { DomainError } from '#kernel';
import {
  acceleratorMatches,
  accelerators,
  isProfile,
  nearestNames,
  readModelConfig,
  usualFactors,
  usualPrecisions,
  type Accelerator,
  type Factors,
  type Load,
  type ModelLibrary,
  type ModelProfile,
  type SizingQuery,
} from '#hardware';
import type { SizingRequest, TraceSummary } from '#contracts';

export type ModelWork = Extract<SizingRequest['workload'], { kind: 'model' | 'trace' }>;

/** Context when neither the request nor a trace tells. */
const USUAL_CONTEXT = 8_192;
const GPUS_PER_MACHINE = 8;
/** Without a wish, cards that serving engines run well: their makers' stacks, memory and age. */
const LEAST_VRAM_GIB = 16;
const LEAST_GENERATION = 5;

function invalid(field: string, code: string, message: string, fix: string): DomainError {
  return new DomainError('invalid', code, message, { field, fix });
}

/** The model that a workload names or describes. */
export function modelOf(work: ModelWork, library: ModelLibrary): ModelProfile {
  if (work.config !== undefined) {
    const read = readModelConfig(work.config, work.model);
    if (read.ok) return read.profile;
    throw new DomainError('invalid', 'model-config-invalid', 'The config.json of the model cannot be sized.', {
      field: 'workload.config',
      fix: 'Send the config.json as Hugging Face has it, whole.',
      problems: read.problems.map((p) => ({
        field: p.field === '' ? 'workload.config' : `workload.config.${p.field}`,
        message: p.message,
      })),
    });
  }
  if (work.model === undefined)
    throw invalid(
      'workload.model',
      'model-missing',
      'No model is named.',
      'Give workload.model, or its config.json as workload.config.',
    );
  const found = library.find(work.model);
  if (isProfile(found)) return found;
  if (found.incomplete !== null)
    throw invalid(
      'workload.model',
      'model-incomplete',
      `What Berth knows of ${work.model} is not enough to size it: ${found.incomplete}.`,
      'Send its config.json as workload.config.',
    );
  const near = found.nearest.length > 0 ? ` Nearest: ${found.nearest.join(', ')}.` : '';
  throw invalid(
    'workload.model',
    'model-unknown',
    `Berth knows no model ${work.model}.${near}`,
    'Use one of those names, or send the config.json of the model as workload.config.',
  );
}

/** Accelerators to look at: those asked for, or all that serve language models. */
export function acceleratorsFor(
  wanted: readonly string[] | undefined,
  fieldOf = (i: number): string => `gpus[${i}]`,
): Accelerator[] {
  if (wanted === undefined)
    return accelerators.filter(
      (a) =>
        (a.vendor === 'nvidia' || a.vendor === 'amd') &&
        a.vramGiB >= LEAST_VRAM_GIB &&
        a.generation >= LEAST_GENERATION,
    );
  wanted.forEach((name, i) => {
    if (accelerators.some((a) => acceleratorMatches(name, a.name))) return;
    const near = nearestNames(
      name,
      accelerators.map((a) => a.name),
    );
    throw invalid(
      fieldOf(i),
      'gpu-unknown',
      `Berth knows no accelerator ${name}.${near.length > 0 ? ` Nearest: ${near.join(', ')}.` : ''}`,
      'Use one of those names; `berth offers` lists what there is.',
    );
  });
  return accelerators.filter((a) => wanted.some((name) => acceleratorMatches(name, a.name)));
}

interface Lengths {
  readonly inputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
}

/** Part of a usual sequence that is the answer. */
const ANSWER = 1 / 8;

/** A sequence in which the one length that is told has its usual part; 0 where none or both are told. */
function withUsualOther({ inputTokens, outputTokens }: Lengths): number {
  if (inputTokens !== undefined) return outputTokens === undefined ? Math.ceil(inputTokens / (1 - ANSWER)) : 0;
  return outputTokens === undefined ? 0 : Math.ceil(outputTokens / ANSWER);
}

/** The request as the question that shapes answer. `summary` is that of the trace. */
export function queryOf(request: SizingRequest, model: ModelProfile, summary: TraceSummary | null): SizingQuery {
  const work = request.workload as ModelWork;
  const known: Lengths =
    work.kind === 'model' ? { inputTokens: work.inputTokens, outputTokens: work.outputTokens } : {};
  const lengths = summary ? { inputTokens: summary.inputTokens.mean, outputTokens: summary.outputTokens.mean } : known;
  const most = model.maxPositionTokens;
  const given = (lengths.inputTokens ?? 0) + (lengths.outputTokens ?? 0);
  const tooLong = (field: string, asked: number): DomainError =>
    invalid(
      field,
      'context-too-long',
      `${model.name} takes ${most ?? asked} tokens at most; ${asked} were asked for.`,
      `Ask for ${most ?? asked} or fewer.`,
    );
  if (most !== null && work.contextTokens !== undefined && work.contextTokens > most)
    throw tooLong('workload.contextTokens', work.contextTokens);
  // What is not told has a token at least.
  const least = (known.inputTokens ?? 1) + (known.outputTokens ?? 1);
  if (most !== null && least > most)
    throw tooLong(known.inputTokens === undefined ? 'workload.outputTokens' : 'workload.inputTokens', least);
  const contextTokens =
    work.contextTokens ??
    (summary && Math.max(summary.totalTokensP99, Math.ceil(given))) ??
    Math.max(Math.ceil(given), Math.min(Math.max(USUAL_CONTEXT, withUsualOther(known)), most ?? Infinity));
  if (given > contextTokens)
    throw invalid(
      'workload.contextTokens',
      'context-too-short',
      `Prompt and answer have ${Math.ceil(given)} tokens together: more than the context of ${contextTokens}.`,
      'Ask for a longer context, or shorter prompts and answers.',
    );
  const outputTokens =
    lengths.outputTokens ??
    Math.max(1, Math.min(Math.round(contextTokens * ANSWER), contextTokens - (lengths.inputTokens ?? 0)));
  const inputTokens = lengths.inputTokens ?? Math.max(1, contextTokens - outputTokens);
  return {
    model,
    contextTokens,
    inputTokens,
    outputTokens,
    load: loadOf(work, summary),
    precisions: request.precisions ?? usualPrecisions(model.publishedBits),
    cacheBytesPerElement: request.cachePrecision === 'fp8' ? 1 : 2,
    latency: request.latency,
    factors: factorsOf(request, summary),
    gpusPerMachine: GPUS_PER_MACHINE,
    machinesPerReplica: request.machinesPerReplica,
  };
}

function loadOf(work: ModelWork, summary: TraceSummary | null): Load {
  if (work.kind === 'trace' && summary !== null)
    return {
      kind: 'rate',
      meanPerS: summary.meanPerS,
      peakPerS: Math.max(summary.peakPerS, summary.meanPerS),
      utilization: work.utilization,
    };
  if (work.kind === 'model' && work.volume !== undefined) {
    if (work.concurrency !== undefined)
      throw invalid(
        'workload.concurrency',
        'load-twice',
        'A concurrency and a volume are two answers to how much there is.',
        'Leave one of them out.',
      );
    const { inputTokens, outputTokens, withinHours } = work.volume;
    return { kind: 'volume', inputTokens, outputTokens, withinHours: withinHours ?? null };
  }
  return { kind: 'concurrency', requests: work.kind === 'model' ? (work.concurrency ?? null) : null };
}

function factorsOf({ factors }: SizingRequest, summary: TraceSummary | null): Factors {
  return {
    continuousBatching: factors.continuousBatching,
    promptCacheHitShare:
      factors.promptCacheHitShare ?? Math.min(0.99, summary?.cachedShare ?? usualFactors.promptCacheHitShare),
    speculation: factors.speculation ?? null,
  };
}

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Accelerator } from '../accelerator.js';
import { accelerator, accelerators } from '../accelerators.js';
import { isProfile, loadModelLibrary } from '../models/library.js';
import type { ModelProfile } from '../models/profile.js';
import { factorEffects } from './evaluate.js';
import { speculationCost, tokensPerStep, usualFactors, waitForLongest } from './factors.js';
import { replicaMemory, splitRefused } from './memory.js';
import { bytesPerWeight, precisions, usualPrecisions } from './precision.js';
import { shapeOf, shapesOf, volumeHours, type Shape, type SizingQuery } from './shapes.js';

const library = loadModelLibrary();

function model(name: string): ModelProfile {
  const found = library.find(name);
  if (!isProfile(found)) throw new Error(`no ${name}`);
  return found;
}

function gpu(name: string): Accelerator {
  const a = accelerator(name);
  if (!a) throw new Error(`no ${name}`);
  return a;
}

const llama70 = model('meta-llama/Llama-3.1-70B');

function query(more: Partial<SizingQuery> = {}): SizingQuery {
  return {
    model: llama70,
    contextTokens: 8_192,
    inputTokens: 7_168,
    outputTokens: 1_024,
    load: { kind: 'concurrency', requests: 64 },
    precisions: ['bf16'],
    cacheBytesPerElement: 2,
    latency: {},
    factors: usualFactors,
    gpusPerMachine: 8,
    machinesPerReplica: 2,
    ...more,
  };
}

function one(q: SizingQuery, name: string, tensor: number, pipeline = 1): Shape {
  const found = shapeOf(q, gpu(name), q.precisions[0] ?? 'bf16', { tensor, pipeline });
  if (!('speed' in found)) throw new Error(found.reason);
  return found;
}

describe('memory of a replica', () => {
  it('adds up: weights, overhead, activations and cache are all of it', () => {
    const m = replicaMemory(llama70, 'bf16', 80, { tensor: 4, pipeline: 1 }, 8_192, 2);
    expect(m.budget.weightsBytes / 1e9).toBeCloseTo(141.1, 0);
    expect(m.sequenceBytes).toBe(327_680 * 8_192);
    expect(m.budget.weightsBytes + m.budget.overheadBytes + m.budget.activationBytes + m.budget.kvBytes).toBeCloseTo(
      4 * 80 * 2 ** 30,
      -1,
    );
    expect(m.holds).toBe(Math.floor(m.budget.kvBytes / m.sequenceBytes));
  });

  it('says by how much it does not fit', () => {
    const m = replicaMemory(llama70, 'bf16', 80, { tensor: 1, pipeline: 1 }, 8_192, 2);
    expect(m.holds).toBe(0);
    expect(m.missingBytes / 2 ** 30).toBeCloseTo((141.1e9 + 4.5e9 + 327_680 * 8_192) / 2 ** 30 - 80, 0);
  });

  it('keeps latent caches on every GPU, and copies heads that are fewer than GPUs', () => {
    const v3 = model('deepseek-ai/DeepSeek-V3');
    const at = (m: ModelProfile, tensor: number) =>
      replicaMemory(m, 'fp8', 141, { tensor, pipeline: 1 }, 4_096, 2).sequenceBytes;
    expect(at(v3, 8)).toBe(8 * 70_272 * 4_096);
    expect(at(llama70, 8)).toBe(at(llama70, 1));
    expect(at(model('Qwen/Qwen2.5-7B'), 4)).toBe(at(model('Qwen/Qwen2.5-7B'), 1));
    expect(at(model('zai-org/glm-4-9b'), 8)).toBe(4 * at(model('zai-org/glm-4-9b'), 2));
  });

  it('refuses splits that do not divide the heads', () => {
    expect(splitRefused(llama70, { tensor: 8, pipeline: 1 })).toBeNull();
    expect(splitRefused(model('Qwen/Qwen2.5-7B'), { tensor: 8, pipeline: 1 })).toContain('28 heads');
    expect(splitRefused(model('tiiuae/falcon-7b'), { tensor: 2, pipeline: 1 })).toContain('71 heads');
    expect(splitRefused(llama70, { tensor: 1, pipeline: 81 })).toContain('80 layers');
  });

  const anyModel = fc.constantFrom(...library.names);
  const anyGpu = fc.constantFrom(...accelerators.filter((a) => a.vendor === 'nvidia').map((a) => a.vramGiB));

  it('never needs less for more context, nor more for fewer bits', () => {
    fc.assert(
      fc.property(
        anyModel,
        anyGpu,
        fc.integer({ min: 1, max: 131_072 }),
        fc.integer({ min: 0, max: 131_072 }),
        (name, vram, context, more) => {
          const m = model(name);
          const at = (tokens: number, p: (typeof precisions)[number], bytes = 2) =>
            replicaMemory(m, p, vram, { tensor: 1, pipeline: 1 }, tokens, bytes);
          expect(at(context + more, 'bf16').missingBytes).toBeGreaterThanOrEqual(at(context, 'bf16').missingBytes);
          expect(at(context + more, 'bf16').holds).toBeLessThanOrEqual(at(context, 'bf16').holds);
          for (const wide of precisions)
            for (const narrow of precisions)
              if (bytesPerWeight[narrow] < bytesPerWeight[wide]) {
                expect(at(context, narrow).missingBytes).toBeLessThanOrEqual(at(context, wide).missingBytes);
                expect(at(context, narrow).holds).toBeGreaterThanOrEqual(at(context, wide).holds);
              }
          expect(at(context, 'bf16', 1).holds).toBeGreaterThanOrEqual(at(context, 'bf16').holds);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('never holds less on more GPUs', () => {
    fc.assert(
      fc.property(anyModel, anyGpu, fc.integer({ min: 1, max: 131_072 }), (name, vram, context) => {
        const m = model(name);
        const holds = (tensor: number, pipeline: number) =>
          replicaMemory(m, 'bf16', vram, { tensor, pipeline }, context, 2).holds;
        for (const n of [1, 2, 4]) {
          expect(holds(2 * n, 1)).toBeGreaterThanOrEqual(holds(n, 1));
          expect(holds(1, 2 * n)).toBeGreaterThanOrEqual(holds(1, n));
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('shapes', () => {
  it('offers Llama-3.1-70B on two H100 or more, never on one, in 16 bits', () => {
    const { shapes, misses } = shapesOf(query(), gpu('H100-SXM'));
    expect(shapes.map((s) => s.gpus)).toEqual([2, 4, 8]);
    expect(misses.map((m) => m.reason)).toEqual([expect.stringMatching(/GiB more needed on 1 x H100-SXM/)]);
    expect(shapesOf(query({ precisions: ['fp8'] }), gpu('H200')).shapes.map((s) => s.gpus)).toEqual([1, 2, 4, 8]);
  });

  it('says on what is missing where nothing fits', () => {
    const { shapes, misses } = shapesOf(query({ machinesPerReplica: 1 }), gpu('T4'));
    expect(shapes).toEqual([]);
    expect(misses).toHaveLength(1);
    expect(misses[0]?.missingGiB).toBeGreaterThan(10);
    expect(misses[0]?.reason).toMatch(/GiB more needed on 8 x T4/);
  });

  it('takes pipeline stages over machines only where one machine does not do', () => {
    const v3 = query({ model: model('deepseek-ai/DeepSeek-V3'), precisions: ['bf16'] });
    const { shapes } = shapesOf(v3, gpu('H200'));
    expect(shapes.map((s) => s.split)).toEqual([{ tensor: 8, pipeline: 2 }]);
    expect(shapes[0]?.notes.join()).toContain('2 machines that must start together');
    expect(shapesOf({ ...v3, precisions: ['fp8'] }, gpu('H200')).shapes.every((s) => s.split.pipeline === 1)).toBe(
      true,
    );
  });

  it('spreads the asked requests evenly over as many replicas as hold them', () => {
    const s = one(query(), 'H100-SXM', 2);
    expect(s.limitedBy).toBe('memory');
    expect(s.replicas).toBe(Math.ceil(64 / s.memory.holds));
    expect(s.batch * s.replicas).toBeGreaterThanOrEqual(64);
    expect(s.batch).toBeLessThanOrEqual(s.memory.holds);
    expect(one(query(), 'H100-SXM', 8)).toMatchObject({ replicas: 1, batch: 64, limitedBy: 'load' });
  });

  it('lowers the batch to a latency target, and says when no batch meets it', () => {
    const free = one(query(), 'H100-SXM', 8);
    const tpotMs = free.speed.tpotS * 1_000 * 0.6;
    const bound = one(query({ latency: { tpotMs } }), 'H100-SXM', 8);
    expect(bound.meetsLatency).toBe(true);
    expect(bound.limitedBy).toBe('latency');
    expect(bound.speed.tpotS * 1_000).toBeLessThanOrEqual(tpotMs);
    expect(bound.replicas).toBeGreaterThan(1);
    expect(one(query({ latency: { tpotMs: 0.01 } }), 'H100-SXM', 8).meetsLatency).toBe(false);
    expect(one(query({ latency: { ttftMs: 1 } }), 'H100-SXM', 8).meetsLatency).toBe(false);
  });

  it('takes replicas for the peak of a rate, and hours for a volume', () => {
    const s = one(query({ load: { kind: 'rate', meanPerS: 1, peakPerS: 10, utilization: 0.7 } }), 'H100-SXM', 8);
    expect(s.replicas).toBe(Math.ceil(10 / (s.speed.requestsPerS * 0.7)));
    const load = { kind: 'volume', inputTokens: 7.168e9, outputTokens: 1.024e9, withinHours: null } as const;
    const v = one(query({ load }), 'H100-SXM', 8);
    expect(volumeHours(query({ load }), v.speed, 1)).toBeCloseTo(1e6 / v.speed.requestsPerS / 3_600, 6);
    const hurried = one(query({ load: { ...load, withinHours: 10 } }), 'H100-SXM', 8);
    expect(volumeHours(query({ load }), hurried.speed, hurried.replicas)).toBeLessThanOrEqual(10);
  });

  it('runs more requests, not fewer, with fewer bits', () => {
    const wide = one(query({ load: { kind: 'concurrency', requests: null } }), 'H100-SXM', 2);
    const narrow = one(query({ load: { kind: 'concurrency', requests: null }, precisions: ['fp8'] }), 'H100-SXM', 2);
    expect(narrow.memory.holds).toBeGreaterThan(3 * wide.memory.holds);
    expect(narrow.speed.requestsPerS).toBeGreaterThan(wide.speed.requestsPerS);
    expect(usualPrecisions(16)).toEqual(['bf16', 'fp8', 'int4']);
    expect(usualPrecisions(8)).toEqual(['fp8', 'int4']);
  });
});

describe('factors', () => {
  const c = {
    model: llama70,
    accelerator: gpu('H100-SXM'),
    split: { tensor: 8, pipeline: 1 },
    precision: 'bf16' as const,
    inputTokens: 7_168,
    outputTokens: 1_024,
    sequenceTokens: 8_192,
    cacheBytesPerElement: 2,
  };

  it('are named with their effect whether they are on or off', () => {
    const effects = factorEffects(c, 16, usualFactors);
    expect(effects.map((e) => [e.name, e.on])).toEqual([
      ['continuous-batching', true],
      ['prompt-caching', false],
      ['speculative-decoding', false],
    ]);
    for (const e of effects) expect(e.multiplier).toBeGreaterThan(1);
    const on = factorEffects(c, 16, { ...usualFactors, promptCacheHitShare: 0.9 });
    expect(on[1]).toMatchObject({ on: true });
    expect(on[1]?.multiplier).toBeGreaterThan(effects[1]?.multiplier ?? Infinity);
  });

  it('of speculation: a + 1 tokens per step, less gain with a larger batch, a loss when nothing is accepted', () => {
    expect(tokensPerStep({ acceptRate: 0, draftTokens: 4 })).toBe(1);
    expect(tokensPerStep({ acceptRate: 1, draftTokens: 4 })).toBe(5);
    expect(tokensPerStep({ acceptRate: 0.5, draftTokens: 2 })).toBeCloseTo(1.75, 9);
    const cost = (batch: number, acceptRate: number) =>
      speculationCost({ ...c, batch }, { acceptRate, draftTokens: 4 });
    expect(cost(1, 0.7)).toBeLessThan(0.6);
    expect(cost(256, 0.7)).toBeGreaterThan(cost(1, 0.7));
    expect(cost(1, 0)).toBeGreaterThan(1);
  });

  it('of waiting for the longest: nothing for one, more for many, bounded', () => {
    expect(waitForLongest(1)).toBe(1);
    expect(waitForLongest(2)).toBe(1.5);
    expect(waitForLongest(100_000)).toBe(6);
  });
});

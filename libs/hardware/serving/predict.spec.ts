import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { accelerator, accelerators, type Accelerator } from '../index.js';
import { predictServing } from './predict.js';
import type { ServingPrediction, ServingQuery } from './query.js';

function card(name: string): Accelerator {
  const a = accelerator(name);
  if (!a) throw new Error(`${name} is not in the table`);
  return a;
}
const llama8b = { parametersB: 8.03, bytesPerParameter: 2, layers: 32, hiddenSize: 4096, kvBytesPerToken: 131_072 };
const base: ServingQuery = {
  model: llama8b,
  accelerator: card('H100-SXM'),
  gpus: 1,
  batch: 32,
  inputTokens: 512,
  outputTokens: 512,
  engine: 'vLLM',
};
function predicted(query: Partial<ServingQuery>): ServingPrediction {
  const p = predictServing({ ...base, ...query });
  if (!p) throw new Error('does not fit');
  return p;
}

describe('predictServing', () => {
  it('takes what Berth measured before what others published, and that before the formula', () => {
    const measured = predicted({ measured: () => ({ tokensPerS: 1_234, samples: 6, logSd: 0.1 }) });
    expect(measured).toMatchObject({ source: 'measured' });
    expect(measured.tokensPerS).toBeCloseTo(1_234, 6);
    expect(predicted({})).toMatchObject({ source: 'published', novelty: 'seen' });
    expect(predicted({ usePublished: false }).source).toBe('roofline');
    expect(predicted({ measured: () => undefined }).source).toBe('published');
  });

  it('gives the very number of a published run where there is one, and something between its neighbours elsewhere', () => {
    const at = (batch: number): number => predicted({ batch, inputTokens: 1024, outputTokens: 1024 }).tokensPerS;
    expect(at(64)).toBeGreaterThan(6_900);
    expect(at(64)).toBeLessThan(7_000);
    expect(at(40)).toBeGreaterThan(at(32) * 0.95);
    expect(at(40)).toBeLessThan(at(64) * 1.05);
  });

  it('says what is new, the worst first', () => {
    const other = { ...llama8b, parametersB: 13 };
    expect(predicted({ model: other }).novelty).toBe('new-model');
    expect(predicted({ model: other, accelerator: card('H200') }).novelty).toBe('new-gpu');
    expect(predicted({ model: other, accelerator: card('H200'), engine: 'NewServe' }).novelty).toBe('new-framework');
  });

  it('widens with novelty and never hides', () => {
    const seen = predicted({});
    const newGpu = predicted({ accelerator: card('H200') });
    const newStack = predicted({ accelerator: card('TPU-v5p') });
    expect(newGpu.lowLog).toBeGreaterThan(seen.lowLog);
    expect(newStack.lowLog).toBeGreaterThan(2 * newGpu.lowLog);
    expect(newStack.confidence).toBeLessThan(newGpu.confidence);
    expect(newGpu.confidence).toBeLessThan(seen.confidence);
    const guessed = predicted({ model: { parametersB: 13, bytesPerParameter: 2 } });
    expect(guessed.sourceNote).toContain('assumed');
  });

  it('narrows with more runs of our own', () => {
    const width = (samples: number): number =>
      predicted({ measured: () => ({ tokensPerS: 1_000, samples, logSd: samples > 2 ? 0.05 : null }) }).lowLog;
    expect(width(2)).toBeLessThan(width(1));
    expect(width(30)).toBeLessThan(width(2));
  });

  it('corrects by the software stack: the same engine reaches less of an AMD card than of an NVIDIA one', () => {
    expect(predicted({ accelerator: card('MI300X'), model: { ...llama8b, parametersB: 13 } }).factor).toBeLessThan(0.7);
    expect(predicted({ model: { ...llama8b, parametersB: 13 } }).factor).toBeGreaterThan(0.7);
    // Gaudi and Intel's GPUs have one maker and nothing else in common.
    expect(predicted({ accelerator: card('Gaudi2') }).factor).toBeGreaterThan(
      predicted({ accelerator: card('Max-1550'), model: { ...llama8b, parametersB: 13 } }).factor,
    );
  });

  it('has no time per further token where the first is the last: all of the stay is until then', () => {
    const { tpotS, ttftS, tokensPerS } = predicted({ inputTokens: 4_096, outputTokens: 1 });
    expect(tpotS).toBe(0);
    expect(ttftS).toBeCloseTo((32 * 4_097) / tokensPerS, 9);
  });

  it('answers null where one sequence does not fit', () => {
    expect(predictServing({ ...base, model: { parametersB: 70, bytesPerParameter: 2 } })).toBeNull();
  });

  it('knows engines by any spelling', () => {
    expect(predicted({ engine: 'TensorRT-LLM' }).tokensPerS).toBe(predicted({ engine: 'trt_llm' }).tokensPerS);
    expect(predicted({ engine: 'vllm' }).tokensPerS).toBe(predicted({}).tokensPerS);
  });

  it('is finite and positive with latencies that add up, for every card, load and engine', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...accelerators),
        fc.constantFrom('vllm', 'tensorrt-llm', 'deepspeed-mii', 'llama.cpp', 'sglang'),
        fc.double({ min: 0.1, max: 400, noNaN: true }),
        fc.constantFrom(1, 2, 4, 8),
        fc.integer({ min: 1, max: 2_048 }),
        fc.integer({ min: 1, max: 32_768 }),
        fc.integer({ min: 1, max: 8_192 }),
        (a, engine, parametersB, gpus, batch, inputTokens, outputTokens) => {
          const model = { parametersB, bytesPerParameter: 1 };
          const q: ServingQuery = { model, accelerator: a, engine, gpus, batch, inputTokens, outputTokens };
          const p = predictServing(q);
          if (!p) return;
          for (const x of [p.tokensPerS, p.tokensPerSLow, p.tokensPerSHigh, p.ttftS, p.factor]) {
            expect(Number.isFinite(x) && x > 0).toBe(true);
          }
          expect(p.tpotS).toBeGreaterThanOrEqual(0);
          expect(p.lowLog).toBeGreaterThan(0);
          expect(p.confidence).toBeGreaterThan(0);
          expect(p.confidence).toBeLessThan(1);
          // Little's law: requests in the system = rate x time in it.
          const inSystemS = p.ttftS + p.tpotS * Math.max(1, outputTokens - 1);
          const held = (p.tokensPerS / (inputTokens + outputTokens)) * inSystemS;
          expect(held / batch).toBeCloseTo(1, 6);
        },
      ),
    );
  });
});

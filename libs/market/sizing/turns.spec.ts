import { describe, expect, it } from '@jest/globals';
import { SeededRandom, systemClock } from '#kernel';
import { accelerator, loadModelLibrary, isProfile, shapeOf, usualFactors, type SizingQuery } from '#hardware';
import { sizingRequestSchema, type SizingView } from '#contracts';
import { Catalog } from '#market/catalog';
import { Placements } from '#market/placement';
import { MemoryStore } from '#platform/database';
import { Sizing } from './index.js';
import { overWorstLink } from './costs.js';
import { Turns } from './turns.js';

describe('turns', () => {
  it('let one of many go on in each turn of the event loop, in order, and all of them in the end', async () => {
    const turns = new Turns();
    const went: number[] = [];
    const perTurn: number[] = [];
    const many = Array.from({ length: 20 }, async (_, i) => {
      await turns.pause();
      went.push(i);
      await turns.pause();
      went.push(i);
    });
    let before = 0;
    const watch = (): void => {
      perTurn.push(went.length - before);
      before = went.length;
      if (went.length < 40) setImmediate(watch);
    };
    setImmediate(watch);
    await Promise.all(many);
    const once = Array.from({ length: 20 }, (_, i) => i);
    expect(went).toEqual([...once, ...once]);
    expect(Math.max(...perTurn)).toBe(1);
    expect(turns.taken).toBe(40);
  });
});

describe('sizing', () => {
  async function sized(workload: object, over: object = {}): Promise<{ view: SizingView; taken: number }> {
    const [store, random] = [new MemoryStore(systemClock), new SeededRandom(1)];
    const times = { rentableTtlMs: 0, marketTtlMs: 0 };
    const turns = new Turns();
    const sizing = new Sizing(new Placements(store, new Catalog(), systemClock, random, times), turns);
    const view = await sizing.size(sizingRequestSchema.parse({ workload, ...over }));
    return { view, taken: turns.taken };
  }

  it('pauses after each split that it looks at, each shape that it prices, and each that it shows', async () => {
    const { view, taken } = await sized({ kind: 'model', model: 'meta-llama/Llama-3.1-8B' }, { limit: 200 });
    expect(view.shapesFound).toBeGreaterThan(200);
    expect(taken).toBeGreaterThan(2 * view.shapesFound + 200);
  });

  it('pauses after each 500 lines of a trace', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i},${100 + (i % 90)},20`).join('\n');
    const ask = async (text: string) =>
      (await sized({ kind: 'trace', model: 'gpt2', text }, { gpus: ['L4'], precisions: ['fp8'] })).taken;
    const heading = 'arrival_s,input_tokens,output_tokens\r\n';
    expect((await ask(heading + lines)) - (await ask(`${heading}1,100,20\n`))).toBeGreaterThanOrEqual(40);
  });

  it('sizes a shape over the worst link once, however many offers have it', () => {
    const model = loadModelLibrary().find('meta-llama/Llama-3.1-70B');
    const h100 = accelerator('H100-SXM');
    if (!isProfile(model) || !h100) throw new Error('not known');
    const q: SizingQuery = {
      model,
      contextTokens: 2_048,
      inputTokens: 1_024,
      outputTokens: 1_024,
      load: { kind: 'concurrency', requests: 8 },
      precisions: ['bf16'],
      cacheBytesPerElement: 2,
      latency: {},
      factors: usualFactors,
      gpusPerMachine: 8,
      machinesPerReplica: 1,
    };
    const shape = shapeOf(q, h100, 'bf16', { tensor: 4, pipeline: 1 });
    if (!('speed' in shape)) throw new Error(shape.reason);
    const relinked = overWorstLink(q, shape);
    const first = relinked();
    expect(first?.speed.requestsPerS).toBeLessThan(shape.speed.requestsPerS);
    expect(relinked()).toBe(first);
    // Known to be impossible is known as well.
    const impossible = overWorstLink({ ...q, latency: { tpotMs: 0.001 } }, shape);
    expect([impossible(), impossible()]).toEqual([null, null]);
  });
});

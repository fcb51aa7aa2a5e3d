import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SeededRandom } from '#kernel';
import { sizingRequestSchema, type SizedShape } from '#contracts';
import { Catalog } from '#market/catalog';
import { Placements } from '#market/placement';
import { learnFromShards, noteShardTimes } from '#market/speeds';
import { WORKER } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import { Sizing } from './index.js';

const MODEL = 'meta-llama/Llama-3.1-8B';
const MINUTE_MS = 60_000;

describe.each(specStores)('sizing by what Berth measured, $name', ({ open }) => {
  let s: SpecStore;
  let runs = 0;
  beforeEach(async () => {
    s = await open();
  });
  afterEach(() => s.close());

  /** Shapes of the model on H100 as a process that has just started sizes them: 64 requests of 1,024 tokens. */
  async function shapes(over: object = {}): Promise<SizedShape[]> {
    const random = new SeededRandom('sizing');
    const catalog = new Catalog();
    const placements = new Placements(s.store, catalog, s.clock, random, { rentableTtlMs: 0, marketTtlMs: 0 });
    const load = { contextTokens: 1_024, inputTokens: 512, outputTokens: 512, concurrency: 64 };
    const workload = { kind: 'model', model: MODEL, ...load };
    const request = { workload, gpus: ['H100-SXM', 'A100-80GB-SXM'], limit: 200, ...over };
    return (await new Sizing(placements).size(sizingRequestSchema.parse(request))).shapes;
  }

  async function shape(accelerator: string, gpus: number, precision = 'bf16', over: object = {}): Promise<SizedShape> {
    const found = (await shapes(over)).find(
      (one) => one.accelerator === accelerator && one.tensorParallel === gpus && one.precision === precision,
    );
    if (!found) throw new Error(`no ${gpus} x ${accelerator}`);
    return found;
  }

  /** Runs of a minute on machines with `units` H100, each of another organization and machine. */
  async function seen(tokensPerS: number, count: number, units = 1, on: object = {}): Promise<void> {
    const at = s.clock.now();
    const ends = Array.from({ length: count }, () => {
      const n = runs++;
      const [id, leaseId, organizationId] = [`shd_${n}/1`, `lease_${n}`, `org_${n}`];
      const of = { model: MODEL, accelerator: 'H100-SXM', units, tokens: Math.round(tokensPerS * 60), ...on };
      return { id, leaseId, organizationId, ...of, assignedAt: at - MINUTE_MS, at };
    });
    await s.store.transaction(WORKER, (tx) => noteShardTimes(tx, ends));
    await learnFromShards(s.store);
  }

  it('goes before published runs, the more runs the further, with a narrower interval', async () => {
    const before = await shape('H100-SXM', 1);
    expect(before.source).not.toBe('measured');
    const half = before.tokensPerS.value / 2;
    await seen(half, 2);
    const few = await shape('H100-SXM', 1);
    expect(few).toMatchObject({ source: 'measured', sourceNote: "measured on Berth's own leases, 2.0 runs" });
    // Two runs beside a prediction that counts like four; what was predicted for the load of the runs is this load's.
    expect(few.tokensPerS.value / before.tokensPerS.value).toBeCloseTo(0.5 ** (1 / 3), 2);
    await seen(half, 38);
    const many = await shape('H100-SXM', 1);
    expect(many.tokensPerS.value / before.tokensPerS.value).toBeCloseTo(0.5 ** (40 / 44), 2);
    const width = ({ tokensPerS: { low, high } }: SizedShape): number => Math.log(high / low);
    expect(width(many)).toBeLessThan(width(few));
    expect(many.confidence).toBeGreaterThan(few.confidence);
  });

  it('is for that model, width and card, and says less of another load', async () => {
    const at = (precision: string, over?: object) => shape('H100-SXM', 1, precision, over);
    const before = await at('bf16');
    await seen(before.tokensPerS.value / 2, 40);
    expect((await at('fp8')).source).not.toBe('measured');
    expect((await shape('A100-80GB-SXM', 1)).source).not.toBe('measured');
    const long = { contextTokens: 32_768, inputTokens: 30_000, outputTokens: 1_000, concurrency: 2 };
    const away = await at('bf16', { workload: { kind: 'model', model: MODEL, ...long } });
    expect(away.source).toBe('measured');
    expect(away.confidence).toBeLessThan((await at('bf16')).confidence);
  });

  it('takes no stage of a pipeline for a smaller model', async () => {
    const ask = (model: string) => shapes({ workload: { kind: 'model', model }, gpus: ['L4'], precisions: ['bf16'] });
    const half = 'meta-llama/Llama-3.1-70B';
    const speed = (await ask(half)).find((one) => one.gpus === 8)?.tokensPerS.value ?? 0;
    await seen(speed, 9, 8, { model: half, accelerator: 'L4' });
    expect((await ask(half)).map((one) => [one.gpus, one.source])).toContainEqual([8, 'measured']);
    // Twice the parameters: each of two stages looks like that model.
    const piped = await ask('mistralai/Mixtral-8x22B-v0.1');
    expect(piped.map((one) => [one.gpus, one.pipelineParallel])).toContainEqual([16, 2]);
    expect(piped.map((one) => one.source)).not.toContain('measured');
  });

  it('reads a machine that held several replicas as so many, unless that very number of GPUs was seen', async () => {
    const before = await shape('H100-SXM', 1);
    await seen(8 * before.tokensPerS.value * 2, 40, 8);
    const after = await shape('H100-SXM', 1);
    expect(after.source).toBe('measured');
    expect(after.tokensPerS.value / before.tokensPerS.value).toBeCloseTo(2 ** (40 / 44), 2);
    await seen(before.tokensPerS.value, 40);
    const own = await shape('H100-SXM', 1);
    expect(own.tokensPerS.value / before.tokensPerS.value).toBeCloseTo(1, 2);
  });
});

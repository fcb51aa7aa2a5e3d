import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Catalog } from '#market/catalog';
import { WORKER } from '#platform/database';
import type { SizingRequestInput, SizingView } from '#contracts';
import { TestApi, type TestTenant } from '../../testing/test-api.js';

let api: TestApi;
let tenant: TestTenant;

beforeAll(async () => {
  api = await TestApi.start();
  tenant = await api.tenant();
  await api.ground.store.transaction(WORKER, (tx) => api.app.get(Catalog).loadSnapshot(tx));
});
afterAll(() => api.close());

async function ask(body: unknown) {
  return api.call('POST /v1/sizing', { key: tenant.key, body });
}

async function sized(body: SizingRequestInput): Promise<SizingView> {
  const { status, body: view } = await ask(body);
  expect([status, view['detail']]).toEqual([200, undefined]);
  return view as unknown as SizingView;
}

const llama70 = {
  kind: 'model',
  model: 'meta-llama/Llama-3.1-70B',
  contextTokens: 8_192,
  concurrency: 64,
} as const;
const nano = (text: string | undefined): number => Number(text ?? Number.NaN);

describe('POST /v1/sizing of absurd numbers', () => {
  const lengths = { mean: 100, p50: 100, p95: 200, p99: 300, max: 400 };
  const summary = {
    requests: 10,
    spanS: 10,
    meanPerS: 1,
    p95PerS: 1,
    peakPerS: 1,
    inputTokens: lengths,
    outputTokens: lengths,
    totalTokensP99: 600,
    cachedShare: null,
  };
  const trace = (over: object) => ({ kind: 'trace', model: llama70.model, summary: { ...summary, ...over } });
  const volume = { inputTokens: 1e15, outputTokens: 1e15, withinHours: 1e-300 };
  const text = 'arrival_s,input_tokens,output_tokens\n1,5,5\n1e305,5,5\n2,5,5';
  it.each<[string, object]>([
    ['a mean rate', trace({ meanPerS: 1e-320 })],
    ['a peak', trace({ peakPerS: 1e308 })],
    ['a span', trace({ spanS: 1e300 })],
    ['a time for a volume', { kind: 'model', model: llama70.model, volume }],
    ['an arrival', { kind: 'trace', model: llama70.model, text, strict: true }],
  ])('refuses %s', async (_, workload) => {
    const { status, body } = await ask({ workload });
    expect([status, body['detail']]).toEqual([400, expect.any(String)]);
    if ('text' in workload) expect(body['detail']).toContain('line 3');
  });

  it('answers the largest that it takes without a shape of senseless size', async () => {
    const view = await sized({
      workload: { kind: 'model', model: llama70.model, volume: { ...volume, withinHours: 0.01 } },
      gpus: ['H100'],
    });
    expect(view.shapes).toEqual([]);
    const rates = { meanPerS: 1e-9, p95PerS: 1e9, peakPerS: 1e9 };
    expect((await ask({ workload: trace(rates), gpus: ['H100'] })).status).toBe(200);
    expect(
      (await ask({ workload: { kind: 'trace', model: llama70.model, text }, gpus: ['H100'] })).body['skipped'],
    ).toBe(1);
  });
});

describe('POST /v1/sizing of a model', () => {
  it('answers shapes cheapest per token first, each with memory, speed, factors and offers', async () => {
    const view = await sized({ workload: llama70 });
    expect(view.model).toMatchObject({ attention: 'GQA', cacheBytesPerToken: 327_680, publishedBits: 16 });
    expect(view.shapes.length).toBeGreaterThan(10);
    const costs = view.shapes.filter((s) => s.offers.length > 0).map((s) => nano(s.offers[0]?.perMillionTokens.value));
    expect(costs).toEqual([...costs].sort((a, b) => a - b));
    for (const s of view.shapes) {
      expect(s.runs * s.replicas).toBeGreaterThanOrEqual(64);
      expect(s.runs).toBeLessThanOrEqual(s.holds ?? Infinity);
      expect(s.tokensPerS.low).toBeLessThan(s.tokensPerS.value);
      expect(s.tokensPerS.high).toBeGreaterThan(s.tokensPerS.value);
      expect(s.ttftMs.low).toBeLessThanOrEqual(s.ttftMs.value);
      expect(s.factors.map((f) => f.name)).toEqual(['continuous-batching', 'prompt-caching', 'speculative-decoding']);
      const { totalGiB, weightsGiB, overheadGiB, activationsGiB, cacheGiB } = s.memory;
      expect(weightsGiB + overheadGiB + activationsGiB + cacheGiB).toBeCloseTo(totalGiB, 0);
    }
    expect(view.misses.some((m) => (m.missingGiB ?? 0) > 0)).toBe(true);
    expect(view.quantization.map((w) => w.precision)).toEqual(['bf16', 'fp8', 'int4']);
    const [wide, half] = view.quantization;
    expect(half?.savedGiB).toBeCloseTo(65.7, 0);
    expect(half?.compared?.shape).toBe(wide?.compared?.shape);
    expect(half?.compared?.holds).toBeGreaterThan(wide?.compared?.holds ?? Infinity);
  });

  it('costs per token what the price and the tokens come to, prompts and answers adding up', async () => {
    const view = await sized({ workload: llama70, gpus: ['H100-SXM'], precisions: ['bf16'] });
    const demand = view.demand;
    if (!demand) throw new Error('no demand');
    for (const s of view.shapes)
      for (const o of s.offers.filter((one) => one.notes.length === 0)) {
        const perHour = s.tokensPerS.value * s.replicas * 3_600;
        expect(nano(o.perMillionTokens.value) / ((nano(o.totalPerHour) / perHour) * 1e6)).toBeCloseTo(1, 2);
        const split = nano(o.perMillionInput) * demand.inputTokens + nano(o.perMillionOutput) * demand.outputTokens;
        const whole = nano(o.perMillionTokens.value) * (demand.inputTokens + demand.outputTokens);
        expect(split / whole).toBeCloseTo(1, 3);
        expect(nano(o.totalPerHour)).toBe(nano(o.pricePerHour) * o.machines);
      }
  });

  it('keeps only what meets a latency target, and says what is too slow', async () => {
    const view = await sized({ workload: llama70, latency: { ttftMs: 1_500, tpotMs: 40 }, precisions: ['bf16'] });
    expect(view.shapes.length).toBeGreaterThan(0);
    for (const s of view.shapes) {
      expect(s.ttftMs.value).toBeLessThanOrEqual(1_500);
      expect(s.tpotMs.value).toBeLessThanOrEqual(40);
    }
    expect(view.misses.some((m) => /too slow even for one request/.test(m.reason))).toBe(true);
  });

  it('gives hours and dollars for a volume', async () => {
    const volume = { inputTokens: 1e9, outputTokens: 1e8 };
    const view = await sized({ workload: { kind: 'model', model: 'meta-llama/Llama-3.1-8B', volume }, limit: 3 });
    for (const o of view.shapes.flatMap((s) => s.offers)) {
      expect(o.hours).toBeGreaterThan(0);
      expect(nano(o.total ?? undefined) / (nano(o.totalPerHour) * (o.hours ?? 0))).toBeCloseTo(1, 2);
    }
  });

  it('says by how much a model does not fit', async () => {
    const view = await sized({
      workload: { kind: 'model', model: 'deepseek-ai/DeepSeek-V3' },
      gpus: ['L4'],
      machinesPerReplica: 1,
      precisions: ['fp8'],
    });
    expect(view.shapes).toEqual([]);
    expect(view.misses).toHaveLength(1);
    expect(view.misses[0]?.missingGiB).toBeGreaterThan(400);
    expect(view.notes.join()).toContain('no shape holds this');
  });

  it('takes a config.json, and names the fields that are wrong in it', async () => {
    const config = {
      model_type: 'llama',
      num_hidden_layers: 32,
      hidden_size: 4096,
      num_attention_heads: 32,
      intermediate_size: 11008,
      vocab_size: 32000,
    };
    const view = await sized({ workload: { kind: 'model', config }, limit: 1 });
    expect(view.model).toMatchObject({ attention: 'MHA', cacheBytesPerToken: 524_288 });
    const { status, body } = await ask({
      workload: { kind: 'model', config: { ...config, num_hidden_layers: 0, vocab_size: 'big' } },
    });
    expect([status, body['code'], body['field']]).toEqual([400, 'model-config-invalid', 'workload.config']);
    expect((body['problems'] as { field: string }[]).map((p) => p.field).sort()).toEqual([
      'workload.config.num_hidden_layers',
      'workload.config.vocab_size',
    ]);
  });

  it.each([
    [
      { workload: { kind: 'model', model: 'meta-lama/Lama-3.1-70' } },
      'workload.model',
      'meta-llama/Meta-Llama-3.1-70B',
    ],
    [{ workload: { kind: 'model', model: 'moonshotai/Kimi-K3' } }, 'workload.model', 'num_experts_per_tok'],
    [{ workload: { kind: 'model' } }, 'workload.model', 'No model'],
    [{ workload: llama70, gpus: ['H100', 'H1000'] }, 'gpus[1]', 'H100'],
    [{ workload: { ...llama70, contextTokens: 9_000_000 } }, 'workload.contextTokens', '131072'],
    [{ workload: { ...llama70, inputTokens: 9_000 } }, 'workload.contextTokens', '9000'],
    [{ workload: { ...llama70, concurrency: 0 } }, 'workload.concurrency', ''],
    [{ workload: llama70, precisions: ['fp2'] }, 'precisions[0]', ''],
    [{ workload: { kind: 'trace', model: 'gpt2' } }, 'workload.summary', ''],
  ])('refuses %j and names the field', async (request, field, said) => {
    const { status, body } = await ask(request);
    const problems = (body['problems'] as { field: string }[] | undefined) ?? [];
    expect(status).toBe(400);
    expect([body['field'], ...problems.map((p) => p.field)]).toContain(field);
    expect(JSON.stringify(body)).toContain(said);
  });

  it('offers nothing that can be rented where nothing can', async () => {
    const view = await sized({ workload: llama70, scope: 'rentable', precisions: ['fp8'], gpus: ['H100'] });
    expect(view.shapes.every((s) => s.offers.length === 0)).toBe(true);
    expect(view.notes.join()).toContain('no offer in the catalog');
  });

  it('keeps to the asked places, prices and pricing', async () => {
    const view = await sized({
      workload: { kind: 'model', model: 'meta-llama/Llama-3.1-8B' },
      pricing: ['on-demand'],
      providers: ['aws'],
      maxPricePerHour: '5000000000',
    });
    const offers = view.shapes.flatMap((s) => s.offers);
    expect(offers.length).toBeGreaterThan(0);
    for (const o of offers) {
      expect([o.providerId, o.pricing]).toEqual(['aws', 'on-demand']);
      expect(nano(o.pricePerHour)).toBeLessThanOrEqual(5e9);
    }
  });
});

describe('POST /v1/sizing without a model', () => {
  it('finds machines for GPU-hours: fewer hours on faster ones, cheapest in all first', async () => {
    const view = await sized({ workload: { kind: 'gpu-hours', hours: 100, reference: 'A100-80GB-SXM' }, limit: 200 });
    const totals = view.machines.map((m) => nano(m.total));
    expect(totals).toEqual([...totals].sort((a, b) => a - b));
    const hours = (name: string) => view.machines.find((m) => m.accelerator === name)?.hours ?? Number.NaN;
    expect(hours('A100-80GB-SXM')).toBeCloseTo(100, 3);
    expect(hours('H100-SXM')).toBeLessThan(80);
  });

  it('takes GPU-hours as hours on that many of the reference, as placement does', async () => {
    const workload = { kind: 'gpu-hours', hours: 200, reference: 'A100-80GB-SXM', count: 8 } as const;
    const view = await sized({ workload, gpus: ['A100-80GB-SXM', 'H100-SXM'], limit: 200 });
    const hours = (name: string) => view.machines.find((m) => m.accelerator === name)?.hours ?? Number.NaN;
    expect(hours('A100-80GB-SXM')).toBeCloseTo(200, 3);
    expect(hours('H100-SXM')).toBeLessThan(160);
    expect(hours('H100-SXM')).toBeGreaterThan(60);
  });

  it('finds machines with what plain hardware asks for', async () => {
    const view = await sized({
      workload: { kind: 'hardware', count: 8, minVramGiB: 80, interconnect: 'nvswitch', hours: 2 },
      limit: 50,
    });
    expect(view.machines.length).toBeGreaterThan(0);
    for (const m of view.machines) {
      expect(m.count).toBeGreaterThanOrEqual(8);
      expect([m.intraNode, m.hours]).toEqual(['nvswitch', 2]);
      expect(nano(m.total)).toBe(2 * nano(m.pricePerHour));
    }
  });

  it('names the reference GPU that nobody knows', async () => {
    const { status, body } = await ask({ workload: { kind: 'gpu-hours', hours: 1, reference: 'H900' } });
    expect([status, body['code']]).toEqual([400, 'gpu-unknown']);
    expect(body['field']).toBe('workload.reference');
  });
});

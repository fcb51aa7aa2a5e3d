import { describe, expect, it } from '@jest/globals';
import { SeededRandom, systemClock, usd } from '#kernel';
import { sizingRequestSchema, workloadSchema, type Offer, type SizingView } from '#contracts';
import { Catalog } from '#market/catalog';
import { placementContext, Placements, rankList } from '#market/placement';
import { MemoryStore, WORKER } from '#platform/database';
import { Sizing } from './index.js';

const stated = { intraNode: 'nvswitch', intraNodeGBps: 900, interNode: 'infiniband', interNodeGbps: 3_200 } as const;
const unknown = { intraNode: 'unknown', intraNodeGBps: null, interNode: 'unknown', interNodeGbps: null } as const;

const offer = (id: string, over: Partial<Offer> = {}): Offer => ({
  id: `list:acme/${id}`,
  providerId: 'acme',
  providerKind: 'bare-metal',
  sku: id,
  region: 'us-east1',
  zone: null,
  country: 'US',
  accelerator: 'H100-SXM',
  acceleratorVendor: 'nvidia',
  count: 8,
  vramGiB: 80,
  interconnect: stated,
  vcpus: 96,
  ramGiB: 1_000,
  pricing: 'on-demand',
  pricePerHour: usd('16'),
  billing: { minimumS: 60, incrementS: 60 },
  stock: null,
  status: 'listed',
  source: 'list',
  observedAtMs: Date.now(),
  confidence: 1,
  doubts: [],
  certifications: [],
  via: { kind: 'market' },
  ...over,
});

async function sized(offers: readonly Offer[], request: unknown): Promise<SizingView> {
  const store = new MemoryStore(systemClock);
  const catalog = new Catalog();
  await store.transaction(WORKER, (tx) => catalog.publish(tx, offers));
  const times = { rentableTtlMs: 0, marketTtlMs: 0 };
  const placements = new Placements(store, catalog, systemClock, new SeededRandom('sizing'), times);
  return new Sizing(placements).size(sizingRequestSchema.parse(request));
}

describe('machines for GPU-hours', () => {
  const offers = [
    offer('stated'),
    offer('unknown', { interconnect: unknown }),
    offer('pcie', { accelerator: 'H100-PCIe', interconnect: { ...unknown, intraNode: 'pcie5' } }),
    offer('pcie-unknown', { accelerator: 'H100-PCIe', interconnect: unknown }),
  ];

  it('take as long as placement says, over every link', async () => {
    const work = { kind: 'gpu-hours', hours: 200, reference: 'A100-80GB-SXM' } as const;
    const { machines } = await sized(offers, { workload: { ...work, count: 8 } });
    const workload = workloadSchema.parse({ work, accelerator: { count: 8 } });
    const { ranked } = rankList(offers, workload, placementContext({ scope: 'market', nowMs: Date.now() }));
    const placed = new Map(ranked.map((r) => [r.offer.id, r.time.usefulS / 3_600]));
    expect(machines.map((m) => m.id).sort()).toEqual(offers.map((o) => o.id).sort());
    for (const m of machines) expect(m.hours).toBeCloseTo(placed.get(m.id) ?? Number.NaN, 3);
    const of = (sku: string) => machines.find((m) => m.sku === sku);
    expect(of('unknown')?.hours).toBeGreaterThan(of('stated')?.hours ?? Number.NaN);
    expect(of('unknown')?.notes.join()).toContain('not known: the link between its accelerators (counted as');
    expect(of('stated')?.notes).toEqual([]);
  });
});

describe('plain hardware', () => {
  it('is linked as placement has it: not for a single accelerator, and over AMD’s own link too', async () => {
    const offers = [
      offer('one', { count: 1, interconnect: { ...unknown, intraNode: 'none' } }),
      offer('mi300x', {
        accelerator: 'MI300X',
        acceleratorVendor: 'amd',
        vramGiB: 192,
        interconnect: { ...unknown, intraNode: 'xgmi' },
      }),
      offer('pcie', { accelerator: 'H100-PCIe', interconnect: { ...unknown, intraNode: 'pcie5' } }),
    ];
    const found = async (work: object) =>
      (await sized(offers, { workload: { kind: 'hardware', ...work } })).machines.map((m) => m.sku).sort();
    expect(await found({ count: 8, interconnect: 'nvlink' })).toEqual(['mi300x']);
    expect(await found({ count: 8, interconnect: 'nvswitch' })).toEqual([]);
    expect(await found({ count: 1, interconnect: 'nvlink' })).toEqual(['mi300x', 'one', 'pcie']);
  });
});

describe('replicas of several machines', () => {
  const workload = { kind: 'model', model: 'meta-llama/Llama-3.1-405B', contextTokens: 8_192, concurrency: 8 };
  const request = { workload, gpus: ['H100-SXM'], precisions: ['bf16'], limit: 200 };

  it('are on offer only where the machines are known to be joined, and say over what', async () => {
    const found = await sized(
      [offer('stated'), offer('unknown', { interconnect: unknown, pricePerHour: usd('1') })],
      request,
    );
    const two = found.shapes.filter((s) => s.gpus > 8);
    expect(two.length).toBeGreaterThan(0);
    for (const { offers } of two)
      expect(offers.map((o) => [o.sku, o.machines, o.notes])).toEqual([
        ['stated', 2, ['2 machines for each replica, over infiniband']],
      ]);
  });
});

describe('the prices that are looked at', () => {
  it('are those of machines that can work as one too, however many cheaper ones cannot', async () => {
    const cheap = Array.from({ length: 15 }, (_, n) =>
      offer(`cheap-${n}`, {
        interconnect: { ...stated, interNode: 'unknown', interNodeGbps: null },
        pricePerHour: usd('1'),
      }),
    );
    const workload = { kind: 'model', model: 'meta-llama/Llama-3.1-405B', contextTokens: 8_192, concurrency: 8 };
    const request = { workload, gpus: ['H100-SXM'], precisions: ['bf16'], limit: 200 };
    const { shapes } = await sized([...cheap, offer('stated')], request);
    expect(shapes.find((s) => s.gpus > 8)?.offers.map((o) => o.sku)).toEqual(['stated']);
  });
});

describe('lengths that are told in part', () => {
  const model = 'meta-llama/Llama-3.1-8B';
  const demand = async (lengths: object) =>
    (await sized([], { workload: { kind: 'model', model, ...lengths }, gpus: ['H100-SXM'], limit: 1 })).demand;

  it('leave a usual answer or prompt beside them', async () => {
    expect(await demand({ inputTokens: 9_000 })).toMatchObject({ contextTokens: 10_286, outputTokens: 1_286 });
    expect(await demand({ outputTokens: 2_000 })).toMatchObject({ contextTokens: 16_000, inputTokens: 14_000 });
    expect(await demand({ inputTokens: 512 })).toMatchObject({ contextTokens: 8_192, outputTokens: 1_024 });
    expect(await demand({ inputTokens: 131_000 })).toMatchObject({ contextTokens: 131_072, outputTokens: 72 });
  });

  it.each([
    ['workload.inputTokens', { inputTokens: 200_000, outputTokens: 1_000 }],
    ['workload.inputTokens', { inputTokens: 131_072 }],
    ['workload.outputTokens', { outputTokens: 131_072 }],
    ['workload.concurrency', { concurrency: 8, volume: { inputTokens: 1e9, outputTokens: 1e9 } }],
  ])('are refused by %s where the model takes less, or the load is told twice', async (field, over) => {
    await expect(demand(over)).rejects.toMatchObject({ details: { field } });
  });

  it('of a trace with a few enormous requests hold the mean one', async () => {
    const lines = ['arrival_s,input_tokens,output_tokens'];
    for (let i = 0; i < 400; i++) lines.push(`${i},${i < 3 ? 9_000_000 : 1},1`);
    const text = lines.join('\n');
    const { demand: d } = await sized([], { workload: { kind: 'trace', model, text }, gpus: ['H100-SXM'], limit: 1 });
    expect(d?.contextTokens).toBeGreaterThan(60_000);
  });
});

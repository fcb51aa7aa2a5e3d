import { beforeAll, describe, expect, it } from '@jest/globals';
import type { Offer } from '#contracts';
import { accelerator } from '#hardware';
import { importFsdlCloud, importGpuPricing, readSnapshot, type ImportResult } from './index.js';

let snapshot: ImportResult = { offers: [], skipped: [] };
const of = (source: string): Offer[] => snapshot.offers.filter((o) => o.source === source);

beforeAll(async () => {
  snapshot = await readSnapshot();
});

describe('the whole snapshot', () => {
  it('has the offers that the lists hold, each with a stable and unique id', () => {
    const counts = new Map<string, number>();
    for (const o of snapshot.offers)
      counts.set(`${o.source} ${o.pricing}`, (counts.get(`${o.source} ${o.pricing}`) ?? 0) + 1);
    expect(Object.fromEntries(counts)).toEqual({
      'aws-ec2 on-demand': 93,
      'azure-vm on-demand': 971,
      'gcp-compute on-demand': 554,
      'gcp-compute spot': 554,
      'gcp-compute reserved-1y': 466,
      'gcp-compute reserved-3y': 466,
      'gpu-pricing on-demand': 141,
      'gpu-pricing spot': 57,
      'fsdl-cloud on-demand': 166,
      'fsdl-cloud spot': 45,
      'fsdl-serverless on-demand': 72,
    });
    expect(new Set(snapshot.offers.map((o) => o.id)).size).toBe(snapshot.offers.length);
  });

  it('holds only canonical accelerators, positive prices, known countries of cloud regions, and a reason for every skipped line', () => {
    for (const o of snapshot.offers) {
      const a = accelerator(o.accelerator);
      expect(a?.vendor).toBe(o.acceleratorVendor);
      expect(o.pricePerHour).toBeGreaterThan(0n);
      expect(o.vramGiB).toBeGreaterThan(0);
      expect(o.vramGiB).toBeLessThanOrEqual(a?.vramGiB ?? 0);
      expect(o.confidence).toBeGreaterThan(0);
      expect(o.confidence).toBeLessThanOrEqual(1);
      if (o.region !== 'unknown') expect(o.country).toMatch(/^[A-Z]{2}$/);
    }
    for (const s of snapshot.skipped) expect(s.reason.length).toBeGreaterThan(10);
  });
});

describe('gpu-pricing', () => {
  it('keeps memory per GPU and skips nothing', () => {
    expect(snapshot.skipped.filter((s) => s.source === 'gpu-pricing')).toEqual([]);
    expect(of('gpu-pricing').find((o) => o.providerId === 'coreweave' && o.accelerator === 'H100-PCIe')).toMatchObject({
      vramGiB: 80,
      count: 1,
    });
  });

  it('doubts spot that costs more than the same card on demand', () => {
    const dear = of('gpu-pricing').filter((o) => o.doubts.some((d) => d.includes('more than on-demand')));
    expect(dear.map((o) => [o.providerId, o.accelerator]).sort()).toEqual([
      ['runpod', 'A100-80GB-SXM'],
      ['runpod', 'H100-SXM'],
      ['runpod', 'RTX-4090'],
    ]);
  });

  it('sells an 8-GPU node as 8 GPUs at 8 times the price per GPU', () => {
    const node = of('gpu-pricing').find((o) => o.providerId === 'vultr' && o.count === 8);
    expect(node).toMatchObject({ accelerator: 'L40S', pricePerHour: 6_784_000_000n });
  });

  it('doubts spot tiers that cannot be had and believes stale pages less', () => {
    for (const o of of('gpu-pricing').filter((x) => x.providerId === 'novita' && x.pricing === 'spot'))
      expect(o.doubts).not.toEqual([]);
    for (const o of of('gpu-pricing').filter((x) => x.providerId === 'tensordock'))
      expect(o.confidence).toBeLessThanOrEqual(0.3);
  });

  it('takes the lesser memory where the list contradicts the card, and believes it less', () => {
    const b300 = of('gpu-pricing').find((o) => o.providerId === 'akash' && o.accelerator === 'B300');
    expect(b300).toMatchObject({ vramGiB: 180, confidence: 0.35 });
  });

  it('doubts a price below the electricity of the card and skips a price of zero', () => {
    const row = {
      id: 'x-h100',
      provider_id: 'x',
      gpu_model: 'NVIDIA H100 SXM',
      vram_gb: 80,
      interconnect: 'SXM',
      tier: 'on-demand',
      is_spot: false,
      vcpu: null,
      ram_gb: null,
      notes: '',
      collected_at: '2026-05-24',
    };
    const { offers, skipped } = importGpuPricing(
      JSON.stringify([
        { ...row, price_usd_hour: 0.01 },
        { ...row, id: 'x-free', price_usd_hour: 0 },
      ]),
      '[{"id":"x"}]',
    );
    expect(offers[0]?.doubts).toEqual(['price is below what the electricity of 1 x H100-SXM costs']);
    expect(skipped).toEqual([{ source: 'gpu-pricing', line: 2, reason: 'x-free: price is not above zero' }]);
  });
});

describe('fsdl', () => {
  const id = (o: Offer): string => `${o.providerId} ${o.sku}`;

  it('divides the memory of the instance by its GPUs', () => {
    const p4de = of('fsdl-cloud').find((o) => o.sku.startsWith('p4de.24xlarge'));
    expect(p4de).toMatchObject({ accelerator: 'A100-80GB-SXM', count: 8, vramGiB: 80 });
    for (const o of of('fsdl-cloud')) expect([id(o), o.vramGiB]).toEqual([id(o), accelerator(o.accelerator)?.vramGiB]);
  });

  it('keeps one Google machine type with different GPUs apart', () => {
    const n1 = of('fsdl-cloud').filter((o) => o.sku.startsWith('n1-highmem-8+') && o.pricing === 'on-demand');
    expect(n1.map((o) => o.accelerator).sort()).toEqual(['K80', 'P100', 'P4', 'T4', 'V100-16GB']);
  });

  it('numbers the same machine at two prices and skips exact repeats and rows without an instance price', () => {
    const cudo = of('fsdl-cloud').filter(
      (o) => o.providerId === 'cudo-compute' && o.accelerator === 'RTX-A4000' && o.count === 1 && o.vcpus === 2,
    );
    expect(cudo.map((o) => o.id.endsWith('#2'))).toEqual([false, true]);
    const reasons = snapshot.skipped.filter((s) => s.source === 'fsdl-cloud').map((s) => s.reason);
    expect(reasons.filter((r) => r.includes('repeats'))).toHaveLength(4);
    expect(reasons.filter((r) => r.includes('Exoscale'))).toHaveLength(6);
  });

  it('reads ranges by their lower end and odd cells ("$0.4", "16GB")', () => {
    expect(of('fsdl-cloud').find((o) => o.providerId === 'dataoorts' && o.accelerator === 'T4')).toMatchObject({
      vcpus: 4,
      ramGiB: 12,
    });
    expect(of('fsdl-serverless').find((o) => o.providerId === 'mystic-ai' && o.accelerator === 'T4')).toMatchObject({
      pricePerHour: 400_000_000n,
      vramGiB: 16,
      vcpus: null,
    });
  });

  it('gives a 20 GB slice of an A100 20 GB and believes it less', () => {
    const slice = of('fsdl-serverless').find((o) => o.providerId === 'modal' && o.vramGiB === 20);
    expect(slice?.accelerator).toContain('A100-40GB');
    expect(slice?.confidence).toBeLessThan(0.3);
  });

  it('promises no link where the form of the card is not told', () => {
    const lambda = of('fsdl-cloud').find(
      (o) => o.providerId === 'lambda' && o.accelerator.startsWith('A100-80GB') && o.count === 8,
    );
    expect(lambda?.interconnect.intraNode).toBe('unknown');
  });

  it('is pure: the same text gives the same offers', () => {
    const csv =
      'Cloud,GPU Type,GPU Arch,GPUs,GPU RAM,vCPUs,RAM,On-demand,Per-GPU,Spot,Name\nX,T4 (16 GB),Turing,2,32,8,32,1.00,0.50,1.20,n\n';
    const result = importFsdlCloud(csv, 5);
    expect(importFsdlCloud(csv, 5)).toEqual(result);
    expect(result.offers.map((o) => [o.pricing, o.vramGiB, o.observedAtMs, o.doubts.length])).toEqual([
      ['on-demand', 16, 5, 0],
      ['spot', 16, 5, 1],
    ]);
  });
});

import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError, usd } from '#kernel';
import { importVastAi } from './vast-ai.js';

const AT = Date.UTC(2026, 10, 20);
const ask = {
  id: 1,
  gpu_name: 'RTX 4090',
  num_gpus: 1,
  gpu_ram: 24_564,
  dph_total: 0.42,
  cuda_max_good: 12.8,
  driver_version: '570.86.16',
  compute_cap: 890,
};
const read = (...asks: readonly unknown[]) => importVastAi(JSON.stringify(asks), AT);
const first = (over: object) => read({ ...ask, ...over }).offers[0];

describe('asks of vast.ai', () => {
  it('become offers with what hosts say is installed, on demand and at the least bid', () => {
    const text = readFileSync(join(import.meta.dirname, '../../../../docs/samples/catalog/vast-ai.json'), 'utf8');
    const { offers, skipped } = importVastAi(text, AT);
    expect(offers.map((o) => [o.sku, o.accelerator, o.count, o.pricing, o.country, o.software])).toEqual([
      ['ask-9100001', 'RTX-4090', 1, 'on-demand', 'SE', { driver: '570.86.16', cuda: '12.8' }],
      ['ask-9100001', 'RTX-4090', 1, 'spot', 'SE', { driver: '570.86.16', cuda: '12.8' }],
      ['ask-9100002', 'RTX-4090', 2, 'on-demand', 'US', { driver: '535.183.01', cuda: '12.2' }],
      ['ask-9100002', 'RTX-4090', 2, 'spot', 'US', { driver: '535.183.01', cuda: '12.2' }],
      ['ask-9100003', 'H100-SXM', 8, 'on-demand', 'NO', { driver: '580.95.05', cuda: '13.0' }],
      ['ask-9100003', 'H100-SXM', 8, 'spot', 'NO', { driver: '580.95.05', cuda: '13.0' }],
      ['ask-9100004', 'A100-80GB-SXM', 4, 'on-demand', 'DE', { driver: '550.54.14', cuda: '12.4' }],
      ['ask-9100005', 'RTX-5090', 1, 'on-demand', 'CA', { driver: '570.124.06', cuda: '12.8' }],
      ['ask-9100005', 'RTX-5090', 1, 'spot', 'CA', { driver: '570.124.06', cuda: '12.8' }],
    ]);
    expect(skipped.map(({ line, reason }) => [line, reason])).toEqual([
      [6, 'ask-9100006: cannot be rented now'],
      [7, 'ask-9100007: GPU "RTX 9999" is unknown'],
    ]);
    expect(offers[0]).toMatchObject({ pricePerHour: usd('0.42'), region: 'Sweden', vcpus: 8, ramGiB: 64, vramGiB: 24 });
    expect(offers[0]?.confidence).toBeGreaterThan(offers[2]?.confidence ?? 1);
    expect(offers.map((o) => o.interconnect.intraNode).slice(2, 7)).toEqual([
      ...['pcie4', 'pcie4', 'nvswitch', 'nvswitch', 'nvswitch'],
    ]);
  });

  it('leave unknown what is no version, and keep a capability that the name does not tell', () => {
    const plain = { id: 1, gpu_name: 'RTX_4090', num_gpus: 2, gpu_ram: 24_564, dph_total: 0.42 };
    const [offer] = read(plain).offers;
    expect(offer).not.toHaveProperty('software');
    expect(offer).toMatchObject({ country: null, region: 'unknown', vcpus: null, ramGiB: null });
    expect(offer?.interconnect).toMatchObject({ intraNode: 'unknown', intraNodeGBps: null });
    expect(first({ driver_version: 'N/A', cuda_max_good: '' })).not.toHaveProperty('software');
    expect(first({ compute_cap: 900 })?.software?.computeCapability).toBe('9.0');
    expect(first({ gpu_name: 'MI300X', gpu_ram: 196_608 })).not.toHaveProperty('software');
    expect(first({ num_gpus: 2, bw_nvlink: 50, driver_version: 7, pci_gen: 'four' })).toMatchObject({
      interconnect: { intraNode: 'nvlink', intraNodeGBps: null },
      software: { cuda: '12.8' },
    });
  });

  it('are skipped by element where they make no sense, and refused where they are no list', () => {
    const { offers, skipped } = read({ ...ask, num_gpus: 0 }, ask, null, { ...ask, id: 2, dph_total: 0 });
    expect(offers).toHaveLength(1);
    expect(skipped.map(({ line }) => line)).toEqual([1, 3, 4]);
    for (const text of ['{"offers":{}}', '{}', '1', 'null']) expect(() => importVastAi(text, AT)).toThrow(DomainError);
  });
});

import { describe, expect, it } from '@jest/globals';
import { accelerator, accelerators, acceleratorMatches, normalizeAccelerator } from './index.js';

describe('accelerator table', () => {
  it('has each name once and only positive figures', () => {
    expect(new Set(accelerators.map((a) => a.name)).size).toBe(accelerators.length);
    for (const a of accelerators) {
      expect(a.memoryGBps).toBeGreaterThan(0);
      expect(a.fp16Tflops).toBeGreaterThan(0);
      expect(normalizeAccelerator(a.name)).toBe(a.name);
      expect(acceleratorMatches(a.name, a.name)).toBe(true);
    }
  });

  it.each([
    ['T4', 16, 65, 32],
    ['L4', 24, 121, 64],
    ['A10G', 24, 70, 64],
    ['A100-40GB-SXM', 40, 312, 600],
    ['A100-80GB-SXM', 80, 312, 600],
    ['H100-SXM', 80, 989, 900],
    ['H200', 141, 989, 900],
    ['B200', 192, 2250, 1800],
  ])('states the field figures of %s (row D6)', (name, vramGiB, fp16Tflops, linkGBps) => {
    expect(accelerator(name)).toMatchObject({ vramGiB, fp16Tflops, linkGBps });
  });

  it('gives H100 PCIe 7 times less link than H100 SXM', () => {
    const ratio = (accelerator('H100-SXM')?.linkGBps ?? 0) / (accelerator('H100-PCIe')?.linkGBps ?? 1);
    expect(Math.round(ratio)).toBe(7);
  });
});

describe('normalizeAccelerator', () => {
  // Every spelling of A100 and H100 in the shipped price lists, with the memory and form their rows carry.
  it.each([
    ['NVIDIA A100 PCIe', 80, 'PCIe', 'A100-80GB-PCIe'],
    ['NVIDIA A100 PCIe', 40, 'PCIe', 'A100-40GB-PCIe'],
    ['NVIDIA A100', 80, null, 'A100-80GB-PCIe'],
    ['NVIDIA A100', 40, null, 'A100-40GB-PCIe'],
    ['NVIDIA A100 SXM4', 40, 'NVLink', 'A100-40GB-SXM'],
    ['NVIDIA A100 SXM4', 80, 'SXM', 'A100-80GB-SXM'],
    ['NVIDIA A100 SXM', 80, 'SXM', 'A100-80GB-SXM'],
    ['NVIDIA A100 80GB PCIe', 80, 'PCIe', 'A100-80GB-PCIe'],
    ['NVIDIA A100 80GB SXM', 80, 'SXM', 'A100-80GB-SXM'],
    ['NVIDIA A100 80GB', 80, null, 'A100-80GB-PCIe'],
    ['NVIDIA A100 40GB', 40, null, 'A100-40GB-PCIe'],
    ['NVIDIA A100 NVLink', 40, 'NVLink', 'A100-40GB-SXM'],
    ['NVIDIA A100 80GB NVLink', 80, 'NVLink', 'A100-80GB-SXM'],
    ['A100 SXM', 80, 'SXM', 'A100-80GB-SXM'],
    ['A100 (80 GB)', 80, null, 'A100-80GB-PCIe'],
    ['A100 (40 GB)', 40, null, 'A100-40GB-PCIe'],
    ['a100-80gb', undefined, null, 'A100-80GB-PCIe'],
    ['NVIDIA H100 PCIe', 80, 'PCIe', 'H100-PCIe'],
    ['NVIDIA H100 SXM', 80, 'SXM', 'H100-SXM'],
    ['NVIDIA H100 SXM5', 80, 'NVLink', 'H100-SXM'],
    ['NVIDIA H100', 80, null, 'H100-PCIe'],
    ['NVIDIA HGX H100', 80, 'SXM', 'H100-SXM'],
    ['NVIDIA HGX H100 SXM', 80, 'SXM', 'H100-SXM'],
    ['H100 SXM', 80, 'SXM', 'H100-SXM'],
    ['NVIDIA H100 NVL', 94, 'NVL', 'H100-NVL'],
    ['NVIDIA H100 PCIe NVLink', 80, 'NVLink', 'H100-PCIe'],
    ['H100 HGX (80GB)', 80, null, 'H100-SXM'],
    ['H100 PCIe (80GB)', 80, null, 'H100-PCIe'],
    ['H100 (80 GB)', 80, null, 'H100-PCIe'],
    ['NVIDIA H100-SXM-80GB', undefined, null, 'H100-SXM'],
    ['NVIDIA H100-PCIe-80GB', undefined, null, 'H100-PCIe'],
    ['h100-80gb-mega', undefined, null, 'H100-PCIe'],
  ])('%s with %s GB and form %s is %s', (raw, vramGiB, form, expected) => {
    expect(normalizeAccelerator(raw, { vramGiB, form })).toBe(expected);
  });

  it.each([
    ['a100', { instance: 'a2-highgpu-8g', vramGiB: 40 }, 'A100-40GB-SXM'],
    ['h100-80gb', { instance: 'a3-highgpu-1g' }, 'H100-SXM'],
    ['a100', { instance: 'p4de.24xlarge', vramGiB: 80 }, 'A100-80GB-SXM'],
    ['h200', { instance: 'p5e.48xlarge', vramGiB: 141 }, 'H200'],
    ['NVIDIA H200', {}, 'H200'],
    ['NVIDIA B200 NVL', { vramGiB: 180 }, 'B200'],
    ['NVIDIA B200 SXM6', { vramGiB: 180 }, 'B200'],
    ['NVIDIA HGX B300', { vramGiB: 288 }, 'B300'],
    ['NVIDIA B300 SXM6', { vramGiB: 262 }, 'B300'],
    ['NVIDIA GB300 SXM6', {}, 'GB300'],
    ['Tesla V100 SXM2', { vramGiB: 16 }, 'V100-16GB'],
    ['v100', { vramGiB: 32 }, 'V100-32GB'],
    ['NVIDIA GeForce RTX 4090', {}, 'RTX-4090'],
    ['RTX 4090 (High freq.)', {}, 'RTX-4090'],
    ['3080Ti (12 GB)', {}, 'RTX-3080-Ti'],
    ['RTX 3080', {}, 'RTX-3080'],
    ['A6000 (48 GB)', {}, 'RTX-A6000'],
    ['NVIDIA RTX PRO-A6000 SE', { vramGiB: 96 }, 'RTX-PRO-6000'],
    ['RTX Pro 6000 Blackwell', { vramGiB: 96 }, 'RTX-PRO-6000'],
    ['NVIDIA RTX 6000 Pro', { vramGiB: 96 }, 'RTX-PRO-6000'],
    ['RTX PRO 6000 WE', { vramGiB: 96 }, 'RTX-PRO-6000'],
    ['rtx-pro-server-6000', { vramGiB: 96 }, 'RTX-PRO-6000'],
    ['rtx6000', { vramGiB: 96 }, 'RTX-PRO-6000'],
    ['Quadro RTX 6000 (24 GB)', {}, 'Quadro-RTX-6000'],
    ['RTX5000 (16 GB)', {}, 'Quadro-RTX-5000'],
    ['RTX 6000 Ada', { vramGiB: 48 }, 'RTX-6000-Ada'],
    ['NVIDIA RTX 6000 Ada Generation', {}, 'RTX-6000-Ada'],
    ['AMD MI300X', {}, 'MI300X'],
    ['inferentia', {}, 'Inferentia1'],
    ['trainium2', {}, 'Trainium2'],
    ['qualcomm-ai100', {}, 'Qualcomm-AI100'],
    ['TPU v5e', {}, 'TPU-v5e'],
    ['radeon-pro-v520', {}, 'Radeon-V520'],
    ['rtx6000', {}, null],
    ['Voodoo 2', {}, null],
    ['', {}, null],
  ])('%s with %j is %s', (raw, hints, expected) => {
    expect(normalizeAccelerator(raw, hints)).toBe(expected);
  });
});

describe('acceleratorMatches', () => {
  it.each([
    ['H100', 'H100-SXM', true],
    ['H100', 'H100-PCIe', true],
    ['h100', 'H100-NVL', true],
    ['h100-sxm', 'H100-SXM', true],
    ['H100 SXM5', 'H100-SXM', true],
    ['h100-sxm', 'H100-PCIe', false],
    ['H100', 'H200', false],
    ['H100', 'GH200', false],
    ['A100', 'A100-40GB-PCIe', true],
    ['A100-80GB', 'A100-80GB-SXM', true],
    ['A100-80GB', 'A100-80GB-PCIe', true],
    ['A100 80GB', 'A100-40GB-SXM', false],
    ['A100-80GB-SXM', 'A100-80GB-PCIe', false],
    ['A10', 'A10G', false],
    ['L40', 'L40S', false],
    ['RTX 3080', 'RTX-3080-Ti', false],
    ['rtx 4090', 'RTX-4090', true],
    ['NVIDIA L4', 'L4', true],
    ['V100', 'V100-32GB', true],
    ['B200', 'GB200', false],
    ['MI250', 'MI250X', false],
    ['RTX 6000', 'RTX-PRO-6000', true],
    ['RTX 6000', 'RTX-A6000', false],
    ['Voodoo 2', 'T4', false],
    // Names that every object has are no cards.
    ['constructor', 'T4', false],
  ])('%s against %s: %s', (wanted, canonical, expected) => {
    expect(acceleratorMatches(wanted, canonical)).toBe(expected);
  });
});

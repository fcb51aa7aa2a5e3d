import { describe, expect, it } from '@jest/globals';
import { normalizeAccelerator } from './names.js';

/** What nvidia-smi and rocm-smi print on real machines, with the memory they report (GiB). Acceptance and host offers rest on it. */
describe('the names that drivers print', () => {
  it.each([
    ['NVIDIA H100 80GB HBM3', 79.6, 'H100-SXM'],
    ['NVIDIA H100 PCIe', 79.6, 'H100-PCIe'],
    ['NVIDIA H100 NVL', 93.6, 'H100-NVL'],
    ['NVIDIA H200', 140.4, 'H200'],
    ['NVIDIA H200 NVL', 140.4, 'H200-NVL'],
    ['NVIDIA B200', 179, 'B200'],
    ['NVIDIA GH200 480GB', 95.6, 'GH200'],
    ['NVIDIA A100-SXM4-80GB', 80, 'A100-80GB-SXM'],
    ['NVIDIA A100-SXM4-40GB', 40, 'A100-40GB-SXM'],
    ['NVIDIA A100 80GB PCIe', 80, 'A100-80GB-PCIe'],
    ['NVIDIA A100-PCIE-40GB', 40, 'A100-40GB-PCIe'],
    ['Tesla V100-SXM2-16GB', 16, 'V100-16GB'],
    ['Tesla V100-SXM2-32GB', 32, 'V100-32GB'],
    ['Tesla V100-PCIE-16GB', 16, 'V100-16GB'],
    ['Tesla T4', 15, 'T4'],
    ['Tesla P100-PCIE-16GB', 16, 'P100'],
    ['NVIDIA A10', 22.5, 'A10'],
    ['NVIDIA A10G', 22.5, 'A10G'],
    ['NVIDIA L4', 22.5, 'L4'],
    ['NVIDIA L40S', 45, 'L40S'],
    ['NVIDIA L40', 45, 'L40'],
    ['NVIDIA RTX A6000', 48, 'RTX-A6000'],
    ['NVIDIA RTX 6000 Ada Generation', 48, 'RTX-6000-Ada'],
    ['NVIDIA GeForce RTX 4090', 24, 'RTX-4090'],
    ['NVIDIA GeForce RTX 3090', 24, 'RTX-3090'],
    ['NVIDIA GeForce RTX 5090', 31.8, 'RTX-5090'],
    ['NVIDIA RTX PRO 6000 Blackwell Server Edition', 95.6, 'RTX-PRO-6000'],
    ['AMD Instinct MI300X OAM', 191.7, 'MI300X'],
    ['AMD Instinct MI300X', 191.7, 'MI300X'],
  ])('%s', (name, vramGiB, canonical) => {
    expect(normalizeAccelerator(name, { vramGiB })).toBe(canonical);
  });
});

import { describe, expect, it } from '@jest/globals';
import { accelerators, compareVersions, computeCapability, cudaWindow, leastDriverFor, leastRocm } from './index.js';

describe('versions', () => {
  it('are compared by their numbers', () => {
    expect(compareVersions('550.54.14', '550.54')).toBeGreaterThan(0);
    expect(compareVersions('12.10', '12.9')).toBeGreaterThan(0);
    expect(compareVersions('550', '550.0')).toBe(0);
    expect(compareVersions('525.60.13', '535')).toBeLessThan(0);
    expect(compareVersions('6.2.0-66', '6.2')).toBe(0);
    expect(compareVersions('', '1')).toBeNull();
    expect(compareVersions('unknown', '1')).toBeNull();
  });
});

describe('leastDriverFor', () => {
  it('is what came with the toolkit', () => {
    expect(leastDriverFor('12.4')).toBe('550.54.14');
    expect(leastDriverFor('12.4.1')).toBe('550.54.14');
    expect(leastDriverFor('12.7')).toBe('560.28.03');
    expect(leastDriverFor('11.8')).toBe('520.61.05');
    expect(leastDriverFor('13.1')).toBe('590.44.01');
    expect(leastDriverFor('13.2.1')).toBe('595.45.04');
  });
  it('is not known for what is newer or older than the table, or no version', () => {
    expect(leastDriverFor('14.0')).toBeNull();
    expect(leastDriverFor('13.4')).toBeNull();
    expect(leastDriverFor('7.5')).toBeNull();
    expect(leastDriverFor('new')).toBeNull();
  });
});

describe('computeCapability', () => {
  it('is known for every NVIDIA accelerator and for no other', () => {
    for (const a of accelerators) {
      if (a.vendor === 'nvidia') expect({ name: a.name, cc: computeCapability(a.name) }).not.toHaveProperty('cc', null);
      else expect({ name: a.name, cc: computeCapability(a.name) }).toEqual({ name: a.name, cc: null });
    }
    expect(['H100-PCIe', 'A10G', 'A100-40GB-SXM', 'A30', 'L4', 'T4'].map(computeCapability)).toEqual([
      '9.0',
      '8.6',
      '8.0',
      '8.0',
      '8.9',
      '7.5',
    ]);
  });
});

describe('cudaWindow', () => {
  const windowOf = (name: string) => cudaWindow(computeCapability(name) ?? '');

  it('is known for every NVIDIA accelerator, and its first driver runs its first CUDA', () => {
    for (const { name, vendor } of accelerators.filter((a) => a.vendor === 'nvidia')) {
      const window = windowOf(name);
      expect({ name, vendor, window }).not.toHaveProperty('window', null);
      const branch = leastDriverFor(window?.leastCuda ?? '')?.split('.')[0];
      if (branch !== undefined) expect(compareVersions(branch, window?.leastDriver ?? '')).toBeGreaterThanOrEqual(0);
      if (window?.lastCuda) expect(compareVersions(window.lastCuda, window.leastCuda)).toBeGreaterThan(0);
    }
  });

  it('begins with the driver that first knew the card, and ends with the last toolkit that makes code for it', () => {
    expect(windowOf('B200')).toEqual({ leastDriver: '570', leastCuda: '12.8', lastCuda: null });
    expect(windowOf('V100-32GB-SXM')?.lastCuda).toBe('12.9');
    expect(windowOf('T4')?.lastCuda).toBeNull();
    expect(windowOf('K80')?.lastCuda).toBe('11.8');
    expect(cudaWindow('99.0')).toBeNull();
    expect(cudaWindow('toString')).toBeNull();
  });
});

describe('leastRocm', () => {
  it('is known for cards that came with a release, and for no other', () => {
    expect(['MI355X', 'MI300X', 'MI100', 'H100-SXM', 'toString'].map(leastRocm)).toEqual([
      '7.0',
      '6.0',
      null,
      null,
      null,
    ]);
  });
});

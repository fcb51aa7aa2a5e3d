import { describe, expect, it } from '@jest/globals';
import { hostFactsSchema, type HostFacts } from './agent-protocol.js';

const facts: HostFacts = {
  hostname: 'box',
  os: 'linux',
  arch: 'x64',
  vcpus: 100_000,
  cpuModel: '',
  ramGiB: 1_000_000,
  diskFreeGiB: 1,
  gpus: [{ index: 0, name: 'H100', uuid: 'u', vramGiB: 10_000, driverVersion: '' }],
  gpuLink: '',
  agentVersion: '1',
  engines: [],
};

describe('facts of a machine', () => {
  it('are as large as those of the largest offer', () => {
    expect(hostFactsSchema.safeParse(facts).success).toBe(true);
  });

  it.each<[string, Partial<HostFacts>]>([
    ['vcpus', { vcpus: 1e308 }],
    ['ramGiB', { ramGiB: 1e7 }],
    ['gpus.0.vramGiB', { gpus: facts.gpus.map((gpu) => ({ ...gpu, vramGiB: 10_001 })) }],
  ])('are refused where %s is that of no machine', (path, over) => {
    const { error } = hostFactsSchema.safeParse({ ...facts, ...over });
    expect(error?.issues.map((issue) => issue.path.join('.'))).toEqual([path]);
  });
});

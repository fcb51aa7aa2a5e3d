import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { describe, expect, it } from '@jest/globals';
import { hostFactsSchema, telemetrySchema } from '#contracts';
import { AGENT_VERSION } from '../version.js';
import { Machine, type Tool } from './machine.js';
import {
  parseNvidiaDomains,
  parseNvidiaFacts,
  parseNvidiaInstances,
  parseNvidiaLoad,
  parseNvidiaMigMode,
  parseNvidiaTopology,
} from './nvidia-smi.js';
import { parseRocmDomains, parseRocmFacts, parseRocmLoad, parseRocmTopology } from './rocm-smi.js';

// In the form the tools document; not recorded on one machine.
const NVIDIA_FACTS = `0, NVIDIA H100 80GB HBM3, GPU-1f2a4c8e-0000-4d21-9b5e-aaaaaaaaaaaa, 81559, 550.54.15
1, NVIDIA H100 80GB HBM3, GPU-2f2a4c8e-0000-4d21-9b5e-bbbbbbbbbbbb, 81559, 550.54.15
`;
const NVIDIA_LOAD = `0, 97, 70123, 64
1, [N/A], 512, [N/A]
`;
const NVIDIA_TOPOLOGY = `\t\u001b[4mGPU0\tGPU1\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\u001b[0m
GPU0\t X \tNV18\tPIX\t0-55\t0\t\tN/A
GPU1\tNV18\t X \tSYS\t0-55\t0\t\tN/A
NIC0\tPIX\tSYS\t X

Legend:

  X    = Self
`;
const NVIDIA_LIST = `GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1f2a4c8e-0000-4d21-9b5e-aaaaaaaaaaaa)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-2f2a4c8e-0000-4d21-9b5e-bbbbbbbbbbbb)
  MIG 3g.40gb     Device  0: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)
  MIG 1g.10gb+me  Device  1: (UUID: MIG-28876bd1-0000-5b6c-9b5e-cccccccccccc)
`;
const ROCM = JSON.stringify({
  card0: {
    'Unique ID': '0x8f3a1c',
    'VRAM Total Memory (B)': '206141652992',
    'VRAM Total Used Memory (B)': '1073741824',
    'Card Series': 'AMD Instinct MI300X OAM',
    'GPU use (%)': '42',
    'Temperature (Sensor junction) (C)': '51.0',
  },
  card1: {
    'Unique ID': '0x8f3a1d',
    'VRAM Total Memory (B)': '206141652992',
    'VRAM Total Used Memory (B)': '0',
    'Card series': 'AMD Instinct MI300X OAM',
    'GPU use (%)': 'N/A',
    'Temperature (Sensor edge) (C)': '40.0',
  },
  system: { 'Driver version': '6.7.0', '(Topology) Link type between DRM devices 0 and 1': 'XGMI' },
});

describe('what the driver tools tell', () => {
  it('reads NVIDIA cards, their load and their links', () => {
    expect(parseNvidiaFacts(NVIDIA_FACTS)).toMatchObject([
      { index: 0, name: 'NVIDIA H100 80GB HBM3', vramGiB: 81559 / 1024, driverVersion: '550.54.15' },
      { index: 1, uuid: 'GPU-2f2a4c8e-0000-4d21-9b5e-bbbbbbbbbbbb' },
    ]);
    expect(parseNvidiaLoad(NVIDIA_LOAD)).toEqual([
      { index: 0, utilization: 0.97, memoryUsedGiB: 70123 / 1024, temperatureC: 64 },
      { index: 1, utilization: 0, memoryUsedGiB: 0.5, temperatureC: 0 },
    ]);
    expect(parseNvidiaTopology(NVIDIA_TOPOLOGY, 2)).toBe('nvlink');
    expect(parseNvidiaTopology(NVIDIA_TOPOLOGY.replaceAll('NV18', 'PHB'), 2)).toBe('pcie');
    expect(parseNvidiaTopology('', 2)).toBe('unknown');
    expect(parseNvidiaTopology('', 1)).toBe('none');
  });
  it('finds the GPUs that reach each other over fast links alone', () => {
    const matrix = (link: (a: number, b: number) => string): string =>
      Array.from({ length: 8 }, (_, a) =>
        [`GPU${a}`, ...Array.from({ length: 8 }, (_, b) => (a === b ? 'X' : link(a, b)))].join('\t'),
      ).join('\n');
    const half = (gpu: number): number => Math.floor(gpu / 4);
    const whole = [0, 1, 2, 3, 4, 5, 6, 7];
    expect(
      parseNvidiaDomains(
        matrix(() => 'NV18'),
        8,
      ),
    ).toEqual([whole]);
    expect(
      parseNvidiaDomains(
        matrix(() => 'SYS'),
        8,
      ),
    ).toEqual(whole.map((gpu) => [gpu]));
    // Eight V100 in a cube: each of one half has one link into the other.
    const cube = matrix((a, b) => (half(a) === half(b) ? 'NV1' : a % 4 === b % 4 ? 'NV2' : 'SYS'));
    expect(parseNvidiaDomains(cube, 8)).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ]);
    const bridges = matrix((a, b) => (a >> 1 === b >> 1 ? 'NV12' : 'NODE'));
    expect(parseNvidiaDomains(bridges, 8)).toHaveLength(4);
    expect(parseNvidiaDomains('', 8)).toBeUndefined();
    expect(parseNvidiaDomains(NVIDIA_TOPOLOGY, 1)).toBeUndefined();
    expect(parseRocmDomains(ROCM, 2)).toEqual([[0, 1]]);
    expect(parseRocmDomains(ROCM.replace('XGMI', 'PCIE'), 2)).toEqual([[0], [1]]);
    expect(parseRocmDomains('{}', 2)).toBeUndefined();
  });
  it('reads which cards are cut into MIG instances, and into which', () => {
    expect(parseNvidiaMigMode('0, Disabled\n1, Enabled\n2, [N/A]\n')).toEqual(new Set([1]));
    expect(parseNvidiaMigMode('Field "mig.mode.current" is not a valid field to query.\n')).toEqual(new Set());
    expect(parseNvidiaInstances(NVIDIA_LIST).get(1)).toEqual([
      { profile: '3g.40gb', uuid: 'MIG-c7384736-a75d-5afc-978f-d2f1294409fd' },
      { profile: '1g.10gb+me', uuid: 'MIG-28876bd1-0000-5b6c-9b5e-cccccccccccc' },
    ]);
  });
  it('does not take an error message for a card', () => {
    expect(parseNvidiaFacts('No devices were found\n')).toEqual([]);
    expect(parseRocmFacts('ERROR: no cards')).toEqual([]);
  });
  it('reads AMD cards, their load and their links', () => {
    expect(parseRocmFacts(ROCM)).toMatchObject([
      { index: 0, name: 'AMD Instinct MI300X OAM', vramGiB: 206141652992 / 2 ** 30, driverVersion: '6.7.0' },
      { index: 1, name: 'AMD Instinct MI300X OAM' },
    ]);
    expect(parseRocmLoad(ROCM)).toEqual([
      { index: 0, utilization: 0.42, memoryUsedGiB: 1, temperatureC: 51 },
      { index: 1, utilization: 0, memoryUsedGiB: 0, temperatureC: 40 },
    ]);
    expect(parseRocmTopology(ROCM, 2)).toBe('xgmi');
  });
});

describe('a machine', () => {
  const tools =
    (answers: Record<string, string>): Tool =>
    (program, args) =>
      Promise.resolve(answers[`${program} ${args[0]}`] ?? null);
  const at = { stateDir: tmpdir(), name: undefined, engines: ['embedded/tiny'] };

  it('without driver tools is a machine without GPUs, in the form of the protocol', async () => {
    const machine = new Machine(at, tools({}));
    expect(hostFactsSchema.parse(await machine.facts())).toMatchObject({
      gpus: [],
      gpuLink: 'none',
      engines: ['embedded/tiny'],
    });
    expect(telemetrySchema.parse(await machine.telemetry()).gpus).toEqual([]);
  });
  it('with them tells its cards', async () => {
    const machine = new Machine(
      at,
      tools({
        'nvidia-smi --query-gpu=index,name,uuid,memory.total,driver_version': NVIDIA_FACTS,
        'nvidia-smi topo': NVIDIA_TOPOLOGY,
      }),
    );
    expect(hostFactsSchema.parse(await machine.facts())).toMatchObject({
      gpus: [{ index: 0 }, { index: 1 }],
      gpuLink: 'nvlink',
      linkDomains: [[0, 1]],
    });
    expect(await machine.gpuCount()).toBe(2);
  });
  it('tells the instances of a card with MIG on, and none of one without', async () => {
    const facts = (list: Record<string, string>) =>
      new Machine(
        at,
        tools({
          'nvidia-smi --query-gpu=index,name,uuid,memory.total,driver_version': NVIDIA_FACTS,
          'nvidia-smi --query-gpu=index,mig.mode.current': '0, Disabled\n1, Enabled\n',
          ...list,
        }),
      ).facts();
    const { gpus } = hostFactsSchema.parse(await facts({ 'nvidia-smi -L': NVIDIA_LIST }));
    expect(gpus.map((gpu) => gpu.mig?.map((instance) => instance.profile))).toEqual([
      undefined,
      ['3g.40gb', '1g.10gb+me'],
    ]);
    // Cut into nothing yet, or a list that cannot be read: there is nothing of it to be had.
    expect((await facts({})).gpus[1]?.mig).toEqual([]);
  });
  it('keeps what it knew of MIG while the driver does not answer, and no longer', async () => {
    const answers: Record<string, string> = {
      'nvidia-smi --query-gpu=index,name,uuid,memory.total,driver_version': NVIDIA_FACTS,
      'nvidia-smi --query-gpu=index,mig.mode.current': '0, Disabled\n1, Enabled\n',
      'nvidia-smi -L': NVIDIA_LIST,
    };
    const silent = new Set<string>();
    const machine = new Machine(at, (program, args) =>
      Promise.resolve(silent.has(args[0] ?? '') ? null : (answers[`${program} ${args[0]}`] ?? null)),
    );
    const mig = async () => (await machine.facts()).gpus.map((gpu) => gpu.mig?.map(({ profile }) => profile));
    const cut = [undefined, ['3g.40gb', '1g.10gb+me']];
    expect(await mig()).toEqual(cut);
    silent.add('--query-gpu=index,mig.mode.current');
    expect(await mig()).toEqual(cut);
    silent.add('-L');
    expect(await mig()).toEqual(cut);
    silent.delete('--query-gpu=index,mig.mode.current');
    expect(await mig()).toEqual(cut);
    answers['nvidia-smi --query-gpu=index,mig.mode.current'] = '0, Disabled\n1, Disabled\n';
    expect(await mig()).toEqual([undefined, undefined]);
  });
  it('sees instances in the list of devices when the driver does not tell its mode', async () => {
    const machine = new Machine(
      at,
      tools({
        'nvidia-smi --query-gpu=index,name,uuid,memory.total,driver_version': NVIDIA_FACTS,
        'nvidia-smi -L': NVIDIA_LIST,
      }),
    );
    expect((await machine.facts()).gpus.map((gpu) => gpu.mig?.length)).toEqual([undefined, 2]);
  });
});

it('the version is that of the package', async () => {
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
  expect(AGENT_VERSION).toBe(version);
});

import type { HostFacts } from '#contracts';
import { cellNumber, csvRows } from './csv.js';
import type { GpuLoad } from './gpu-load.js';
import { cliques } from './cliques.js';

type Gpu = HostFacts['gpus'][number];

/** Arguments and parsers belong together: the columns of one are read by the other. */
export const NVIDIA_FACTS = [
  '--query-gpu=index,name,uuid,memory.total,driver_version',
  '--format=csv,noheader,nounits',
];
export const NVIDIA_LOAD = [
  '--query-gpu=index,utilization.gpu,memory.used,temperature.gpu',
  '--format=csv,noheader,nounits',
];
/** Asked for by itself: a driver that knows nothing of MIG refuses the whole query. */
export const NVIDIA_MIG_MODE = ['--query-gpu=index,mig.mode.current', '--format=csv,noheader'];
export const NVIDIA_LIST = ['-L'];
export const NVIDIA_TOPOLOGY = ['topo', '-m'];

/** As many as facts may name of one GPU. */
const MOST_INSTANCES = 16;

/** MiB, as nvidia-smi counts with `nounits`, to GiB. */
const toGiB = (mib: number | null): number => (mib ?? 0) / 1_024;

export function parseNvidiaFacts(text: string): Gpu[] {
  return csvRows(text).flatMap(([index, name, uuid, memory, driver]) => {
    const n = cellNumber(index);
    if (n === null || !name) return [];
    return [
      {
        index: n,
        name: name.slice(0, 120),
        uuid: uuid ?? '',
        vramGiB: toGiB(cellNumber(memory)),
        driverVersion: driver ?? '',
      },
    ];
  });
}

/** Indices of the GPUs with MIG on. */
export function parseNvidiaMigMode(text: string): Set<number> {
  return new Set(csvRows(text).flatMap(([index, mode]) => (mode === 'Enabled' ? (cellNumber(index) ?? []) : [])));
}

/** The MIG instances under each GPU of the list that `nvidia-smi -L` prints, by the GPU's index. */
export function parseNvidiaInstances(text: string): Map<number, NonNullable<Gpu['mig']>> {
  const found = new Map<number, NonNullable<Gpu['mig']>>();
  let own: NonNullable<Gpu['mig']> | undefined;
  for (const line of text.split('\n')) {
    const gpu = /^GPU (\d+):/.exec(line);
    if (gpu) {
      own = [];
      found.set(Number(gpu[1]), own);
      continue;
    }
    const [, profile, uuid] = /^\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)/.exec(line) ?? [];
    if (profile !== undefined && uuid !== undefined && (own?.length ?? 0) < MOST_INSTANCES)
      own?.push({ profile, uuid });
  }
  return found;
}

export function parseNvidiaLoad(text: string): GpuLoad[] {
  return csvRows(text).flatMap(([index, busy, memory, temperature]) => {
    const n = cellNumber(index);
    if (n === null) return [];
    const utilization = Math.min(1, Math.max(0, (cellNumber(busy) ?? 0) / 100));
    return [
      { index: n, utilization, memoryUsedGiB: toGiB(cellNumber(memory)), temperatureC: cellNumber(temperature) ?? 0 },
    ];
  });
}

/**
 * The weakest link between any two GPUs of the matrix that `nvidia-smi topo -m` prints: `nvlink` only when every pair has it
 * (`NV#`), else `pcie`. `none` for one GPU; `unknown` where the matrix cannot be read. Whether a switch joins the links is not
 * in this matrix.
 */
export function parseNvidiaTopology(text: string, gpus: number): string {
  if (gpus < 2) return 'none';
  const matrix = linkMatrix(text, gpus);
  if (!matrix) return 'unknown';
  const pairs = matrix.flatMap((row, i) => row.filter((_, j) => i !== j));
  return pairs.every((link) => NVLINK.test(link)) ? 'nvlink' : 'pcie';
}

const NVLINK = /^NV\d+$/;

/**
 * GPUs that all reach each other over NVLink, by the same matrix: each GPU joins the first list of which it is linked with every
 * member (eight V100 in a cube are two lists of four). Undefined where the matrix cannot be read.
 */
export function parseNvidiaDomains(text: string, gpus: number): number[][] | undefined {
  const matrix = gpus < 2 ? null : linkMatrix(text, gpus);
  if (!matrix) return undefined;
  return cliques(gpus, (a, b) => NVLINK.test(matrix[a]?.[b] ?? ''));
}

function linkMatrix(text: string, gpus: number): string[][] | null {
  // The header is underlined with escape codes; only rows of the matrix hold an X (each GPU with itself).
  const rows = text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([head]) => /^GPU\d+$/.test(head ?? ''));
  const matrix = rows.filter((row) => row.includes('X')).map((row) => row.slice(1, gpus + 1));
  return matrix.length !== gpus || matrix.some((row) => row.length !== gpus) ? null : matrix;
}

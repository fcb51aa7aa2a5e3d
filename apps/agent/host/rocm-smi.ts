import type { HostFacts } from '#contracts';
import { cellNumber } from './csv.js';
import type { GpuLoad } from './gpu-load.js';
import { cliques } from './cliques.js';

type Gpu = HostFacts['gpus'][number];

export const ROCM_FACTS = [
  '--showproductname',
  '--showuniqueid',
  '--showmeminfo',
  'vram',
  '--showdriverversion',
  '--json',
];
export const ROCM_LOAD = ['--showuse', '--showmeminfo', 'vram', '--showtemp', '--json'];
export const ROCM_TOPOLOGY = ['--showtopotype', '--json'];

const GIB = 2 ** 30;
type Card = Readonly<Record<string, string>>;

/** The JSON of rocm-smi: one object per card (`card0`, ...) and `system`; the names of fields moved between releases. */
export function parseRocmFacts(text: string): Gpu[] {
  const { cards, system } = read(text);
  return cards.map(({ index, card }) => ({
    index,
    name: (card['Card Series'] ?? card['Card series'] ?? card['Card Model'] ?? card['Card model'] ?? 'AMD GPU').slice(
      0,
      120,
    ),
    uuid: card['Unique ID'] ?? '',
    vramGiB: (cellNumber(card['VRAM Total Memory (B)']) ?? 0) / GIB,
    driverVersion: system['Driver version'] ?? '',
  }));
}

export function parseRocmLoad(text: string): GpuLoad[] {
  return read(text).cards.map(({ index, card }) => ({
    index,
    utilization: Math.min(1, Math.max(0, (cellNumber(card['GPU use (%)']) ?? 0) / 100)),
    memoryUsedGiB: (cellNumber(card['VRAM Total Used Memory (B)']) ?? 0) / GIB,
    temperatureC:
      cellNumber(card['Temperature (Sensor junction) (C)']) ?? cellNumber(card['Temperature (Sensor edge) (C)']) ?? 0,
  }));
}

/** `xgmi` only when every pair of cards is joined by it. */
export function parseRocmTopology(text: string, gpus: number): string {
  if (gpus < 2) return 'none';
  const links = Object.entries(read(text).system).filter(([name]) => /link type/i.test(name));
  if (links.length === 0) return 'unknown';
  return links.every(([, type]) => /xgmi/i.test(type)) ? 'xgmi' : 'pcie';
}

/** Cards that are all joined by xGMI, by what the tool says of each pair; undefined where it says nothing. */
export function parseRocmDomains(text: string, gpus: number): number[][] | undefined {
  const links = new Map<string, boolean>();
  for (const [name, type] of Object.entries(read(text).system)) {
    const pair = /link type .* (\d+) and (\d+)$/i.exec(name);
    if (pair) links.set([Number(pair[1]), Number(pair[2])].toSorted((a, b) => a - b).join(), /xgmi/i.test(type));
  }
  if (gpus < 2 || links.size === 0) return undefined;
  return cliques(gpus, (a, b) => links.get(`${a},${b}`) ?? false);
}

function read(text: string): { cards: { index: number; card: Card }[]; system: Card } {
  let all: Record<string, Card>;
  try {
    all = JSON.parse(text) as Record<string, Card>;
  } catch {
    return { cards: [], system: {} };
  }
  const cards = Object.entries(all)
    .filter(([name]) => /^card\d+$/.test(name))
    .map(([name, card]) => ({ index: Number(name.slice(4)), card }))
    .sort((a, b) => a.index - b.index);
  return { cards, system: all['system'] ?? {} };
}

import { accelerator, normalizeAccelerator } from '#hardware';
import type { HostFacts, Offer } from '#contracts';
import type { HostRow } from './hosts.table.js';

/** What a host offers: for GPUs one offer per power of two of free slots (a lease wants its GPUs together), for a CPU machine one slot at a time. */
export function hostOffers(host: HostRow, facts: HostFacts, freeSlots: number, nowMs: number): Offer[] {
  const first = facts.gpus[0];
  const name = first ? normalizeAccelerator(first.name, { vramGiB: first.vramGiB }) : 'CPU';
  if (name === null) return [];
  const known = accelerator(name);
  const share = (slots: number): number => slots / host.slotCount;
  return slotSizes(host.slotCount, first !== undefined).map((slots) => ({
    id: `${host.id}:${slots}`,
    providerId: host.providerId,
    providerKind: 'bare-metal',
    sku: `${host.name}/${slots}`,
    region: host.region,
    zone: null,
    country: host.country,
    accelerator: name,
    acceleratorVendor: known?.vendor ?? 'cpu',
    count: first ? slots : 0,
    vramGiB: first?.vramGiB ?? 0,
    interconnect: {
      intraNode: first && slots > 1 ? linkOf(facts.gpuLink, known?.link) : 'none',
      intraNodeGBps: first && slots > 1 ? (known?.linkGBps ?? null) : null,
      interNode: 'unknown',
      interNodeGbps: null,
    },
    vcpus: Math.max(1, Math.floor(facts.vcpus * share(slots))),
    ramGiB: Math.max(0.5, Math.round(facts.ramGiB * share(slots) * 10) / 10),
    // Another maker's driver versions are no figure that anybody asks for.
    ...(known?.vendor === 'nvidia' && first?.driverVersion ? { software: { driver: first.driverVersion } } : {}),
    pricing: 'on-demand',
    pricePerHour: host.pricePerSlotHour * BigInt(slots),
    billing: { minimumS: 0, incrementS: 0.001 },
    stock: Math.floor(freeSlots / slots),
    status: 'rentable',
    source: 'host',
    observedAtMs: nowMs,
    confidence: 1,
    doubts: [],
    certifications: [],
    via: { kind: 'host', hostId: host.id },
  }));
}

/** The GPUs of a host that its offers sell: all of the same accelerator as its first, each index once, lowest first. */
export function soldGpus(facts: HostFacts): HostFacts['gpus'] {
  const nameOf = (gpu: HostFacts['gpus'][number]): string | null =>
    normalizeAccelerator(gpu.name, { vramGiB: gpu.vramGiB });
  const [first] = facts.gpus;
  if (!first) return [];
  const sold = nameOf(first);
  const byIndex = new Map(facts.gpus.filter((gpu) => nameOf(gpu) === sold).map((gpu) => [gpu.index, gpu]));
  return [...byIndex.values()].toSorted((a, b) => a.index - b.index);
}

function slotSizes(slotCount: number, gpus: boolean): number[] {
  if (!gpus) return [1];
  const sizes: number[] = [];
  for (let n = 1; n <= slotCount; n *= 2) sizes.push(n);
  if (!sizes.includes(slotCount)) sizes.push(slotCount);
  return sizes;
}

function linkOf(
  reported: string,
  table: Offer['interconnect']['intraNode'] | undefined,
): Offer['interconnect']['intraNode'] {
  const word = reported.toLowerCase();
  if (word.includes('nvswitch')) return 'nvswitch';
  if (word.includes('nvlink') || /^nv\d+/.test(word)) return 'nvlink';
  return table === 'nvlink' || table === 'nvswitch' ? 'unknown' : (table ?? 'unknown');
}

import { accelerator, normalizeAccelerator } from '#hardware';
import type { HostFacts, Offer } from '#contracts';
import { blocksFree, largestDomain, type Domains } from '#market/packing';
import type { HostRow, SlotRow } from './hosts.table.js';

/**
 * What a host offers: for GPUs one offer per power of two of free slots (a lease wants its GPUs together), for a CPU machine one slot
 * at a time. What fits one NVLink domain is counted, and said to be linked, as one domain has it.
 */
export function hostOffers(host: HostRow, facts: HostFacts, taken: readonly SlotRow[], nowMs: number): Offer[] {
  const first = facts.gpus[0];
  const name = first ? normalizeAccelerator(first.name, { vramGiB: first.vramGiB }) : 'CPU';
  if (name === null) return [];
  const known = accelerator(name);
  const domains = domainsOf(facts);
  const idle = idleGpus(facts, taken);
  const freeSlots = host.slotCount - taken.length;
  const linked = (slots: number): boolean => facts.linkDomains !== undefined && slots <= largestDomain(domains);
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
      intraNode:
        first && slots > 1 ? linkOf(linked(slots) ? fastLink(known?.vendor) : facts.gpuLink, known?.link) : 'none',
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
    stock: Math.min(Math.floor(freeSlots / slots), first ? blocksFree(domains, idle, slots) : Infinity),
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

/** The GPUs on sale in NVLink domains; without word of links all are one, and a GPU that no domain names is one by itself. */
export function domainsOf(facts: HostFacts): Domains {
  const sold = soldGpus(facts).map((gpu) => gpu.index);
  if (facts.linkDomains === undefined) return [sold];
  const left = new Set(sold);
  const domains = facts.linkDomains.map((domain) => domain.filter((gpu) => left.delete(gpu)));
  return [...domains, ...[...left].map((gpu) => [gpu])].filter((domain) => domain.length > 0);
}

/** GPUs on sale that no slot has. */
export function idleGpus(facts: HostFacts, taken: readonly SlotRow[]): Set<number> {
  const idle = new Set(soldGpus(facts).map((gpu) => gpu.index));
  for (const { gpuIndex } of taken) if (gpuIndex !== null) idle.delete(gpuIndex);
  return idle;
}

const fastLink = (vendor: Offer['acceleratorVendor'] | undefined): string => (vendor === 'amd' ? 'xgmi' : 'nvlink');

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

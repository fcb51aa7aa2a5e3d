import { accelerator, migProfileNames, normalizeAccelerator } from '#hardware';
import type { HostFacts, Offer } from '#contracts';
import { blocksFree, largestDomain } from '#market/packing';
import { freeParts, GPU_SHARES, MOST_TIME_SLICES, partKinds, startedGpus, type PartKind } from './gpu-parts.js';
import { domainsOf, idleGpus, soldGpus, wholeGpus } from './host-gpus.js';
import type { HostRow, SlotRow } from './hosts.table.js';

/**
 * What a host offers: for GPUs one offer per power of two of free slots (a lease wants its GPUs together), for a CPU machine one slot
 * at a time. What fits one NVLink domain is counted, and said to be linked, as one domain has it. Beside them one offer per kind of part
 * that its GPUs are cut into.
 */
export function hostOffers(host: HostRow, facts: HostFacts, taken: readonly SlotRow[], nowMs: number): Offer[] {
  const first = facts.gpus[0];
  const name = first ? normalizeAccelerator(first.name, { vramGiB: first.vramGiB }) : 'CPU';
  if (name === null) return [];
  const known = accelerator(name);
  const domains = domainsOf(facts);
  const idle = idleGpus(facts, taken);
  const freeSlots = host.slotCount - (first ? startedGpus(taken).size : taken.length);
  const linked = (slots: number): boolean => facts.linkDomains !== undefined && slots <= largestDomain(domains);
  const share = (slots: number): number => slots / host.slotCount;
  const base = {
    providerId: host.providerId,
    providerKind: 'bare-metal',
    region: host.region,
    zone: null,
    country: host.country,
    accelerator: name,
    acceleratorVendor: known?.vendor ?? 'cpu',
    // Another maker's driver versions are no figure that anybody asks for.
    ...(known?.vendor === 'nvidia' && first?.driverVersion ? { software: { driver: first.driverVersion } } : {}),
    pricing: 'on-demand',
    billing: { minimumS: 0, incrementS: 0.001 },
    status: 'rentable',
    source: 'host',
    observedAtMs: nowMs,
    confidence: 1,
    doubts: [],
    certifications: [],
    via: { kind: 'host', hostId: host.id },
  } as const;
  const whole = slotSizes(host, facts).map((slots): Offer => ({
    ...base,
    id: `${host.id}:${slots}`,
    sku: `${host.name}/${slots}`,
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
    pricePerHour: host.pricePerSlotHour * BigInt(slots),
    stock: Math.max(0, Math.min(Math.floor(freeSlots / slots), first ? blocksFree(domains, idle, slots) : Infinity)),
  }));
  const parts = partKinds(facts, host.timeSlices).map((kind): Offer => ({
    ...base,
    id: partOfferId(host, kind),
    sku: `${host.name}/${kind.name}`,
    isolation: kind.isolation,
    count: kind.count,
    vramGiB: kind.vramGiB,
    interconnect: { intraNode: 'none', intraNodeGBps: null, interNode: 'unknown', interNodeGbps: null },
    vcpus: Math.max(1, Math.floor(facts.vcpus * share(kind.takes / GPU_SHARES))),
    ramGiB: Math.max(0.5, Math.round(facts.ramGiB * share(kind.takes / GPU_SHARES) * 10) / 10),
    pricePerHour: (host.pricePerSlotHour * BigInt(kind.takes)) / BigInt(GPU_SHARES),
    stock: freeParts(kind, taken, host.slotCount).length,
  }));
  return [...whole, ...parts];
}

export const partOfferId = (host: Pick<HostRow, 'id'>, kind: Pick<PartKind, 'name'>): string =>
  `${host.id}:${kind.name}`;

/** Ids of all offers that a host may ever have published. */
export function hostOfferIds(host: Pick<HostRow, 'id' | 'slotCount'>): string[] {
  const whole = Array.from({ length: host.slotCount }, (_, i) => String(i + 1));
  const slices = Array.from({ length: MOST_TIME_SLICES - 1 }, (_, i) => `1of${i + 2}`);
  return [...whole, ...slices, ...migProfileNames()].map((name) => `${host.id}:${name}`);
}

const fastLink = (vendor: Offer['acceleratorVendor'] | undefined): string => (vendor === 'amd' ? 'xgmi' : 'nvlink');

function slotSizes({ slotCount }: HostRow, facts: HostFacts): number[] {
  if (facts.gpus.length === 0) return [1];
  const whole = wholeGpus(facts).length;
  const most = whole < soldGpus(facts).length ? Math.min(slotCount, whole) : slotCount;
  const sizes: number[] = [];
  for (let n = 1; n <= most; n *= 2) sizes.push(n);
  if (most > 0 && !sizes.includes(most)) sizes.push(most);
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

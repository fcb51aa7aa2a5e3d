import { normalizeAccelerator } from '#hardware';
import type { HostFacts } from '#contracts';
import type { Domains } from '#market/packing';
import type { SlotRow } from './hosts.table.js';

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

/** Those of them that can be had as a whole: MIG is off. */
export function wholeGpus(facts: HostFacts): HostFacts['gpus'] {
  return soldGpus(facts).filter((gpu) => gpu.mig === undefined);
}

/** The whole GPUs on sale in NVLink domains; without word of links all are one, and a GPU that no domain names is one by itself. */
export function domainsOf(facts: HostFacts): Domains {
  const sold = wholeGpus(facts).map((gpu) => gpu.index);
  if (facts.linkDomains === undefined) return [sold];
  const left = new Set(sold);
  const domains = facts.linkDomains.map((domain) => domain.filter((gpu) => left.delete(gpu)));
  return [...domains, ...[...left].map((gpu) => [gpu])].filter((domain) => domain.length > 0);
}

/** Whole GPUs on sale that no slot has any of. */
export function idleGpus(facts: HostFacts, taken: readonly SlotRow[]): Set<number> {
  const idle = new Set(wholeGpus(facts).map((gpu) => gpu.index));
  for (const { gpuIndex } of taken) if (gpuIndex !== null) idle.delete(gpuIndex);
  return idle;
}

import type { HostFacts, Offer } from '#contracts';
import { Fleet, largestDomain, Packer, WHOLE_GPU, type Ask, type Demand, type NodeSpec } from '#market/packing';
import { GPU_SHARES, partKinds } from './gpu-parts.js';
import { domainsOf, soldGpus } from './host-gpus.js';
import { hostOffers } from './host-offers.js';
import type { HostRow, SlotRow } from './hosts.table.js';

/** A host as it is now. */
export interface HostState {
  readonly host: HostRow;
  readonly facts: HostFacts;
  readonly taken: readonly SlotRow[];
}

/** Leases come and go: what is taken comes back. */
const DEPARTING = 1;

/**
 * Which of some hosts that offer the same should get the next lease of it, so that what is left of them all stays usable: the
 * packing rule over their NVLink domains, or over whole hosts where a domain is too small. Null: none has room.
 */
export function hostToFill(
  states: readonly HostState[],
  offer: Pick<Offer, 'count' | 'isolation' | 'sku'>,
): HostRow | null {
  const open = states.filter((state) => hasRoom(state, offer));
  const nodes = open.flatMap((state) => nodesOf(state, offer));
  const [only] = open;
  if (nodes.length === 0 || !only || open.length === 1) return only?.host ?? null;
  const fleet = new Fleet(nodes.map((node) => node.spec));
  for (const [n, node] of nodes.entries()) fill(fleet, n, node);
  const chosen = new Packer(fleet, demandOf(open), undefined, DEPARTING).choose(askOf(only, offer));
  return (chosen === null ? only : (nodes[chosen]?.state ?? only)).host;
}

interface Node {
  readonly state: HostState;
  readonly gpus: readonly number[];
  readonly spec: NodeSpec;
}

/** The GPUs that such a lease may lie on together. */
function nodesOf(state: HostState, { count, isolation }: Pick<Offer, 'count' | 'isolation'>): Node[] {
  const { facts } = state;
  const domains = domainsOf(facts);
  const cut = soldGpus(facts).flatMap((gpu) => (gpu.mig === undefined ? [] : [gpu.index]));
  const groups =
    isolation === 'mig' ? cut.map((gpu) => [gpu]) : count > largestDomain(domains) ? [domains.flat()] : domains;
  return groups
    .filter((gpus) => gpus.length > 0)
    .map((gpus) => ({ state, gpus, spec: { model: 'gpu', gpus: gpus.length, cpuMilli: 0, memoryMiB: 0 } }));
}

/** Takes from a node what its leases have there: parts on their own GPUs first, then whole GPUs of what is left. */
function fill(fleet: Fleet, n: number, { state, gpus }: Node): void {
  const here = state.taken.flatMap((slot) => {
    const at = slot.gpuIndex === null ? -1 : gpus.indexOf(slot.gpuIndex);
    return at < 0 ? [] : [{ at, leaseId: slot.leaseId, milli: milliOf(slot.shareTo - slot.shareFrom) }];
  });
  for (const { at, milli } of here)
    if (milli < WHOLE_GPU) fleet.take(n, fleet.kindOf(ask(1, Math.min(milli, fleet.leftOf(n, at)))), at);
  const whole = here.filter(({ milli }) => milli === WHOLE_GPU);
  for (const lease of new Set(whole.map(({ leaseId }) => leaseId)))
    fleet.take(n, fleet.kindOf(ask(whole.filter(({ leaseId }) => leaseId === lease).length, WHOLE_GPU)), -1);
}

/** What is typical: the leases that there are, and one of each size that the hosts offer; of a GPU that is cut also all of it. */
function demandOf(states: readonly HostState[]): Demand[] {
  const demand: Demand[] = [];
  for (const { host, facts, taken } of states) {
    for (const { count, isolation } of hostOffers(host, facts, [], 0))
      if (isolation !== 'time-slice') demand.push({ ask: ask(Math.max(1, count), WHOLE_GPU), count: 1 });
    for (const lease of new Set(taken.map((slot) => slot.leaseId))) {
      const own = taken.filter((slot) => slot.leaseId === lease);
      const milli = milliOf((own[0]?.shareTo ?? GPU_SHARES) - (own[0]?.shareFrom ?? 0));
      demand.push({ ask: ask(own.length, milli), count: 1 });
    }
  }
  return demand;
}

function hasRoom({ host, facts, taken }: HostState, { sku }: Pick<Offer, 'sku'>): boolean {
  return hostOffers(host, facts, taken, 0).some((o) => o.id === `${host.id}:${nameOf(sku)}` && (o.stock ?? 0) > 0);
}

/** What such a lease takes there: of a part the shares that nobody else can use. */
function askOf({ host, facts }: HostState, { count, sku }: Pick<Offer, 'count' | 'sku'>): Ask {
  const part = partKinds(facts, host.timeSlices).find(({ name }) => name === nameOf(sku));
  return part ? ask(1, milliOf(part.takes)) : ask(Math.max(1, Math.round(count)), WHOLE_GPU);
}
/** What an offer is called on every host: how many GPUs, or which part of one. */
const nameOf = (sku: string): string => sku.slice(sku.lastIndexOf('/') + 1);
const ask = (gpus: number, gpuMilli: number): Ask => ({ cpuMilli: 0, memoryMiB: 0, gpus, gpuMilli, models: null });
const milliOf = (shares: number): number => Math.round((shares * WHOLE_GPU) / GPU_SHARES);

import {
  isolationOf,
  isolations,
  rejectionDimensions,
  type Isolation,
  type Offer,
  type RejectionDimension,
} from '#contracts';
import type { Machine, Place, Seller } from '../columns/catalog-index.js';
import type { PlacementContext } from '../context.js';
import { compatibility } from './compatibility.js';
import { usefulTime, type Demand } from './demand.js';

/** A set of rejection dimensions as bits, in the order of the contract: the lowest bit is the one that counts. */
export type Failures = number;

const bits = Object.fromEntries(rejectionDimensions.map((d, i) => [d, 1 << i])) as Record<RejectionDimension, number>;
export const bitOf = (dimension: RejectionDimension): Failures => bits[dimension];
export const dimensionsIn = (failures: Failures): RejectionDimension[] =>
  rejectionDimensions.filter((d) => failures & bits[d]);
/** Position in `rejectionDimensions` of the first failing one; failures must not be 0. */
export const firstFailing = (failures: Failures): number => 31 - Math.clz32(failures & -failures);

const NVLINK_CLASS: ReadonlySet<string> = new Set(['nvlink', 'nvswitch', 'xgmi']);
/** Least Ethernet that a gang may use, Gbit/s per machine. */
const GANG_ETHERNET_GBPS = 100;

/** Hardware constraints. `usefulS` is null where the work cannot be done on that machine. */
export function machineFailures(
  context: PlacementContext,
  demand: Demand,
  machine: Machine,
): { failures: Failures; usefulS: number | null } {
  const { accelerator: wanted, minVcpus, minRamGiB, nodes, work } = demand.workload;
  const { speeds } = context;
  let failures = 0;
  const isCpu = machine.acceleratorVendor === 'cpu';
  const named = demand.models === null || demand.models.some((m) => speeds.matches(m, machine.accelerator));
  if (!named || (demand.count > 0 && isCpu)) failures |= bits.accelerator;
  const isPart = !isIsolated(machine, 'whole-gpu');
  // A part serves a wish for one accelerator, never one for several: parts are not linked.
  if (machine.count < demand.count && !(isPart && demand.count === 1)) failures |= bits.count;
  if (isPart && !isIsolated(machine, wanted?.isolation ?? 'whole-gpu')) failures |= bits.isolation;
  if (machine.vramGiB < (wanted?.minVramGiB ?? 0)) failures |= bits.vram;
  const link = demand.count > 1 ? (wanted?.interconnect ?? 'any') : 'any';
  const own = machine.interconnect.intraNode;
  if (link === 'nvlink' && !NVLINK_CLASS.has(own)) failures |= bits.interconnect;
  if (link === 'nvswitch' && own !== 'nvswitch') failures |= bits.interconnect;
  if (compatibility(demand.workload.needs, machine).fails) failures |= bits.compatibility;
  if (minVcpus !== undefined && (machine.vcpus ?? 0) < minVcpus) failures |= bits.cpu;
  if (minRamGiB !== undefined && (machine.ramGiB ?? 0) < minRamGiB) failures |= bits.memory;
  if (nodes > 1 && !carriesGang(machine)) failures |= bits.nodes;
  const usefulS = usefulTime(speeds, demand, machine);
  // No speed for a known accelerator under token work means that the weights do not fit.
  if (usefulS === null)
    failures |= work.kind === 'tokens' && speeds.knows(machine.accelerator) ? bits.vram : bits.accelerator;
  return { failures, usefulS };
}

/** Whether work there is kept apart as well as that; what is not known counts as the least. */
function isIsolated(machine: Machine, least: Isolation): boolean {
  const has = isolationOf(machine);
  return has === null || isolations.indexOf(has) <= isolations.indexOf(least === 'time-slice' ? 'unknown' : least);
}

/** Whether such machines are known to be joined well enough to work as one. */
export function carriesGang(machine: Pick<Machine, 'interconnect'>): boolean {
  const { interNode, interNodeGbps } = machine.interconnect;
  if (interNode === 'unknown') return false;
  return interNode !== 'ethernet' || (interNodeGbps ?? 0) >= GANG_ETHERNET_GBPS;
}

/** Where the offer is; an unknown country satisfies no wish for one (residency is a hard promise). */
export function placeFailures(demand: Demand, place: Place): Failures {
  let failures = 0;
  if (demand.regions && !demand.regions.has(place.region.toLowerCase())) failures |= bits.region;
  if (demand.countries && !demand.countries.has(place.country?.toLowerCase() ?? '')) failures |= bits.country;
  return failures;
}

export function sellerFailures(context: PlacementContext, demand: Demand, seller: Seller): Failures {
  const { providerKinds, pricing } = demand.workload.constraints;
  const provider = seller.providerId.toLowerCase();
  let failures = 0;
  if (seller.via.kind === 'warm-lease' && seller.via.projectId !== context.projectId) failures |= bits['not-rentable'];
  if ((demand.providers && !demand.providers.has(provider)) || demand.excludeProviders.has(provider))
    failures |= bits.provider;
  if (providerKinds && !providerKinds.includes(seller.providerKind)) failures |= bits['provider-kind'];
  if (pricing && !pricing.includes(seller.pricing)) failures |= bits.pricing;
  if (demand.certifications.some((c) => !seller.certifications.includes(c))) failures |= bits.certification;
  return failures;
}

/** The moment before which an observation by that source is stale. */
export function staleBefore(context: PlacementContext, source: string): number {
  const limit = Object.hasOwn(context.staleAfterMs.bySource, source)
    ? context.staleAfterMs.bySource[source]
    : context.staleAfterMs.usual;
  return limit === null || limit === undefined ? -Infinity : context.nowMs - limit;
}

/** Whether failure memory covers that offer now. */
export function isCoolingDown(
  context: PlacementContext,
  offer: Pick<Offer, 'id' | 'providerId' | 'region' | 'zone'>,
): boolean {
  return context.coolingDown.some(({ scope, untilMs }) => {
    if (untilMs <= context.nowMs) return false;
    if (scope.kind === 'offer') return scope.offerId === offer.id;
    if (scope.providerId !== offer.providerId) return false;
    if (scope.kind === 'zone') return scope.zone === offer.zone;
    return scope.kind === 'account' || scope.region === offer.region;
  });
}

/** What costs decide: money that is really spent against the budget, and the 90th percentile of the time. */
export function costFailures(
  demand: Demand,
  nodes: number,
  pricePerHour: number,
  spent: number,
  p90S: number,
): Failures {
  let failures = 0;
  if (pricePerHour * nodes > demand.maxPricePerHour) failures |= bits['price-cap'];
  if (spent > demand.maxTotal) failures |= bits.budget;
  if (!(p90S <= demand.deadlineS) || !Number.isFinite(p90S)) failures |= bits.deadline;
  return failures;
}

/** Every constraint but cost, for one offer alone: the plain form of what `rank.ts` does over columns. */
export function offerFailures(context: PlacementContext, demand: Demand, offer: Offer): Failures {
  let failures =
    machineFailures(context, demand, offer).failures |
    placeFailures(demand, offer) |
    sellerFailures(context, demand, offer);
  if (context.scope === 'rentable' && offer.status !== 'rentable') failures |= bits['not-rentable'];
  if (offer.doubts.length > 0) failures |= bits.doubtful;
  if (offer.observedAtMs < staleBefore(context, offer.source)) failures |= bits.stale;
  if (offer.stock !== null && offer.stock < demand.workload.nodes) failures |= bits['no-stock'];
  if (isCoolingDown(context, offer)) failures |= bits['cooling-down'];
  return failures;
}

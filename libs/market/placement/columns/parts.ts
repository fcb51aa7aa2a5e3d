import type { Offer } from '#contracts';

/** What decides hardware constraints; many offers share one. */
export type Machine = Pick<
  Offer,
  | 'accelerator'
  | 'acceleratorVendor'
  | 'count'
  | 'vramGiB'
  | 'isolation'
  | 'interconnect'
  | 'vcpus'
  | 'ramGiB'
  | 'software'
>;
export type Place = Pick<Offer, 'region' | 'zone' | 'country'>;
/** Who sells, and how: what decides constraints on the seller, reliability and billing. */
export type Seller = Pick<
  Offer,
  'providerId' | 'providerKind' | 'pricing' | 'certifications' | 'billing' | 'source' | 'via'
>;
/** What a person reads and no constraint asks for; what was seen of a SKU is looked up by its name. */
export type Label = Pick<Offer, 'sku' | 'doubts'>;

// Names come from outside: a control character keeps two different values from sharing a key.
const SEPARATOR = '\u0000';

export function machineOf(o: Machine): Machine {
  const { accelerator, acceleratorVendor, count, vramGiB, isolation, interconnect, vcpus, ramGiB, software } = o;
  const machine = { accelerator, acceleratorVendor, count, vramGiB, interconnect, vcpus, ramGiB };
  return { ...machine, ...(isolation ? { isolation } : {}), ...(software ? { software } : {}) };
}

export function machineKey(o: Machine): string {
  const i = o.interconnect;
  return `${o.accelerator}|${o.acceleratorVendor}|${o.count}|${o.vramGiB}|${o.isolation ?? ''}|${o.vcpus}|${o.ramGiB}|${i.intraNode}|${i.intraNodeGBps}|${i.interNode}|${i.interNodeGbps}|${softwareText(o.software)}`;
}

export function sameMachine(a: Machine, b: Machine): boolean {
  const [i, j] = [a.interconnect, b.interconnect];
  return (
    a.accelerator === b.accelerator &&
    a.count === b.count &&
    a.vramGiB === b.vramGiB &&
    a.isolation === b.isolation &&
    a.vcpus === b.vcpus &&
    a.ramGiB === b.ramGiB &&
    a.acceleratorVendor === b.acceleratorVendor &&
    i.intraNode === j.intraNode &&
    i.intraNodeGBps === j.intraNodeGBps &&
    i.interNode === j.interNode &&
    i.interNodeGbps === j.interNodeGbps &&
    (a.software === b.software || softwareText(a.software) === softwareText(b.software))
  );
}

function softwareText(s: Offer['software']): string {
  return s ? [s.driver ?? '', s.cuda ?? '', s.rocm ?? '', s.computeCapability ?? ''].join(SEPARATOR) : '';
}

export const placeOf = ({ region, zone, country }: Place): Place => ({ region, zone, country });

export function placeKey(o: Place): string {
  return [o.region, o.zone ?? SEPARATOR, o.country ?? SEPARATOR].join(SEPARATOR);
}

export const samePlace = (a: Place, b: Place): boolean =>
  a.region === b.region && a.zone === b.zone && a.country === b.country;

export function sellerOf(o: Seller): Seller {
  const { providerId, providerKind, pricing, certifications, billing, source, via } = o;
  return { providerId, providerKind, pricing, certifications, billing, source, via };
}

export function sellerKey(o: Seller): string {
  return [
    o.providerId,
    o.providerKind,
    o.pricing,
    o.billing.minimumS,
    o.billing.incrementS,
    o.source,
    o.via.kind,
    viaText(o.via),
    ...o.certifications,
  ].join(SEPARATOR);
}

export function sameSeller(a: Seller, b: Seller): boolean {
  return (
    a.providerId === b.providerId &&
    a.providerKind === b.providerKind &&
    a.pricing === b.pricing &&
    a.source === b.source &&
    a.billing.minimumS === b.billing.minimumS &&
    a.billing.incrementS === b.billing.incrementS &&
    viaText(a.via) === viaText(b.via) &&
    sameTexts(a.certifications, b.certifications)
  );
}

function viaText(via: Offer['via']): string {
  if (via.kind === 'market') return via.kind;
  return via.kind === 'host' ? via.hostId : `${via.leaseId}${SEPARATOR}${via.projectId}`;
}

const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a === b || (a.length === b.length && a.every((text, i) => text === b[i]));

export const labelOf = ({ sku, doubts }: Label): Label => ({ sku, doubts });

export const labelKey = (o: Label): string => (o.doubts.length === 0 ? o.sku : [o.sku, ...o.doubts].join(SEPARATOR));

export const sameLabel = (a: Label, b: Label): boolean => a.sku === b.sku && sameTexts(a.doubts, b.doubts);

import type { Offer } from '#contracts';

/** What decides hardware constraints; many offers share one. */
export type Machine = Pick<
  Offer,
  'accelerator' | 'acceleratorVendor' | 'count' | 'vramGiB' | 'interconnect' | 'vcpus' | 'ramGiB'
>;
export type Place = Pick<Offer, 'region' | 'zone' | 'country'>;
/** Who sells, and how: what decides constraints on the seller, reliability and billing. */
export type Seller = Pick<
  Offer,
  'providerId' | 'providerKind' | 'pricing' | 'certifications' | 'billing' | 'source' | 'via'
>;
/** What a person reads and no constraint asks for. */
export type Label = Pick<Offer, 'sku' | 'doubts'>;

// Names come from outside: a control character keeps two different values from sharing a key.
const SEPARATOR = '\u0000';

export function machineOf(o: Machine): Machine {
  const { accelerator, acceleratorVendor, count, vramGiB, interconnect, vcpus, ramGiB } = o;
  return { accelerator, acceleratorVendor, count, vramGiB, interconnect, vcpus, ramGiB };
}

export function machineKey(o: Machine): string {
  const i = o.interconnect;
  return `${o.accelerator}|${o.acceleratorVendor}|${o.count}|${o.vramGiB}|${o.vcpus}|${o.ramGiB}|${i.intraNode}|${i.intraNodeGBps}|${i.interNode}|${i.interNodeGbps}`;
}

export const placeOf = ({ region, zone, country }: Place): Place => ({ region, zone, country });

export function placeKey(o: Place): string {
  return [o.region, o.zone ?? SEPARATOR, o.country ?? SEPARATOR].join(SEPARATOR);
}

export function sellerOf(o: Seller): Seller {
  const { providerId, providerKind, pricing, certifications, billing, source, via } = o;
  return { providerId, providerKind, pricing, certifications, billing, source, via };
}

export function sellerKey(o: Seller): string {
  const { via } = o;
  return [
    o.providerId,
    o.providerKind,
    o.pricing,
    o.billing.minimumS,
    o.billing.incrementS,
    o.source,
    via.kind,
    via.kind === 'warm-lease' ? via.leaseId : via.kind === 'host' ? via.hostId : '',
    via.kind === 'warm-lease' ? via.projectId : '',
    ...o.certifications,
  ].join(SEPARATOR);
}

export const labelOf = ({ sku, doubts }: Label): Label => ({ sku, doubts });

export const labelKey = (o: Label): string => (o.doubts.length === 0 ? o.sku : [o.sku, ...o.doubts].join(SEPARATOR));

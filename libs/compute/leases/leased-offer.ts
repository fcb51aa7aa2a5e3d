import { accelerator } from '#hardware';
import type { Offer } from '#contracts';
import type { LeasedOffer, LeaseRow } from './leases.table.js';

/** An idle lease as an offer to its own project: it is there, it boots in no time, and only that project may take it. */
export function warmOffer(lease: LeaseRow, nowMs: number): Offer {
  return {
    ...offerOfLease(lease),
    id: lease.id,
    stock: 1,
    source: 'warm-lease',
    observedAtMs: nowMs,
    via: { kind: 'warm-lease', leaseId: lease.id, projectId: lease.projectId },
  };
}

/** The parts of the leased offer that a vendor or a ranking needs, in the form of an offer. */
export function offerOfLease(lease: LeaseRow): Offer {
  const { hostId, zone, ...kept } = lease.offer;
  return {
    ...kept,
    zone: zone ?? null,
    pricePerHour: lease.costPerHour,
    stock: null,
    status: 'rentable',
    source: 'lease',
    observedAtMs: lease.requestedAt,
    confidence: 1,
    doubts: [],
    certifications: [],
    via: hostId === null ? { kind: 'market' } : { kind: 'host', hostId },
  };
}

/** What a machine counts for against the limits of its tenant: GPUs in all, of their model and of its family; a part as a whole one. */
export function usesOf(offer: Pick<LeasedOffer, 'accelerator' | 'count'>): Record<string, bigint> {
  if (offer.accelerator === 'CPU') return { leases: 1n };
  const count = BigInt(Math.ceil(offer.count));
  const family = accelerator(offer.accelerator)?.family ?? offer.accelerator;
  return { leases: 1n, gpus: count, [`gpus:${offer.accelerator}`]: count, [`gpus:${family}`]: count };
}

/** A machine as usage and invoices name it. */
export function resourceOf(offer: Pick<LeasedOffer, 'accelerator' | 'count' | 'vcpus'>): string {
  return offer.accelerator === 'CPU' ? `CPU x ${offer.vcpus ?? 1}` : `${offer.accelerator} x ${offer.count}`;
}

/** What a lease keeps of the offer that it was rented from. */
export function leasedOffer(o: Offer): LeasedOffer {
  return {
    id: o.id,
    providerId: o.providerId,
    providerKind: o.providerKind,
    sku: o.sku,
    region: o.region,
    country: o.country,
    accelerator: o.accelerator,
    acceleratorVendor: o.acceleratorVendor,
    count: o.count,
    vramGiB: o.vramGiB,
    ...(o.isolation ? { isolation: o.isolation } : {}),
    interconnect: { ...o.interconnect },
    vcpus: o.vcpus,
    ramGiB: o.ramGiB,
    pricing: o.pricing,
    billing: { ...o.billing },
    hostId: o.via.kind === 'host' ? o.via.hostId : null,
    ...(o.zone === null ? {} : { zone: o.zone }),
  };
}

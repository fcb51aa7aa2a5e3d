import { usd } from '#kernel';
import {
  machineStates,
  VendorError,
  type CreateOutcome,
  type MachineState,
  type Offer,
  type VendorMachine,
} from '#contracts';
import type { VendorErrorKind, VendorErrorScope } from '#contracts';
import type { CloudCreate, CloudMachineView, CloudOffer, Refusal, RefusalCode } from './wire.js';
import type { CreateRequest } from '#contracts';

/** Keys of the tags by which machines are found again. */
export const installTag = 'berth-install';
export const leaseTag = 'berth-lease';
export const attemptTag = 'berth-attempt';

/** The vendor's words are ours; any other word is `unknown`, and tolerated. */
export function toMachineState(status: string): MachineState {
  return machineStates.find((state) => state === status) ?? 'unknown';
}

export function toVendorMachine(view: CloudMachineView): VendorMachine {
  return {
    vendorId: view.id,
    state: toMachineState(view.status),
    installId: view.tags[installTag] ?? null,
    leaseId: view.tags[leaseTag] ?? null,
    attemptId: view.tags[attemptTag] ?? null,
    createdAtMs: view.createdAtMs,
    billedFromMs: view.billedFromMs,
    address: view.address,
    interruptAtMs: view.interruptAtMs,
  };
}

/** How the vendor's request for one of our attempts looks. The machine is named by the attempt, the token is its key. */
export function toCloudCreate(request: CreateRequest): CloudCreate {
  return {
    sku: request.offer.sku,
    region: request.offer.region,
    name: request.attemptId,
    clientToken: request.idempotencyKey,
    tags: { [installTag]: request.installId, [leaseTag]: request.leaseId, [attemptTag]: request.attemptId },
    bootstrap: { ...request.bootstrap },
  };
}

export function toOffer(offer: CloudOffer, providerId: string, observedAtMs: number): Offer {
  return {
    id: `sandbox:${providerId}/${offer.name}/${offer.region}/${offer.pricing}`,
    providerId,
    providerKind: offer.kind,
    sku: offer.name,
    region: offer.region,
    zone: offer.zone,
    country: offer.country,
    accelerator: offer.accelerator,
    acceleratorVendor: offer.acceleratorVendor,
    count: offer.count,
    vramGiB: offer.vramGiB,
    interconnect: offer.interconnect,
    vcpus: offer.vcpus,
    ramGiB: offer.ramGiB,
    ...(offer.software ? { software: offer.software } : {}),
    pricing: offer.pricing,
    pricePerHour: usd(offer.priceUsdPerHour),
    billing: offer.billing,
    stock: offer.stock,
    status: 'rentable',
    source: 'sandbox',
    observedAtMs,
    confidence: 1,
    doubts: [],
    certifications: [],
    via: { kind: 'market' },
  };
}

const meanings: Record<RefusalCode, readonly [VendorErrorKind, VendorErrorScope]> = {
  insufficient_capacity: ['no-capacity', 'offer'],
  allocation_failed: ['no-capacity', 'offer'],
  conflict: ['conflict', 'offer'],
  quota_exceeded: ['quota-exceeded', 'account'],
  unauthorized: ['unauthorized', 'account'],
  payment_required: ['payment-required', 'account'],
  invalid_request: ['invalid-request', 'offer'],
  not_found: ['not-found', 'offer'],
  rate_limited: ['rate-limited', 'account'],
  internal: ['transient', 'account'],
  unavailable: ['transient', 'account'],
};

/** The vendor's refusal in our words; a code that is not in its documentation is taken as transient. */
export function toVendorError({ code, message, retryAfterMs }: Refusal): VendorError {
  const [kind, scope] = Object.hasOwn(meanings, code)
    ? meanings[code as RefusalCode]
    : (['transient', 'account'] as const);
  return new VendorError(kind, scope, message, retryAfterMs);
}

/**
 * What a refused create comes to. After `internal` (or an undocumented code) nobody can say whether the machine was made:
 * that is unknown, to be looked up (invariant 12), and not a failure.
 */
export function toCreateOutcome(refusal: Refusal): CreateOutcome {
  const certain = refusal.resourceId !== null || (refusal.code !== 'internal' && Object.hasOwn(meanings, refusal.code));
  if (!certain) return { kind: 'unknown', reason: `the vendor answered ${refusal.code}: ${refusal.message}` };
  return { kind: 'failed', error: toVendorError(refusal), vendorId: refusal.resourceId };
}

/** Invariant 2: a request that is late is not sent at all, so this failure leaves nothing behind. */
export function tooLateToSend(sendBeforeMs: number, nowMs: number): CreateOutcome {
  const message = `send budget spent: ${nowMs - sendBeforeMs} ms too late, nothing was sent`;
  return { kind: 'failed', error: new VendorError('transient', 'offer', message), vendorId: null };
}

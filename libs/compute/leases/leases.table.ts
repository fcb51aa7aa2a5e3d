import { StateMachine } from '#kernel';
import type { Offer } from '#contracts';
import type { ChargeTerms } from '#money/rating';
import { table } from '#platform/database';

export const leaseStates = [
  'requested',
  'calling',
  'provisioning',
  'booting',
  'ready',
  'draining',
  'terminating',
  'unknown',
  'ended',
] as const;
export type LeaseState = (typeof leaseStates)[number];

export const endReasons = ['released', 'failed', 'preempted', 'lost', 'rejected', 'expired', 'unpaid'] as const;
export type EndReason = (typeof endReasons)[number];

export const leaseMachine = new StateMachine<LeaseState>('lease', 'requested', {
  requested: ['calling', 'ended'],
  calling: ['provisioning', 'unknown', 'requested', 'terminating', 'ended'],
  unknown: ['provisioning', 'requested', 'ended'],
  provisioning: ['booting', 'terminating', 'ended'],
  booting: ['ready', 'terminating', 'ended'],
  ready: ['draining', 'terminating', 'ended'],
  draining: ['terminating', 'ended'],
  terminating: ['ended'],
  ended: [],
});

/** The offer as it was when the lease was asked for; its price stands in the lease's `costPerHour`. */
export interface LeasedOffer extends Pick<
  Offer,
  | 'id'
  | 'providerId'
  | 'providerKind'
  | 'sku'
  | 'region'
  | 'country'
  | 'accelerator'
  | 'acceleratorVendor'
  | 'count'
  | 'vramGiB'
  | 'isolation'
  | 'interconnect'
  | 'vcpus'
  | 'ramGiB'
  | 'pricing'
  | 'billing'
> {
  hostId: string | null;
  /** Absent where the offer names none. */
  zone?: string;
}

export interface LeaseRow {
  id: string;
  organizationId: string;
  projectId: string;
  providerId: string;
  offerId: string;
  offer: LeasedOffer;
  placementId: string | null;
  /** The job that uses it now; null = idle (warm). */
  jobId: string | null;
  /** The carve of the job's hold that pays for it. */
  holdId: string | null;
  agentId: string | null;
  state: LeaseState;
  want: 'run' | 'release';
  endReason: EndReason | null;
  message: string | null;
  vendorId: string | null;
  attemptN: number;
  costPerHour: bigint;
  chargePerHour: bigint;
  /** The reservation that its machine belongs to, and until when the machine costs nothing more by it; null = none. */
  reservationId: string | null;
  reservedUntil: number | null;
  /** What `chargePerHour` was made from where that is less than the offer's price; null = the price. */
  basisPerHour: bigint | null;
  /** On which terms of the price book `chargePerHour` was made; null for leases from before there was one. */
  chargeTerms: ChargeTerms | null;
  requestedAt: number;
  bootedAt: number | null;
  acceptedAt: number | null;
  idleSince: number | null;
  keepUntil: number | null;
  drainUntil: number | null;
  /** Its hold cannot be renewed much longer: it stops then. */
  graceUntil: number | null;
  endedAt: number | null;
  chargedThrough: number | null;
  costThrough: number | null;
  stateSince: number;
  failures: number;
  version: number;
  wakeAt: number | null;
}

export const leases = table<LeaseRow>(
  'leases',
  {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    providerId: 'text',
    offerId: 'text',
    offer: 'json',
    placementId: 'text',
    jobId: 'text',
    holdId: 'text',
    agentId: 'text',
    state: 'text',
    want: 'text',
    endReason: 'text',
    message: 'text',
    vendorId: 'text',
    attemptN: 'int',
    costPerHour: 'bigint',
    chargePerHour: 'bigint',
    reservationId: 'text',
    reservedUntil: 'time',
    basisPerHour: 'bigint',
    chargeTerms: 'json',
    requestedAt: 'time',
    bootedAt: 'time',
    acceptedAt: 'time',
    idleSince: 'time',
    keepUntil: 'time',
    drainUntil: 'time',
    graceUntil: 'time',
    endedAt: 'time',
    chargedThrough: 'time',
    costThrough: 'time',
    stateSince: 'time',
    failures: 'int',
    version: 'int',
    wakeAt: 'time',
  },
  { key: ['id'] },
);

export type AttemptState = 'calling' | 'created' | 'failed' | 'unknown' | 'superseded' | 'closed';

/** One call to a vendor for a machine, written before the call is made (invariant 2). */
export interface LeaseAttemptRow {
  id: string;
  organizationId: string;
  projectId: string;
  leaseId: string;
  n: number;
  providerId: string;
  state: AttemptState;
  idempotencyKey: string;
  intentAt: number;
  vendorId: string | null;
  errorKind: string | null;
  message: string | null;
  /** How often the vendor was looked at for this attempt's machine after an unknown outcome. */
  looks: number;
  /** Until when a machine of this attempt is terminated at sight. */
  watchUntil: number | null;
}

export const leaseAttempts = table<LeaseAttemptRow>(
  'lease_attempts',
  {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    leaseId: 'text',
    n: 'int',
    providerId: 'text',
    state: 'text',
    idempotencyKey: 'text',
    intentAt: 'time',
    vendorId: 'text',
    errorKind: 'text',
    message: 'text',
    looks: 'int',
    watchUntil: 'time',
  },
  { key: ['id'], unique: [['leaseId', 'n']] },
);

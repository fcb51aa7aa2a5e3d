import { table } from '#platform/database';

export type HostState = 'enrolling' | 'ready' | 'cordoned' | 'lost';

/** A machine that a provider registered through an agent. */
export interface HostRow {
  id: string;
  organizationId: string;
  providerId: string;
  name: string;
  state: HostState;
  region: string;
  country: string | null;
  /** Parts that can be leased apart: one per GPU, or shares of a CPU machine. */
  slotCount: number;
  pricePerSlotHour: bigint;
  /** Slices that each GPU without MIG is offered in too, beside the whole; 1 = none. */
  timeSlices: number;
  agentId: string | null;
  createdAt: number;
  version: number;
  wakeAt: number | null;
}

export const hosts = table<HostRow>(
  'hosts',
  {
    id: 'text',
    organizationId: 'text',
    providerId: 'text',
    name: 'text',
    state: 'text',
    region: 'text',
    country: 'text',
    slotCount: 'int',
    pricePerSlotHour: 'bigint',
    timeSlices: 'int',
    agentId: 'text',
    createdAt: 'time',
    version: 'int',
    wakeAt: 'time',
  },
  { key: ['id'], unique: [['organizationId', 'name']] },
);

/** A part of a host that a lease occupies; the primary key keeps two leases apart, and so do the shares of the GPU. */
export interface SlotRow {
  hostId: string;
  n: number;
  /** Which GPU of the host it is, by its driver's index; null for a share of a CPU machine. */
  gpuIndex: number | null;
  /** Which of the GPU's shares, [from, to) of `GPU_SHARES`: all of them for a whole one. No two slots of a GPU overlap. */
  shareFrom: number;
  shareTo: number;
  /** The MIG instance that it is, by its UUID. */
  device: string | null;
  leaseId: string;
  attemptId: string;
  claimedAt: number;
}

export const slots = table<SlotRow>(
  'slots',
  {
    hostId: 'text',
    n: 'int',
    gpuIndex: 'int',
    shareFrom: 'int',
    shareTo: 'int',
    device: 'text',
    leaseId: 'text',
    attemptId: 'text',
    claimedAt: 'time',
  },
  { key: ['hostId', 'n'], unique: [['hostId', 'gpuIndex', 'shareFrom']] },
);

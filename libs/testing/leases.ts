import type { HostFacts, VendorMachine } from '#contracts';
import type { LeaseAttemptRow, LeaseRow } from '#compute/leases';

/** Leases, attempts, machines and facts for specs; every field may be set to something odd. */
export const NOW = Date.UTC(2026, 10, 21);

export function leaseWith(over: Partial<LeaseRow> = {}): LeaseRow {
  return {
    id: 'lease_1',
    organizationId: 'org_1',
    projectId: 'prj_1',
    providerId: 'prv_1',
    offerId: 'off_1',
    offer: {
      id: 'off_1',
      providerId: 'prv_1',
      providerKind: 'hyperscaler',
      sku: 'cpu-4x',
      region: 'r1',
      country: 'FI',
      accelerator: 'CPU',
      acceleratorVendor: 'cpu',
      count: 0,
      vramGiB: 0,
      interconnect: { intraNode: 'none', intraNodeGBps: null, interNode: 'unknown', interNodeGbps: null },
      vcpus: 4,
      ramGiB: 16,
      pricing: 'on-demand',
      billing: { minimumS: 0, incrementS: 1 },
      hostId: null,
    },
    placementId: null,
    jobId: 'job_1',
    holdId: 'hold_1',
    agentId: null,
    state: 'requested',
    want: 'run',
    endReason: null,
    message: null,
    vendorId: null,
    attemptN: 0,
    costPerHour: 400_000_000n,
    chargePerHour: 440_000_000n,
    reservationId: null,
    reservedUntil: null,
    basisPerHour: null,
    chargeTerms: null,
    requestedAt: NOW,
    bootedAt: null,
    acceptedAt: null,
    idleSince: null,
    keepUntil: null,
    drainUntil: null,
    graceUntil: null,
    endedAt: null,
    chargedThrough: null,
    costThrough: null,
    stateSince: NOW,
    failures: 0,
    version: 1,
    wakeAt: null,
    ...over,
  };
}

export function attemptWith(over: Partial<LeaseAttemptRow> = {}): LeaseAttemptRow {
  return {
    id: 'att_1',
    organizationId: 'org_1',
    projectId: 'prj_1',
    leaseId: 'lease_1',
    n: 1,
    providerId: 'prv_1',
    state: 'calling',
    idempotencyKey: 'lease_1-1',
    intentAt: NOW,
    vendorId: null,
    errorKind: null,
    message: null,
    looks: 0,
    watchUntil: null,
    ...over,
  };
}

export function machineWith(over: Partial<VendorMachine> = {}): VendorMachine {
  return {
    vendorId: 'vm-1',
    state: 'running',
    installId: 'ins_1',
    leaseId: 'lease_1',
    attemptId: 'att_1',
    createdAtMs: NOW,
    billedFromMs: NOW,
    address: null,
    interruptAtMs: null,
    ...over,
  };
}

export function factsWith(over: Partial<HostFacts> = {}): HostFacts {
  return {
    hostname: 'h',
    os: 'linux',
    arch: 'x64',
    vcpus: 4,
    cpuModel: 'c',
    ramGiB: 16,
    diskFreeGiB: 100,
    gpus: [],
    gpuLink: 'none',
    agentVersion: '0',
    engines: [],
    ...over,
  };
}

export const gpu = (index: number, name: string, vramGiB: number): HostFacts['gpus'][number] => ({
  index,
  name,
  uuid: `GPU-${index}`,
  vramGiB,
  driverVersion: '550',
});

import type { PricingModel, ProviderKind } from '#contracts';
import { table } from '#platform/database';
import type { DurationEvidence, GangEvidence, ProportionEvidence, RateEvidence } from '#market/survival';

/** What a lease was of, from the widest to the narrowest scope. */
export interface LeaseScope {
  providerKind: ProviderKind;
  providerId: string;
  region: string;
  sku: string;
  pricing: PricingModel;
  hostId: string | null;
}

/** How a start ended, or what a machine lived through: written with the lease's own change, folded into evidence later. */
export interface OutcomeRow extends LeaseScope {
  /** `<lease>/<what>/<n>`: one outcome is written once. */
  id: string;
  kind: 'started' | 'start-failed' | 'ran' | 'lost';
  at: number;
  /** From the order to the acceptance; of starts that worked at the first try. */
  bootS: number | null;
  /** Ages of the machine between which it ran, or at the later of which it was lost. */
  fromAgeS: number | null;
  ageS: number | null;
}

export const leaseOutcomes = table<OutcomeRow>(
  'lease_outcomes',
  {
    id: 'text',
    providerKind: 'text',
    providerId: 'text',
    region: 'text',
    sku: 'text',
    pricing: 'text',
    hostId: 'text',
    kind: 'text',
    at: 'time',
    bootS: 'int',
    fromAgeS: 'int',
    ageS: 'int',
  },
  { key: ['id'] },
);

/** What is known of one scope, of all tenants together. */
export interface ScopeEvidence {
  readonly starts: ProportionEvidence;
  readonly hazard: RateEvidence;
  readonly boot: DurationEvidence;
}

export interface EvidenceRow {
  /** `<kind>/<steady or spot>` and below it provider, region, SKU, pricing and host. */
  scope: string;
  /** 0 = the kind, 1 = a provider, up to 5 = a host. */
  depth: number;
  evidence: ScopeEvidence;
  updatedAt: number;
}

export const reliabilityEvidence = table<EvidenceRow>(
  'reliability_evidence',
  { scope: 'text', depth: 'int', evidence: 'json', updatedAt: 'time' },
  { key: ['scope'] },
);

/** How machines of one place are lost together, of all tenants: spot and steady ones apart. */
export interface GangRow {
  way: 'spot' | 'steady';
  evidence: GangEvidence;
}

export const gangEvidence = table<GangRow>('gang_evidence', { way: 'text', evidence: 'json' }, { key: ['way'] });

/** Through when the hours of running leases, or the losses among them, have been told. */
export interface ProgressRow {
  name: string;
  through: number;
}

export const reliabilityProgress = table<ProgressRow>(
  'reliability_progress',
  { name: 'text', through: 'time' },
  { key: ['name'] },
);

import { toOfferView, workloadSchema, type Offer } from '#contracts';
import { plainTerms } from '#money/rating';
import type { QuoteRow } from './quotes.table.js';

/** Quotes for specs; every field may be set to something odd. */
export const NOW = Date.UTC(2026, 10, 21);

const offer: Offer = {
  id: 'off_1',
  providerId: 'prv_1',
  providerKind: 'hyperscaler',
  sku: 'a',
  region: 'r1',
  zone: null,
  country: 'FI',
  accelerator: 'CPU',
  acceleratorVendor: 'cpu',
  count: 0,
  vramGiB: 0,
  interconnect: { intraNode: 'none', intraNodeGBps: null, interNode: 'unknown', interNodeGbps: null },
  vcpus: 4,
  ramGiB: 16,
  pricing: 'on-demand',
  pricePerHour: 1_000_000_000n,
  billing: { minimumS: 0, incrementS: 1 },
  stock: null,
  status: 'rentable',
  source: 'spec',
  observedAtMs: NOW,
  confidence: 1,
  doubts: [],
  certifications: [],
  via: { kind: 'market' },
};

export function quoteWith(over: Partial<QuoteRow> = {}): QuoteRow {
  return {
    id: 'qt_1',
    organizationId: 'org_1',
    projectId: 'prj_1',
    placementId: 'pl_1',
    providerId: 'prv_1',
    offerId: 'off_1',
    offer: toOfferView(offer),
    workload: workloadSchema.parse({}),
    costPerHour: 1_000_000_000n,
    chargePerHour: 1_100_000_000n,
    terms: plainTerms(1_000),
    expectedS: 3_600,
    createdAt: NOW,
    expiresAt: NOW + 600_000,
    jobId: null,
    usedAt: null,
    ...over,
  };
}

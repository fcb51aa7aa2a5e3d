import { usd } from '#kernel';
import type { Offer } from '#contracts';

/** One plain offer of a vendor. */
export const testOffer = (n: number, over: Partial<Offer> = {}): Offer => ({
  id: `list:acme/${String(n).padStart(3, '0')}`,
  providerId: 'acme',
  providerKind: 'hyperscaler',
  sku: `sku-${n}`,
  region: 'us-east1',
  zone: null,
  country: 'US',
  accelerator: 'A100-80GB-SXM',
  acceleratorVendor: 'nvidia',
  count: 1,
  vramGiB: 80,
  interconnect: { intraNode: 'none', intraNodeGBps: null, interNode: 'unknown', interNodeGbps: null },
  vcpus: 12,
  ramGiB: 85,
  pricing: 'on-demand',
  pricePerHour: usd('2'),
  billing: { minimumS: 0, incrementS: 1 },
  stock: null,
  status: 'listed',
  source: 'list',
  observedAtMs: Date.UTC(2026, 10, 1),
  confidence: 1,
  doubts: [],
  certifications: [],
  via: { kind: 'market' },
  ...over,
});

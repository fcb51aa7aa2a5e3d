import type { PricingModel, ProviderKind } from '#contracts';
import { normalizeAccelerator } from '#hardware';
import { usdFromNumber } from '#kernel';
import { z } from 'zod';
import { isAcceleratorCount } from '../plausible.js';
import { elements } from './json.js';
import { interconnectOf, OfferList, unknownGpu, type ImportResult } from './offer-list.js';

/** The fields that are read; prices are for one GPU, memory is per GPU. */
const offering = z.object({
  id: z.string(),
  provider_id: z.string(),
  gpu_model: z.string(),
  vram_gb: z.number().nullable(),
  interconnect: z.string().nullable(),
  tier: z.string(),
  is_spot: z.boolean(),
  price_usd_hour: z.number().gt(-1e9).lt(1e9),
  vcpu: z.number().nullable(),
  ram_gb: z.number().nullable(),
  notes: z.string().nullish(),
  collected_at: z.iso.date(),
  caveats: z.array(z.string()).nullish(),
});
type Offering = z.infer<typeof offering>;
export const GPU_PRICING_FIELDS: readonly string[] = Object.keys(offering.shape);

const decentralized: ReadonlySet<string> = new Set(['akash', 'salad', 'spheron', 'tensordock', 'vast-ai']);
const serverless: ReadonlySet<string> = new Set(['modal']);

function kindOf(o: Offering): ProviderKind {
  if (serverless.has(o.provider_id)) return 'serverless';
  // RunPod's community cloud runs on other people's hosts, its secure cloud in data centres.
  return decentralized.has(o.provider_id) || o.tier === 'community' ? 'decentralized' : 'bare-metal';
}

/** What a remark of the collectors does to our belief; the lowest that applies counts. */
const remarks: readonly { readonly pattern: RegExp; readonly confidence: number; readonly doubt?: string }[] = [
  {
    pattern: /rarely available/i,
    confidence: 0.3,
    doubt: 'collectors found this spot tier rarely available in practice',
  },
  {
    pattern: /spot price estimated/i,
    confidence: 0.35,
    doubt: 'the vendor publishes no spot price: this one is an estimate',
  },
  { pattern: /may be stale/i, confidence: 0.3 },
  { pattern: /min live offer|marketplace: /i, confidence: 0.5 },
  { pattern: /virtualized gpu/i, confidence: 0.4 },
  { pattern: /billed separately/i, confidence: 0.5 },
  { pattern: /fluctuates|dynamic/i, confidence: 0.6 },
  { pattern: /site labels/i, confidence: 0.5 },
];

function belief(o: Offering): { confidence: number; doubts: string[] } {
  const applying = remarks.filter((r) => (o.caveats ?? []).some((c) => r.pattern.test(c)));
  return {
    confidence: Math.min(0.7, ...applying.map((r) => r.confidence)),
    doubts: applying.flatMap((r) => r.doubt ?? []),
  };
}

/** "sold in 8x node; price normalized per GPU": what can be rented is the whole node. */
function nodeSize(o: Offering): number {
  const match = (o.caveats ?? []).map((c) => /sold in (\d+)x node/i.exec(c)?.[1]).find((n) => n !== undefined);
  return match === undefined ? 1 : Number(match);
}

/** Same vendor, card and host shape: only then are two prices for the same thing. */
const productOf = (o: Offering, canonical: string): string =>
  [o.provider_id, canonical, o.vcpu ?? '-', o.ram_gb ?? '-'].join(' ');

/** Cheapest firm price of each product, to hold spot prices against. */
function firmPrices(offerings: readonly { o: Offering; canonical: string | null }[]): Map<string, number> {
  const least = new Map<string, number>();
  for (const { o, canonical } of offerings) {
    // A price that is not above zero is kept aside, and says nothing of another.
    if (o.is_spot || canonical === null || o.price_usd_hour <= 0) continue;
    const key = productOf(o, canonical);
    least.set(key, Math.min(least.get(key) ?? Infinity, o.price_usd_hour));
  }
  return least;
}

/** Price collection of small clouds and marketplaces (one GPU per line unless a remark says otherwise). No regions are told. */
export function importGpuPricing(offeringsJson: string, providersJson: string): ImportResult {
  const list = new Map<string, OfferList>();
  const listOf = (day: string): OfferList => {
    const known = list.get(day) ?? new OfferList('gpu-pricing', Date.parse(`${day}T00:00:00Z`));
    list.set(day, known);
    return known;
  };
  const providers = new Set(
    elements(providersJson, 'providers').flatMap((p) => {
      const known = z.object({ id: z.string() }).safeParse(p);
      return known.success ? [known.data.id] : [];
    }),
  );
  const unread = new OfferList('gpu-pricing', 0);
  const read = elements(offeringsJson, 'offerings').flatMap((item, index) => {
    // Elements of the array count as lines.
    const line = index + 1;
    const { data: o, error } = offering.safeParse(item);
    if (!o) {
      const [issue] = error.issues;
      unread.skip(line, `${issue?.path.join('.') || 'the element'}: ${issue?.message ?? 'cannot be read'}`);
      return [];
    }
    const hints = { vramGiB: o.vram_gb ?? undefined, form: o.interconnect };
    return [{ line, o, canonical: normalizeAccelerator(o.gpu_model, hints) }];
  });
  const firm = firmPrices(read);
  read.forEach(({ line, o, canonical }) => {
    const offers = listOf(o.collected_at);
    if (!providers.has(o.provider_id)) return offers.skip(line, `${o.id}: provider is not in the list of providers`);
    if (canonical === null) return offers.skip(line, `${o.id}: ${unknownGpu(o.gpu_model)}`);
    const count = nodeSize(o);
    if (!isAcceleratorCount(count)) return offers.skip(line, `${o.id}: no node has ${count} accelerators`);
    const { confidence, doubts } = belief(o);
    const pricing: PricingModel = o.is_spot ? 'spot' : 'on-demand';
    const firmPrice = firm.get(productOf(o, canonical));
    if (o.is_spot && firmPrice !== undefined && o.price_usd_hour > firmPrice) {
      doubts.push('spot costs more than on-demand of the same card at the same vendor');
    }
    return offers.add(line, {
      provider: o.provider_id,
      providerKind: kindOf(o),
      sku: o.id,
      region: 'unknown',
      country: null,
      accelerator: canonical,
      count,
      statedVramGiB: o.vram_gb,
      interconnect: interconnectOf(canonical, count, { interNode: 'unknown', interNodeGbps: null }),
      vcpus: o.vcpu,
      ramGiB: o.ram_gb,
      pricing,
      pricePerHour: usdFromNumber(o.price_usd_hour) * BigInt(count),
      billing: o.provider_id === 'modal' ? { minimumS: 1, incrementS: 1 } : { minimumS: 60, incrementS: 60 },
      confidence,
      doubts,
    });
  });
  const parts = [unread, ...list.values()].map((l) => l.result());
  return {
    offers: parts.flatMap((p) => p.offers),
    skipped: parts.flatMap((p) => p.skipped),
    unpriced: parts.flatMap((p) => p.unpriced ?? []),
  };
}

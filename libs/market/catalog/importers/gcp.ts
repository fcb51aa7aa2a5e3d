import type { PricingModel } from '#contracts';
import { normalizeAccelerator } from '#hardware';
import { divRound } from '#kernel';
import { amount, rows } from './csv.js';
import { interconnectOf, OfferList, unknownGpu, type ImportResult } from './offer-list.js';
import { countryOf } from './regions.js';

/** Memory of the GPU names that do not carry it. */
const vramGiB: ReadonlyMap<string, number> = new Map(Object.entries({ a100: 40, rtx6000: 96 }));
/** Accelerator names of the zone list for the GPU names of the price list; missing = the list lacks that GPU. */
const zoneNames: ReadonlyMap<string, string> = new Map(
  Object.entries({ a100: 'nvidia-tesla-a100', 'a100-80gb': 'nvidia-a100-80gb', l4: 'nvidia-l4' }),
);
/** Gbit/s of a machine type (Compute Engine documentation); all are Ethernet. */
const networkGbps: ReadonlyMap<string, number> = new Map(
  Object.entries({
    'a2-highgpu-1g': 24,
    'a2-highgpu-2g': 32,
    'a2-highgpu-4g': 50,
    'a2-highgpu-8g': 100,
    'a2-megagpu-16g': 100,
    'a2-ultragpu-1g': 24,
    'a2-ultragpu-2g': 32,
    'a2-ultragpu-4g': 50,
    'a2-ultragpu-8g': 100,
    'a3-highgpu-1g': 25,
    'a3-highgpu-2g': 50,
    'a3-highgpu-4g': 100,
    'a3-highgpu-8g': 1_000,
    'a3-megagpu-8g': 1_800,
    'g2-standard-4': 10,
    'g2-standard-8': 16,
    'g2-standard-12': 16,
    'g2-standard-16': 32,
    'g2-standard-24': 32,
    'g2-standard-32': 32,
    'g2-standard-48': 50,
    'g2-standard-96': 100,
    'g4-standard-48': 50,
    'g4-standard-96': 100,
    'g4-standard-192': 200,
    'g4-standard-384': 400,
  }),
);
/** A commitment month is billed as 730 hours. */
const HOURS_PER_MONTH = 730n;
/** Spot prices of regions without the GPU cover the host only: 9-22 % of the list price. Real ones start well above. */
const PHANTOM_SPOT_PERCENT = 22n;

interface Price {
  readonly pricing: PricingModel;
  readonly perHour: bigint;
}

/** The prices of a line, or which of them is none. */
function pricesOf(cell: (name: string) => string): Price[] | string {
  const columns = ['hour', 'hour_spot', 'month_1y', 'month_3y'] as const;
  const wrong = columns.find((name) => amount(cell(name) || '0') === null);
  if (wrong !== undefined) return `"${cell(wrong)}" is no price (${wrong})`;
  const priced = (name: (typeof columns)[number]): bigint => amount(cell(name) || '0') ?? 0n;
  const all: Price[] = [
    { pricing: 'on-demand', perHour: priced('hour') },
    { pricing: 'spot', perHour: priced('hour_spot') },
    { pricing: 'reserved-1y', perHour: divRound(priced('month_1y'), HOURS_PER_MONTH) },
    { pricing: 'reserved-3y', perHour: divRound(priced('month_3y'), HOURS_PER_MONTH) },
  ];
  // Blank or zero = not sold that way.
  return all.filter((p) => p.perHour !== 0n);
}

export const GCP_ZONE_COLUMNS = ['NAME', 'ZONE'] as const;
export const GCP_COLUMNS = [
  'instance',
  'gpu',
  'gpu_count',
  'cpu',
  'ram',
  'region',
  'hour',
  'hour_spot',
  'month_1y',
  'month_3y',
] as const;

/** Zones per "accelerator region" of the semicolon list NAME;ZONE. */
function countZones(zonesCsv: string): {
  readonly known: ReadonlySet<string>;
  readonly zones: ReadonlyMap<string, number>;
} {
  const zones = new Map<string, number>();
  const known = new Set<string>();
  for (const { cell } of rows(zonesCsv, ';', GCP_ZONE_COLUMNS)) {
    const name = cell('NAME');
    known.add(name);
    const key = `${name} ${cell('ZONE').replace(/-[a-z]$/, '')}`;
    zones.set(key, (zones.get(key) ?? 0) + 1);
  }
  return { known, zones };
}

function spotDoubts(
  spot: bigint,
  onDemand: bigint | undefined,
  zones: number | null,
  gpu: string,
  region: string,
): string[] {
  if (zones === 0)
    return [`no zone of ${region} is known to have ${gpu} GPUs: the spot price most likely covers the host only`];
  if (onDemand === undefined) return [];
  if (spot > onDemand) return ['spot costs more than on-demand of the same machine'];
  if (spot * 100n <= onDemand * PHANTOM_SPOT_PERCENT) {
    return [
      `spot is ${(spot * 100n) / onDemand} % of on-demand, below any real GPU price: ${region} most likely has no ${gpu} GPUs`,
    ];
  }
  return [];
}

/**
 * Compute Engine prices: on-demand, spot, and commitments as hourly prices. The zone list tells where a GPU exists;
 * where it does not, spot is doubtful and the rest less believable, since that list is older than the prices.
 */
export function importGcp(pricesCsv: string, zonesCsv: string, observedAtMs: number): ImportResult {
  const list = new OfferList('gcp-compute', observedAtMs);
  const { known, zones } = countZones(zonesCsv);
  for (const { line, cell } of rows(pricesCsv, ',', GCP_COLUMNS)) {
    const [sku, gpu, region, count] = [cell('instance'), cell('gpu'), cell('region'), Number(cell('gpu_count'))];
    const canonical = normalizeAccelerator(gpu, { instance: sku, vramGiB: vramGiB.get(gpu) });
    if (canonical === null || !(count > 0)) {
      list.skip(line, canonical === null ? `${sku}: ${unknownGpu(gpu)}` : `${sku}: no GPU count`);
      continue;
    }
    const zoneName = zoneNames.get(gpu);
    // null = the list cannot tell, which is not the same as "no zone".
    const zonesHere = zoneName !== undefined && known.has(zoneName) ? (zones.get(`${zoneName} ${region}`) ?? 0) : null;
    const prices = pricesOf(cell);
    if (typeof prices === 'string') {
      list.skip(line, `${sku}: ${prices}`);
      continue;
    }
    if (prices.length === 0) list.skip(line, `${sku}: no price`);
    const onDemand = prices.find((p) => p.pricing === 'on-demand' && p.perHour > 0n)?.perHour;
    for (const { pricing, perHour } of prices) {
      const trust = zonesHere === null ? 0.8 : zonesHere === 0 ? 0.5 : 0.95;
      list.add(line, {
        provider: 'gcp',
        providerKind: 'hyperscaler',
        sku,
        region,
        country: countryOf('gcp', region),
        accelerator: canonical,
        count,
        statedVramGiB: null,
        interconnect: interconnectOf(canonical, count, {
          interNode: 'ethernet',
          interNodeGbps: networkGbps.get(sku) ?? null,
        }),
        vcpus: Number(cell('cpu')),
        ramGiB: Number(cell('ram')),
        pricing,
        pricePerHour: perHour,
        billing: { minimumS: 60, incrementS: 1 },
        confidence: pricing === 'spot' ? trust * 0.9 : trust,
        doubts: pricing === 'spot' ? spotDoubts(perHour, onDemand, zonesHere, gpu, region) : [],
      });
    }
  }
  return list.result();
}

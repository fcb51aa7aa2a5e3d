import type { Interconnect, Offer, PricingModel, ProviderKind } from '#contracts';
import { accelerator, type Accelerator } from '#hardware';
import { NANO_PER_USD } from '#kernel';

/** A line of a price list that became no offer, and why; `line` counts from 1 and includes the heading. */
export interface SkippedLine {
  readonly source: string;
  readonly line: number;
  readonly reason: string;
}

export interface ImportResult {
  readonly offers: Offer[];
  readonly skipped: SkippedLine[];
}

/** What an importer knows of one line; everything else of an offer follows from it. */
export interface Listing {
  readonly provider: string;
  readonly providerKind: ProviderKind;
  readonly sku: string;
  readonly region: string;
  readonly country: string | null;
  /** Canonical name. */
  readonly accelerator: string;
  readonly count: number;
  /** Memory of one accelerator as stated; null = not stated. */
  readonly statedVramGiB: number | null;
  readonly interconnect: Interconnect;
  readonly vcpus: number | null;
  readonly ramGiB: number | null;
  readonly pricing: PricingModel;
  readonly pricePerHour: bigint;
  readonly billing: Offer['billing'];
  readonly confidence: number;
  readonly doubts?: readonly string[];
}

/** Stated memory this far from the nominal one is a contradiction and not rounding (drivers hide up to 7 %). */
const VRAM_TOLERANCE = 0.1;
/** Cheapest industrial electricity, nano-dollars per kWh, and the least a data centre adds for cooling. */
const LEAST_KWH = NANO_PER_USD / 20n;
const LEAST_PUE_PERCENT = 110n;

const slug = (s: string): string =>
  s
    .trim()
    .replace(/[^A-Za-z0-9._+-]+/g, '-')
    .replace(/^-+|-+$/g, '');

/** Gathers the offers of one source; ids stay unique and the same line twice counts once. */
export class OfferList {
  private readonly byId = new Map<string, Offer>();
  private readonly skipped: SkippedLine[] = [];

  constructor(
    private readonly source: string,
    private readonly observedAtMs: number,
  ) {}

  skip(line: number, reason: string): void {
    this.skipped.push({ source: this.source, line, reason });
  }

  add(line: number, listing: Listing): void {
    const a = accelerator(listing.accelerator);
    if (!a) return this.skip(line, `accelerator "${listing.accelerator}" is not in the hardware table`);
    if (listing.pricePerHour <= 0n) return this.skip(line, 'price is not above zero');
    const base = `${this.source}:${slug(listing.provider)}/${slug(listing.sku)}/${slug(listing.region)}/${listing.pricing}`;
    let id = base;
    // A source that lists one SKU at several prices keeps them apart by number, in the order of its lines.
    for (let n = 2; this.byId.has(id); n++) {
      if (sameOffer(this.byId.get(id), listing)) return this.skip(line, `repeats an earlier line (${id})`);
      id = `${base}#${n}`;
    }
    this.byId.set(id, this.offer(id, listing, a));
  }

  result(): ImportResult {
    return { offers: [...this.byId.values()], skipped: this.skipped };
  }

  private offer(id: string, l: Listing, a: Accelerator): Offer {
    const vram = vramOf(l, a);
    const doubts = [...(l.doubts ?? [])];
    if (l.pricePerHour < powerCostPerHour(a, l.count)) {
      doubts.push(`price is below what the electricity of ${l.count} x ${a.name} costs`);
    }
    return {
      id,
      providerId: l.provider,
      providerKind: l.providerKind,
      sku: l.sku,
      region: l.region,
      zone: null,
      country: l.country,
      accelerator: a.name,
      acceleratorVendor: a.vendor,
      count: l.count,
      vramGiB: vram.vramGiB,
      interconnect: l.interconnect,
      vcpus: l.vcpus,
      ramGiB: l.ramGiB,
      pricing: l.pricing,
      pricePerHour: l.pricePerHour,
      billing: l.billing,
      stock: null,
      status: 'listed',
      source: this.source,
      observedAtMs: this.observedAtMs,
      confidence: Math.round(l.confidence * (vram.contradicted ? 0.7 : 1) * 100) / 100,
      doubts,
      certifications: [],
      via: { kind: 'market' },
    };
  }
}

function sameOffer(known: Offer | undefined, l: Listing): boolean {
  return (
    known !== undefined &&
    known.pricePerHour === l.pricePerHour &&
    known.count === l.count &&
    known.vcpus === l.vcpus &&
    known.ramGiB === l.ramGiB
  );
}

/**
 * Nominal memory per accelerator, of a fraction its share: what a model can use there. A statement that contradicts the
 * card (Modal's 20 GB slice, a total written as one GPU) counts when it is less, and lowers the confidence.
 */
function vramOf(l: Listing, a: Accelerator): { vramGiB: number; contradicted: boolean } {
  const nominal = l.count < 1 ? a.vramGiB * l.count : a.vramGiB;
  if (l.statedVramGiB === null || Math.abs(l.statedVramGiB - nominal) <= nominal * VRAM_TOLERANCE) {
    return { vramGiB: nominal, contradicted: false };
  }
  return { vramGiB: Math.min(nominal, l.statedVramGiB), contradicted: true };
}

/** Nobody rents below the power the card draws: such a price belongs to something else. */
function powerCostPerHour(a: Accelerator, count: number): bigint {
  const milliwatts = BigInt(Math.round(a.watts * count * 1_000));
  return (milliwatts * LEAST_KWH * LEAST_PUE_PERCENT) / 100_000_000n;
}

const noLink = { intraNode: 'none', intraNodeGBps: null } as const;

/** Links of a machine with `count` of that accelerator; `form` unknown = the link is unknown too. */
export function interconnectOf(
  canonical: string,
  count: number,
  fabric: Pick<Interconnect, 'interNode' | 'interNodeGbps'>,
  link?: 'unknown' | { readonly intraNode: Interconnect['intraNode']; readonly intraNodeGBps: number },
): Interconnect {
  if (count <= 1) return { ...noLink, ...fabric };
  if (link === 'unknown') return { intraNode: 'unknown', intraNodeGBps: null, ...fabric };
  if (link) return { ...link, ...fabric };
  const a = accelerator(canonical);
  return { intraNode: a?.link ?? 'unknown', intraNodeGBps: a?.linkGBps ?? null, ...fabric };
}

import type { Interconnect, Offer, OfferSoftware, PricingModel, ProviderKind } from '#contracts';
import { accelerator, nearestAccelerators, type Accelerator } from '#hardware';
import { NANO_PER_USD } from '#kernel';
import { isAcceleratorCount } from '../plausible.js';

/** A line of a price list that became no offer, and why; `line` counts from 1 and includes the heading. */
export interface SkippedLine {
  readonly source: string;
  readonly line: number;
  readonly reason: string;
}

export interface ImportResult {
  readonly offers: Offer[];
  readonly skipped: SkippedLine[];
  /** What skipped lines would be if their price were above zero: a quarantine keeps them aside. */
  readonly unpriced?: readonly UnpricedLine[];
}

export interface UnpricedLine {
  readonly line: number;
  readonly offer: Offer;
}

/** What an importer knows of one line; everything else of an offer follows from it. */
export interface Listing {
  readonly provider: string;
  readonly providerKind: ProviderKind;
  readonly sku: string;
  readonly region: string;
  readonly zone?: string | null;
  readonly country: string | null;
  /** Canonical name. */
  readonly accelerator: string;
  readonly count: number;
  /** Memory of one accelerator as stated; null = not stated. */
  readonly statedVramGiB: number | null;
  readonly interconnect: Interconnect;
  readonly vcpus: number | null;
  readonly ramGiB: number | null;
  /** What the line says is installed; absent = nothing. */
  readonly software?: OfferSoftware;
  readonly pricing: PricingModel;
  readonly pricePerHour: bigint;
  readonly billing: Offer['billing'];
  readonly confidence: number;
  readonly doubts?: readonly string[];
  /** Where a line tells it; else as the whole list. */
  readonly observedAtMs?: number;
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

/** Names of vendors as they may stand in the catalog; ids of connected providers have another form. */
const VENDOR = /^[a-z0-9](?:[a-z0-9.-]{0,58}[a-z0-9])?$/;
const NO_NAME = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]|.{201}/u;

/** Why a line with such an accelerator is skipped. */
export const unknownGpu = (raw: string): string => `GPU "${raw}" is unknown`;

/** A reason of `unknownGpu` with the names that may have been meant; others as they are. Comparing costs: for lines that are shown. */
export function withNearestGpus(reason: string): string {
  const raw = /GPU "(.{1,60})" is unknown$/.exec(reason)?.[1];
  const near = raw === undefined ? [] : nearestAccelerators(raw);
  return near.length > 0 ? `${reason}; did you mean ${near.join(', ')}?` : reason;
}

/** Gathers the offers of one source; ids stay unique and the same line twice counts once. */
export class OfferList {
  private readonly offers: Offer[] = [];
  /** Ids by what is sold, of each id without its number. */
  private readonly numbered = new Map<string, Map<string, string>>();
  private readonly skipped: SkippedLine[] = [];
  private readonly unpriced: UnpricedLine[] = [];

  constructor(
    private readonly source: string,
    private readonly observedAtMs: number,
  ) {}

  skip(line: number, reason: string): void {
    this.skipped.push({ source: this.source, line, reason });
  }

  add(line: number, listing: Listing): void {
    if (!isAcceleratorCount(listing.count)) {
      return this.skip(line, `${listing.sku}: a machine cannot have ${listing.count} accelerators`);
    }
    const a = accelerator(listing.accelerator);
    if (!a) return this.skip(line, `accelerator "${listing.accelerator}" is not in the hardware table`);
    if (!VENDOR.test(listing.provider)) return this.skip(line, `"${listing.provider}" is no name of a vendor`);
    const wrong = [listing.sku, listing.region, listing.zone ?? ''].find((name) => NO_NAME.test(name));
    if (wrong !== undefined) return this.skip(line, 'the SKU, region or zone is too long or has control characters');
    const place = [listing.region, ...(listing.zone ? [listing.zone] : [])].map(slug).join('/');
    const base = `${this.source}:${slug(listing.provider)}/${slug(listing.sku)}/${place}/${listing.pricing}`;
    if (listing.pricePerHour <= 0n) {
      this.unpriced.push({ line, offer: this.offer(base, listing, a) });
      return this.skip(line, `${listing.sku}: price is not above zero`);
    }
    const numbered = this.numbered.get(base) ?? new Map<string, string>();
    this.numbered.set(base, numbered);
    const sold = soldOf(listing);
    const earlier = numbered.get(sold);
    if (earlier !== undefined) return this.skip(line, `repeats an earlier line (${earlier})`);
    // A source that lists one SKU at several prices keeps them apart by number, in the order of its lines.
    const id = numbered.size === 0 ? base : `${base}#${numbered.size + 1}`;
    numbered.set(sold, id);
    this.offers.push(this.offer(id, listing, a));
  }

  result(): ImportResult {
    return { offers: this.offers, skipped: this.skipped, unpriced: this.unpriced };
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
      zone: l.zone ?? null,
      country: l.country,
      accelerator: a.name,
      acceleratorVendor: a.vendor,
      count: l.count,
      vramGiB: vram.vramGiB,
      interconnect: l.interconnect,
      vcpus: l.vcpus,
      ramGiB: l.ramGiB,
      ...(l.software && Object.keys(l.software).length > 0 ? { software: l.software } : {}),
      pricing: l.pricing,
      pricePerHour: l.pricePerHour,
      billing: l.billing,
      stock: null,
      status: 'listed',
      source: this.source,
      observedAtMs: l.observedAtMs ?? this.observedAtMs,
      confidence: Math.round(l.confidence * (vram.contradicted ? 0.7 : 1) * 100) / 100,
      doubts,
      certifications: [],
      via: { kind: 'market' },
    };
  }
}

/** Equal for lines of one id that sell the same machine at the same price. */
const soldOf = (l: Listing): string => [l.pricePerHour, l.count, l.vcpus ?? '', l.ramGiB ?? ''].join(' ');

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

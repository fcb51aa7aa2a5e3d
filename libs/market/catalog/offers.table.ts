import { pricePerGpuHour, type Offer } from '#contracts';
import { table } from '#platform/database';

/** An offer as it is kept: the columns that lists filter and sort by, and the whole in `body`. */
export interface OfferRow {
  id: string;
  providerId: string;
  status: 'listed' | 'rentable';
  accelerator: string;
  acceleratorVendor: string;
  count: number;
  region: string;
  pricing: string;
  pricePerHour: bigint;
  pricePerGpuHour: bigint | null;
  source: string;
  observedAt: number;
  doubtful: boolean;
  /** Everything but the price, which as bigint is no JSON. */
  body: Omit<Offer, 'pricePerHour'>;
}

export const offers = table<OfferRow>(
  'offers',
  {
    id: 'text',
    providerId: 'text',
    status: 'text',
    accelerator: 'text',
    acceleratorVendor: 'text',
    count: 'float',
    region: 'text',
    pricing: 'text',
    pricePerHour: 'bigint',
    pricePerGpuHour: 'bigint',
    source: 'text',
    observedAt: 'time',
    doubtful: 'bool',
    body: 'json',
  },
  { key: ['id'] },
);

export function toRow(offer: Offer): OfferRow {
  const { pricePerHour, ...body } = offer;
  return {
    id: offer.id,
    providerId: offer.providerId,
    status: offer.status,
    accelerator: offer.accelerator,
    acceleratorVendor: offer.acceleratorVendor,
    count: offer.count,
    region: offer.region,
    pricing: offer.pricing,
    pricePerHour,
    pricePerGpuHour: pricePerGpuHour(offer),
    source: offer.source,
    observedAt: offer.observedAtMs,
    doubtful: offer.doubts.length > 0,
    body,
  };
}

export function toOffer(row: OfferRow): Offer {
  return { ...row.body, pricePerHour: row.pricePerHour };
}

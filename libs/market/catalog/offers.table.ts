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
  /** Everything but the price, which as bigint is no JSON, and the time of the last look, which alone is no change. */
  body: Omit<Offer, 'pricePerHour' | 'observedAtMs'>;
  /** Lists of its provider in a row that lacked it. */
  missed: number;
  /** The transaction that wrote the row last; see `Catalog.changesSince`. */
  revision: bigint;
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
    missed: 'int',
    revision: 'bigint',
  },
  { key: ['id'] },
);

/** A row as it goes to the database, which gives it its revision. */
export type NewOfferRow = Omit<OfferRow, 'revision'>;

export function toRow(offer: Offer, missed = 0): NewOfferRow {
  const { pricePerHour, observedAtMs, ...body } = offer;
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
    observedAt: observedAtMs,
    doubtful: offer.doubts.length > 0,
    body,
    missed,
  };
}

export function toOffer(row: OfferRow): Offer {
  return { ...row.body, pricePerHour: row.pricePerHour, observedAtMs: row.observedAt };
}

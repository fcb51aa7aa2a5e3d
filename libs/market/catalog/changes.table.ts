import { table } from '#platform/database';

/** An offer that is not there any more; forgotten after a while. */
export interface OfferRemovalRow {
  id: string;
  revision: bigint;
  removedAt: number;
}

export const offerRemovals = table<OfferRemovalRow>(
  'offer_removals',
  { id: 'text', revision: 'bigint', removedAt: 'time' },
  { key: ['id'] },
);

/** `removals-known-above`: removals up to this revision are forgotten. `revision`: the counter of the store in memory. */
export interface CatalogMarkRow {
  name: string;
  value: bigint;
}

export const catalogMarks = table<CatalogMarkRow>(
  'catalog_marks',
  { name: 'text', value: 'bigint' },
  { key: ['name'] },
);

/** What an offer cost from a moment on: one row for each change of its price or of whether it can be had. */
export interface PriceEventRow {
  offerId: string;
  at: number;
  kind: 'listed' | 'changed' | 'gone';
  pricePerHour: bigint;
  /** As seen with the change; further changes of the number alone are not kept. */
  stock: number | null;
  /** In stock and without a doubt. */
  available: boolean;
  source: string;
  why: string | null;
}

export const priceEvents = table<PriceEventRow>(
  'price_events',
  {
    offerId: 'text',
    at: 'time',
    kind: 'text',
    pricePerHour: 'bigint',
    stock: 'int',
    available: 'bool',
    source: 'text',
    why: 'text',
  },
  { key: ['offerId', 'at'] },
);

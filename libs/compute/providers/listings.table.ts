import { table } from '#platform/database';

/** When a provider's offers are read next, by whom they are read now, and how it went. */
export interface ListingRow {
  providerId: string;
  /** Due from then on; while somebody reads, the moment at which that reader is given up. */
  nextAt: number;
  /** Who reads now; '' = nobody. Only its holder may write what came of it. */
  claim: string;
  startedAt: number | null;
  /** The last list that was read to its end. */
  listedAt: number | null;
  /** Time of the last try, and how many offers the last whole list had. */
  tookMs: number | null;
  offers: number | null;
  /** Tries since the last whole list. */
  failures: number;
  /** Lists in a row that lacked so much that they were not believed. */
  doubted: number;
  error: string | null;
  errorAt: number | null;
}

export const listings = table<ListingRow>(
  'offer_listings',
  {
    providerId: 'text',
    nextAt: 'time',
    claim: 'text',
    startedAt: 'time',
    listedAt: 'time',
    tookMs: 'int',
    offers: 'int',
    failures: 'int',
    doubted: 'int',
    error: 'text',
    errorAt: 'time',
  },
  { key: ['providerId'] },
);

export const newListing = (providerId: string, nextAt: number): ListingRow => ({
  providerId,
  nextAt,
  claim: '',
  startedAt: null,
  listedAt: null,
  tookMs: null,
  offers: null,
  failures: 0,
  doubted: 0,
  error: null,
  errorAt: null,
});

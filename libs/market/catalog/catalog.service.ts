import { HOUR, MINUTE } from '#kernel';
import { acceleratorMatches, accelerators } from '#hardware';
import type { Offer, PricingModel } from '#contracts';
import type { Tx, Where } from '#platform/database';
import { readSnapshot } from './importers/index.js';
import { allOffers, catalogRevision, changesSince, type CatalogChanges } from './changes.js';
import { offers, toOffer, toRow, type NewOfferRow, type OfferRow } from './offers.table.js';
import { malformedField, storable } from './plausible.js';
import { sift } from './quarantine.js';
import { absentFrom, EXPIRED } from './relist.js';
import { catalogPublish, catalogRemovalsForget, catalogWithdraw, type Published } from './writes.js';

export interface OfferFilter {
  /** A common name such as "H100": every form of it. */
  readonly gpu?: string;
  readonly count?: number;
  readonly minVramGiB?: number;
  readonly region?: string;
  /** ISO 3166, upper case. */
  readonly country?: string;
  readonly provider?: string;
  readonly pricing?: PricingModel;
  readonly maxPricePerHour?: bigint;
  readonly status?: 'listed' | 'rentable';
}

/** What a vendor's list did to the catalog. */
export interface Relisted extends Published {
  /** Offers that it lacks and that stay for now, with a doubt. */
  readonly missing: number;
  readonly expired: number;
  /** Kept aside, because they cannot be true. */
  readonly quarantined: number;
  /** Not believed: what it lacks stays as it was. */
  readonly doubted: boolean;
}

/** What a list from a file did to the catalog. */
export interface Admitted extends Published {
  /** Left as they are: the catalog saw them later than the list. */
  readonly older: number;
  /** Kept aside, because they cannot be true: the reason by the id. */
  readonly quarantined: ReadonlyMap<string, string>;
}

/** Offers in one statement; a thousand are about a megabyte. */
const CHUNK = 1_000;
/** An offer that stays the same is written again when it was last seen so long ago; offers count as stale after half an hour. */
const REFRESH_MS = 5 * MINUTE;
const REMOVALS_KEPT_MS = HOUR;

export type OfferSort = 'price' | 'gpu-price';

/** All offers: the market's price lists, connected providers' and our own hosts'. Who has something to rent publishes it here. */
export class Catalog {
  /** Writes what differs from what is there; of an offer that comes twice the later one counts. */
  publish(tx: Tx, list: readonly Offer[]): Promise<Published> {
    return writeRows(
      tx,
      list.map((offer) => toRow(offer)),
    );
  }

  /**
   * A vendor's list as it is now. What it lacks gets a doubt, and leaves the catalog after three lists; a list that suddenly lacks
   * most of what there was is doubted itself, and takes nothing away. `doubtedBefore`: doubted lists in a row before this one.
   */
  async relist(tx: Tx, providerId: string, list: readonly Offer[], doubtedBefore: number): Promise<Relisted> {
    const { plausible, quarantined } = await sift(tx, list);
    const nameable = list.filter(({ id }) => id === storable(id));
    // An offer that is kept aside is in the list: it is not missing, its price is.
    const { missing, expired, doubted } = await absentFrom(tx, providerId, nameable, doubtedBefore);
    const published = await this.publish(tx, plausible);
    await withdrawAside(tx, nameable, quarantined);
    await writeRows(tx, missing);
    await this.withdraw(tx, expired, EXPIRED);
    return { ...published, missing: missing.length, expired: expired.length, quarantined: quarantined.size, doubted };
  }

  /**
   * Offers of a list that somebody has at hand. What it lacks stays; what the catalog saw later than the list stays as it is; what cannot be
   * true is kept aside. What is there at that price was judged when it came: the same list again changes nothing.
   */
  async admit(tx: Tx, list: readonly Offer[]): Promise<Admitted> {
    const given = [...new Map(list.map((offer) => [offer.id, offer])).values()];
    const nameable = given.filter(({ id }) => id === storable(id));
    const known = await pricesOf(tx, nameable);
    const current = given.filter((offer) => offer.observedAtMs >= (known.get(offer.id)?.observedAt ?? -Infinity));
    const same = (offer: Offer): boolean =>
      known.get(offer.id)?.pricePerHour === offer.pricePerHour && malformedField(offer) === null;
    const { plausible, quarantined } = await sift(
      tx,
      current.filter((offer) => !same(offer)),
    );
    const published = await this.publish(tx, [...current.filter(same), ...plausible]);
    await withdrawAside(tx, nameable, quarantined);
    return { ...published, older: given.length - current.length, quarantined };
  }

  /** Takes offers out; `why` is told in their history. */
  async withdraw(tx: Tx, ids: readonly string[], why = 'withdrawn'): Promise<number> {
    return withdrawRows(
      tx,
      ids,
      ids.map(() => why),
    );
  }

  /** Where a reader that reads everything next begins with `changesSince`; to be asked before the first page of `all`. */
  revision(tx: Tx): Promise<bigint> {
    return catalogRevision(tx);
  }

  /** Every offer, in pages in the order of ids. */
  all(tx: Tx, status?: OfferRow['status'], pageSize?: number): AsyncGenerator<readonly Offer[], void, void> {
    return allOffers(tx, status, pageSize);
  }

  /** What changed since a look that gave `since`; null when only reading everything anew helps. See the README for what it promises. */
  changesSince(tx: Tx, since: bigint): Promise<CatalogChanges | null> {
    return changesSince(tx, since);
  }

  /** Forgets which offers were removed more than an hour ago: who has not looked since then reads everything anew. */
  async forgetRemovals(tx: Tx): Promise<number> {
    return (await tx.call(catalogRemovalsForget, { before: (await tx.now()) - REMOVALS_KEPT_MS })).forgotten;
  }

  /** Puts a provider's offers as seen now in the place of what was there. */
  async replace(tx: Tx, providerId: string, list: readonly Offer[]): Promise<void> {
    const before = await tx.find(offers, { providerId });
    const now = new Set(list.map((o) => o.id));
    await this.withdraw(
      tx,
      before.filter((o) => !now.has(o.id)).map((o) => o.id),
      'not in the list any more',
    );
    await this.publish(tx, list);
  }

  async ofStatus(tx: Tx, status: 'listed' | 'rentable'): Promise<Offer[]> {
    return (await tx.find(offers, { status }, { orderBy: [['id', 'asc']] })).map(toOffer);
  }

  /** A page in the order of the price and then the id; prices per GPU leave out machines without one. */
  async list(
    tx: Tx,
    filter: OfferFilter,
    sort: OfferSort,
    page: { limit: number; after?: readonly [bigint, string] },
  ): Promise<OfferRow[]> {
    const by = sort === 'price' ? 'pricePerHour' : 'pricePerGpuHour';
    const price = filter.maxPricePerHour === undefined ? {} : { pricePerHour: { lte: filter.maxPricePerHour } };
    const where: Where<OfferRow> = {
      ...(filter.gpu === undefined
        ? {}
        : {
            accelerator: {
              in: accelerators.filter((a) => acceleratorMatches(filter.gpu ?? '', a.name)).map((a) => a.name),
            },
          }),
      ...(filter.count === undefined ? {} : { count: filter.count }),
      ...(filter.region === undefined ? {} : { region: filter.region }),
      ...(filter.provider === undefined ? {} : { providerId: filter.provider }),
      ...(filter.pricing === undefined ? {} : { pricing: filter.pricing }),
      ...(filter.status === undefined ? {} : { status: filter.status }),
      ...price,
      ...(by === 'pricePerGpuHour' ? { pricePerGpuHour: { isNull: false } } : {}),
    };
    const { minVramGiB, country } = filter;
    const wanted = ({ body }: OfferRow): boolean =>
      (minVramGiB === undefined || body.vramGiB >= minVramGiB) && (country === undefined || body.country === country);
    const found: OfferRow[] = [];
    let after = page.after;
    // Memory and country are inside the body: pages are read on until enough rows have them.
    for (;;) {
      const rows = await tx.find(offers, where, {
        orderBy: [
          [by, 'asc'],
          ['id', 'asc'],
        ],
        limit: page.limit,
        ...(after ? { after } : {}),
      });
      found.push(...rows.filter(wanted));
      const last = rows.at(-1);
      if (rows.length < page.limit || found.length >= page.limit || !last) return found.slice(0, page.limit);
      after = [last[by] ?? 0n, last.id];
    }
  }

  /** Loads the shipped price lists when no listed offer is there yet; returns how many offers there are then. */
  async loadSnapshot(tx: Tx): Promise<number> {
    const there = await tx.first(offers, { status: 'listed' });
    if (there) return 0;
    const { offers: list } = await readSnapshot();
    // A list may say the same thing twice; the later line counts.
    const unique = [...new Map(list.map((o) => [o.id, o])).values()];
    await this.publish(tx, unique);
    return unique.length;
  }
}

/** Takes out what is kept aside now, each with its reason. */
async function withdrawAside(tx: Tx, list: readonly Offer[], reasons: ReadonlyMap<string, string>): Promise<void> {
  const ids = list.filter(({ id }) => reasons.has(id)).map(({ id }) => id);
  await withdrawRows(
    tx,
    ids,
    ids.map((id) => reasons.get(id) ?? EXPIRED),
  );
}

/** Each with its reason, of the same place. */
async function withdrawRows(tx: Tx, ids: readonly string[], whys: readonly string[]): Promise<number> {
  if (ids.length === 0) return 0;
  return (await tx.call(catalogWithdraw, { ids, whys, at: await tx.now() })).removed;
}

/** What the catalog has of these offers. */
async function pricesOf(tx: Tx, list: readonly Offer[]): Promise<ReadonlyMap<string, OfferRow>> {
  const known = new Map<string, OfferRow>();
  for (let i = 0; i < list.length; i += CHUNK) {
    const ids = list.slice(i, i + CHUNK).map(({ id }) => id);
    for (const row of await tx.find(offers, { id: { in: ids } })) known.set(row.id, row);
  }
  return known;
}

async function writeRows(tx: Tx, list: readonly NewOfferRow[]): Promise<Published> {
  const rows = [...new Map(list.map((row) => [row.id, row])).values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  let all: Published = { added: 0, changed: 0, refreshed: 0, unchanged: 0 };
  for (let i = 0; i < rows.length; i += CHUNK) {
    const part = { offers: rows.slice(i, i + CHUNK), at: await tx.now(), refreshMs: REFRESH_MS };
    all = sum(all, await tx.call(catalogPublish, part));
  }
  return all;
}

const sum = (a: Published, b: Published): Published => ({
  added: a.added + b.added,
  changed: a.changed + b.changed,
  refreshed: a.refreshed + b.refreshed,
  unchanged: a.unchanged + b.unchanged,
});

import { acceleratorMatches, accelerators } from '#hardware';
import type { Offer, PricingModel } from '#contracts';
import type { Tx, Where } from '#platform/database';
import { readSnapshot } from './importers/index.js';
import { offers, toOffer, toRow, type OfferRow } from './offers.table.js';

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

export type OfferSort = 'price' | 'gpu-price';

/** All offers: the market's price lists, connected providers' and our own hosts'. Who has something to rent publishes it here. */
export class Catalog {
  async publish(tx: Tx, list: readonly Offer[]): Promise<void> {
    if (list.length > 0) await tx.upsert(offers, list.map(toRow));
  }

  async withdraw(tx: Tx, ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await tx.remove(offers, { id: { in: ids } });
  }

  /** Puts a provider's offers as seen now in the place of what was there. */
  async replace(tx: Tx, providerId: string, list: readonly Offer[]): Promise<void> {
    const before = await tx.find(offers, { providerId });
    const now = new Set(list.map((o) => o.id));
    await this.withdraw(
      tx,
      before.filter((o) => !now.has(o.id)).map((o) => o.id),
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

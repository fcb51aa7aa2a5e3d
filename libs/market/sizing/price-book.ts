import { accelerator } from '#hardware';
import { pricingModels, type Offer, type PricingModel } from '#contracts';
import { carriesGang, type OfferIndex } from '#market/placement';

/** Bit of the index's flags: an offer that must not win. */
const DOUBTFUL = 2;
/** Offers looked at between two pauses: a few milliseconds at most. */
const SLICE = 10_000;
/** Kinds of machines or sellers read, and offers taken off the index, between two pauses. */
const FEW = 500;
/** Cheapest offers kept for each kind of machine, link and pricing. */
const KEPT = 10;

export interface OfferWish {
  readonly scope: 'market' | 'rentable';
  readonly pricing: readonly PricingModel[];
  readonly regions: readonly string[] | undefined;
  readonly countries: readonly string[] | undefined;
  readonly providers: readonly string[] | undefined;
  readonly maxPricePerHour: bigint | undefined;
}

/** The cheapest offers of each kind of machine, by accelerator. */
export type PriceBook = ReadonlyMap<string, readonly Offer[]>;

/**
 * Reads the cheapest offers of each kind of machine (accelerator, count, link) and pricing off the index in one pass. Machines without a
 * whole accelerator, doubtful offers and other projects' warm leases are not for sizing.
 */
export async function readPrices(index: OfferIndex, wish: OfferWish, pause: () => Promise<void>): Promise<PriceBook> {
  const kindNumbers = new Map<string, number>();
  /** Machines of one accelerator, count and link, that can or cannot work as one, have one number; -1 = not for sizing. */
  const kinds = new Int32Array(index.machines.length);
  for (const [i, m] of index.machines.entries()) {
    if (i > 0 && i % FEW === 0) await pause();
    const name = `${m.accelerator}|${m.count}|${m.interconnect.intraNode}|${carriesGang(m)}`;
    const known = kindNumbers.get(name) ?? kindNumbers.size;
    const sized = m.count >= 1 && Number.isInteger(m.count) && accelerator(m.accelerator) !== undefined;
    if (sized) kindNumbers.set(name, known);
    kinds[i] = sized ? known : -1;
  }
  const places = index.places.map(
    (p) =>
      (wish.regions === undefined || wish.regions.includes(p.region)) &&
      (wish.countries === undefined || (p.country !== null && wish.countries.includes(p.country))),
  );
  const sellers = index.sellers.map((s) =>
    s.via.kind !== 'warm-lease' &&
    wish.pricing.includes(s.pricing) &&
    (wish.providers === undefined || wish.providers.includes(s.providerId))
      ? pricingModels.indexOf(s.pricing)
      : -1,
  );
  const cap = wish.maxPricePerHour === undefined ? Infinity : Number(wish.maxPricePerHour);
  const cheapest = new Map<number, { price: number; position: number }[]>();
  const { machine, place, seller, pricePerHour, flags } = index;
  for (let i = 0; i < index.size; i++) {
    if (i > 0 && i % SLICE === 0) await pause();
    const price = pricePerHour[i] ?? 0;
    const flag = flags[i] ?? 0;
    const kind = kinds[machine[i] ?? 0] ?? -1;
    const pricing = sellers[seller[i] ?? 0] ?? -1;
    if (kind < 0 || pricing < 0 || price <= 0 || price > cap || flag & DOUBTFUL || places[place[i] ?? 0] !== true)
      continue;
    if (wish.scope === 'rentable' && !(flag & 1)) continue;
    const key = kind * pricingModels.length + pricing;
    const kept = cheapest.get(key);
    if (kept === undefined) cheapest.set(key, [{ price, position: i }]);
    else if (kept.length < KEPT || price < (kept.at(-1)?.price ?? 0)) {
      let at = kept.length;
      while (at > 0 && (kept[at - 1]?.price ?? 0) > price) at--;
      kept.splice(at, 0, { price, position: i });
      if (kept.length > KEPT) kept.pop();
    }
  }
  const book = new Map<string, Offer[]>();
  let taken = 0;
  for (const kept of cheapest.values())
    for (const { position } of kept) {
      if (++taken % FEW === 0) await pause();
      const offer = index.offerAt(position);
      const list = book.get(offer.accelerator);
      if (list) list.push(offer);
      else book.set(offer.accelerator, [offer]);
    }
  return book;
}

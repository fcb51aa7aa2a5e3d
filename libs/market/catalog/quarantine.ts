import { DAY } from '#kernel';
import { audit, type Author } from '#identity/audit';
import type { Offer } from '#contracts';
import { table, type Procedure, type Tx } from '#platform/database';
import { offers } from './offers.table.js';
import { implausible, malformedField, normKey, storable, type PriceNorm } from './plausible.js';

/** What no list has told of for so long is not kept aside any more. */
const KEPT_MS = 7 * DAY;

/** An offer that is kept aside: never ranked, and why. */
export interface QuarantinedRow {
  id: string;
  providerId: string;
  accelerator: string;
  pricing: string;
  region: string;
  pricePerHour: bigint;
  source: string;
  reason: string;
  firstAt: number;
  /** The last list that said so. */
  lastAt: number;
  /** An administrator believes it as long as it costs this; null = nobody does. */
  allowedPrice: bigint | null;
}

export const quarantinedOffers = table<QuarantinedRow>(
  'quarantined_offers',
  {
    id: 'text',
    providerId: 'text',
    accelerator: 'text',
    pricing: 'text',
    region: 'text',
    pricePerHour: 'bigint',
    source: 'text',
    reason: 'text',
    firstAt: 'time',
    lastAt: 'time',
    allowedPrice: 'bigint',
  },
  { key: ['id'] },
);

/** Medians of what accelerator-hours cost in the catalog, doubtful offers left out. */
export const catalogPriceNorms: Procedure<{ accelerators: readonly string[] }, { norms: readonly RawNorm[] }> = {
  name: 'catalog_price_norms',
  args: { accelerators: 'texts' },
  result: { norms: 'json' },
  inMemory: async (tx, { accelerators }) => {
    const rows =
      accelerators.length === 0 ? [] : await tx.find(offers, { accelerator: { in: accelerators }, doubtful: false });
    const groups = new Map<string, { accelerator: string; pricing: string; prices: bigint[] }>();
    for (const { accelerator, pricing, pricePerGpuHour: price } of rows) {
      if (price === null) continue;
      const key = normKey({ accelerator, pricing });
      const group = groups.get(key) ?? { accelerator, pricing, prices: [] };
      group.prices.push(price);
      groups.set(key, group);
    }
    const norms = [...groups.values()].map(({ accelerator, pricing, prices }) => {
      const sorted = prices.toSorted((a, b) => (a < b ? -1 : 1));
      return {
        accelerator,
        pricing,
        median: String(sorted[Math.ceil(sorted.length / 2) - 1] ?? 0n),
        offers: sorted.length,
      };
    });
    return { norms };
  },
};

interface RawNorm {
  readonly accelerator: string;
  readonly pricing: string;
  readonly median: string;
  readonly offers: number;
}

/**
 * Takes what cannot be true out of a list and keeps it aside; what was kept aside and is plausible now, or is allowed at its price, goes
 * through and is released. `quarantined`: the reason by the id.
 */
export async function sift(
  tx: Tx,
  list: readonly Offer[],
): Promise<{ plausible: readonly Offer[]; quarantined: ReadonlyMap<string, string> }> {
  if (list.length === 0) return { plausible: [], quarantined: new Map() };
  const { norms } = await tx.call(catalogPriceNorms, {
    accelerators: [...new Set(list.map((o) => storable(o.accelerator)))],
  });
  const byKey = new Map(norms.map((n): [string, PriceNorm] => [normKey(n), { ...n, median: BigInt(n.median) }]));
  const providers = [...new Set(list.map((o) => o.providerId))];
  const known = new Map(
    // Locked: what an administrator allows meanwhile would be lost.
    (
      await tx.find(quarantinedOffers, { providerId: { in: providers } }, { orderBy: [['id', 'asc']], lock: 'update' })
    ).map((row) => [row.id, row]),
  );
  const now = await tx.now();
  const plausible: Offer[] = [];
  const aside: QuarantinedRow[] = [];
  const released: string[] = [];
  const allowedStill: string[] = [];
  const quarantined = new Map<string, string>();
  for (const offer of list) {
    const before = known.get(offer.id);
    const reason = implausible(offer, byKey);
    const allowed = before?.allowedPrice === offer.pricePerHour && malformedField(offer) === null;
    if (reason === null || allowed) {
      plausible.push(offer);
      if (before && !allowed) released.push(offer.id);
      if (before && allowed && before.lastAt < now - DAY) allowedStill.push(offer.id);
      continue;
    }
    quarantined.set(offer.id, reason);
    const { providerId } = offer;
    const at = { firstAt: before?.firstAt ?? now, lastAt: now };
    aside.push({
      id: storable(offer.id),
      providerId,
      accelerator: storable(offer.accelerator),
      pricing: storable(offer.pricing),
      region: storable(offer.region),
      pricePerHour: bounded(offer.pricePerHour),
      source: storable(offer.source),
      reason,
      ...at,
      allowedPrice: null,
    });
  }
  if (aside.length > 0) await tx.upsert(quarantinedOffers, [...new Map(aside.map((row) => [row.id, row])).values()]);
  if (released.length > 0) await tx.remove(quarantinedOffers, { id: { in: released } });
  if (allowedStill.length > 0) await tx.update(quarantinedOffers, { id: { in: allowedStill } }, { lastAt: now });
  await tx.remove(quarantinedOffers, { providerId: { in: providers }, lastAt: { lt: now - KEPT_MS } });
  return { plausible, quarantined };
}

/** Far above every price that is believed, and within what a column holds. */
const MOST_KEPT = 10n ** 30n;
const bounded = (price: bigint): bigint => (price > MOST_KEPT ? MOST_KEPT : price < -MOST_KEPT ? -MOST_KEPT : price);

/** What is kept aside, in the order of ids; what an administrator believes is left out. */
export function quarantine(
  tx: Tx,
  page: { readonly limit: number; readonly after?: readonly unknown[] },
): Promise<QuarantinedRow[]> {
  return tx.find(quarantinedOffers, { allowedPrice: { isNull: true } }, { orderBy: [['id', 'asc']], ...page });
}

/** Believes an offer as long as it costs what it costs now; it comes into the catalog with its provider's next list. */
export async function release(tx: Tx, by: Author, id: string, reason: string): Promise<QuarantinedRow | null> {
  const before = await tx.first(quarantinedOffers, { id, allowedPrice: { isNull: true } }, { lock: 'update' });
  if (!before || before.pricePerHour <= 0n) return null;
  const [after] = await tx.update(quarantinedOffers, { id }, { allowedPrice: before.pricePerHour });
  const shown = { price: before.pricePerHour, quarantined: before.reason, reason };
  await audit(tx, { by, organizationId: null, action: 'offer.release', subject: id, after: shown });
  return after ?? null;
}

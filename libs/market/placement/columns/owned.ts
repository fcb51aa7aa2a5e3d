import { hash32 } from '#kernel';
import type { PlacementContext } from '../context.js';
import type { OfferIndex } from './catalog-index.js';

/**
 * What each offer costs who asks, nano-dollars per hour: nothing where they have reserved enough such machines and paid for
 * them, the price where there is not room for the whole gang. A hash bitmap answers for nearly all offers.
 */
export function marginalPrices(index: OfferIndex, context: PlacementContext, machines: number): (i: number) => number {
  const { pricePerHour, idHash } = index;
  const owned = new Set(context.owned.filter((o) => o.remainingMachines >= machines).map((o) => o.offerId));
  if (owned.size === 0) return (i) => pricePerHour[i] ?? 0;
  const hashes = new Uint8Array(1 << 16);
  for (const id of owned) hashes[hash32(id) & 0xffff] = 1;
  return (i) => (hashes[(idHash[i] ?? 0) & 0xffff] === 1 && owned.has(index.idAt(i)) ? 0 : (pricePerHour[i] ?? 0));
}

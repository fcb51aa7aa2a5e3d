import type { RankedOffer } from '../columns/ranking.js';

/** What a tenant's work may count more, in percent, so that hosts are filled one after the other; the price is the same. */
const GIVEN_UP_PERCENT = 1n;

/** Whether a registered host offers the same as another of its provider, at the same price, and counts hardly more. */
export function isPeer(best: RankedOffer, other: RankedOffer): boolean {
  const [a, b] = [best.offer, other.offer];
  if (a.via.kind !== 'host' || b.via.kind !== 'host' || a.count <= 0) return false;
  return (
    a.providerId === b.providerId &&
    a.region === b.region &&
    a.country === b.country &&
    a.pricePerHour === b.pricePerHour &&
    a.isolation === b.isolation &&
    a.count === b.count &&
    a.accelerator === b.accelerator &&
    a.vramGiB === b.vramGiB &&
    a.interconnect.intraNode === b.interconnect.intraNode &&
    other.cost.total * 100n <= best.cost.total * (100n + GIVEN_UP_PERCENT)
  );
}

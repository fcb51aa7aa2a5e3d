import { hash32 } from '#kernel';
import { covers, type ReservationUse } from '#market/reservations';
import type { OwnedMachines, PlacementContext } from '../context.js';
import type { OfferIndex } from './catalog-index.js';

/**
 * What one more hour of each offer costs, nano-dollars: nothing where enough such machines are reserved and paid for, the price
 * where there is not room for the whole gang. A hash bitmap answers for nearly all offers.
 */
export function marginalPrices(index: OfferIndex, context: PlacementContext, machines: number): (i: number) => number {
  const { pricePerHour, idHash } = index;
  const owned = new Set(context.owned.filter((o) => o.remainingMachines >= machines).map((o) => o.offerId));
  if (owned.size === 0) return (i) => pricePerHour[i] ?? 0;
  const hashes = new Uint8Array(1 << 16);
  for (const id of owned) hashes[hash32(id) & 0xffff] = 1;
  return (i) => (hashes[(idHash[i] ?? 0) & 0xffff] === 1 && owned.has(index.idAt(i)) ? 0 : (pricePerHour[i] ?? 0));
}

/** The offers whose machines are reserved, with what is free of each reservation: one pass over the sellers of the index. */
export function ownedIn(index: OfferIndex, reserved: readonly ReservationUse[]): OwnedMachines[] {
  const free = reserved.filter(({ reservation, used }) => used < reservation.machines);
  if (free.length === 0) return [];
  const providers = new Set(free.map(({ reservation }) => reservation.providerId));
  const bySeller = Uint8Array.from(index.sellers, (s) => (providers.has(s.providerId) ? 1 : 0));
  const owned: OwnedMachines[] = [];
  for (let i = 0; i < index.size; i++) {
    if (bySeller[index.seller[i] ?? 0] !== 1) continue;
    const offer = index.offerAt(i);
    for (const { reservation, used } of free)
      if (covers(reservation, offer))
        owned.push({
          offerId: offer.id,
          remainingMachines: reservation.machines - used,
          reservationId: reservation.id,
          untilMs: reservation.untilAt,
        });
  }
  return owned;
}

import type { Offer } from '#contracts';
import type { Tx } from '#platform/database';
import type { Reserved } from '#market/placement';
import { freeFor } from '#market/reservations';
import { basisWithin, priceOf, type ChargeTerms } from '#money/rating';

/** What is reserved with a price for the tenant that is no more than on the terms of what it would have got otherwise. */
export async function capped(
  reserved: Reserved | null | undefined,
  { offer, terms }: { readonly offer: Pick<Offer, 'providerId'>; readonly terms: ChargeTerms },
  termsOf: (elsewhere: Pick<Offer, 'providerId'>) => Promise<ChargeTerms>,
): Promise<Reserved | null> {
  if (!reserved?.otherwise || reserved.otherwise.providerId === offer.providerId) return reserved ?? null;
  const { otherwise, basisPerHour } = reserved;
  const most = priceOf(otherwise.perHour, await termsOf(otherwise));
  return { ...reserved, basisPerHour: basisWithin(most, basisPerHour, terms) };
}

/** A machine that wins by its own price, as a quoted one does, is a reserved one while one is free; its price stays. */
export async function reservedFor(tx: Tx, offer: Offer): Promise<Reserved | null> {
  const reservationIds = await freeFor(tx, offer);
  return reservationIds.length === 0 ? null : { reservationIds, basisPerHour: offer.pricePerHour, otherwise: null };
}

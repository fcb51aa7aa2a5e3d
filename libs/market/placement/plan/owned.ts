import type { OwnedMachines, PlacementContext } from '../context.js';
import { expectedCost, spentOf } from '../cost/cost.js';
import type { RankedOffer, Ranking } from '../columns/ranking.js';
import type { DeadlineChoice } from './deadline.js';

/** What is reserved of the chosen machine. */
export interface Reserved {
  /** Reservations that have one free, in the order to ask them. */
  readonly reservationIds: readonly string[];
  /** What the tenant's price is made from, nano-dollars per hour: the offer's own price or less. */
  readonly basisPerHour: bigint;
  /**
   * What the work would have been done on otherwise: whose terms hold there, and the price per hour of the reserved machine at which it
   * would cost as much. Null: nothing else was there, or it is the same offer.
   */
  readonly otherwise: { readonly providerId: string; readonly perHour: bigint } | null;
}

/** Rankings of the whole index for reserved machines in one decision; each takes as long as the plain one. */
const MOST_LOOKS = 3;

/**
 * A choice with and without the machines that are paid for already. Who reserves them is the broker and who pays for the work is the
 * tenant: a machine of its own that is warm goes before them, a reservation that ends before the work does changes no choice, and the tenant
 * pays no more for the finished work than it would be expected to on what would have been chosen otherwise.
 */
export async function chooseOwned(
  decide: (owned: readonly OwnedMachines[]) => Promise<DeadlineChoice>,
  context: Pick<PlacementContext, 'owned' | 'nowMs'>,
  firstOf: (ranking: Ranking) => RankedOffer | undefined,
): Promise<{ choice: DeadlineChoice; reserved: Reserved | null }> {
  const plain = await decide([]);
  const otherwise = firstOf(plain.ranking);
  const freeOf = (owned: readonly OwnedMachines[], chosen: RankedOffer): OwnedMachines[] =>
    owned.filter((o) => o.offerId === chosen.offer.id && o.remainingMachines >= chosen.time.machines);
  let { owned } = context;
  for (let look = 0; look < MOST_LOOKS && owned.length > 0 && otherwise?.offer.via.kind !== 'warm-lease'; look++) {
    const choice = await decide(owned);
    const chosen = firstOf(choice.ranking);
    const of = chosen ? freeOf(owned, chosen) : [];
    if (!chosen || of.length === 0) break;
    const finishedMs = context.nowMs + chosen.time.p90S * 1_000;
    const lasting = of.filter((o) => (o.untilMs ?? Infinity) >= finishedMs);
    if (lasting.length > 0) return { choice, reserved: { ...idsOf(lasting), ...priceFrom(chosen, otherwise) } };
    // What ends before this work would is not looked at again: not this machine, nor others that most likely take as long.
    owned = owned.filter((o) => (o.untilMs ?? Infinity) >= finishedMs);
  }
  // The machine that wins by its price anyway is a reserved one while one is free, for as long as that lasts.
  const own = otherwise ? freeOf(context.owned, otherwise) : [];
  if (!otherwise || own.length === 0) return { choice: plain, reserved: null };
  return {
    choice: plain,
    reserved: { ...idsOf(own), basisPerHour: otherwise.offer.pricePerHour, otherwise: null },
  };
}

const idsOf = (owned: readonly OwnedMachines[]): Pick<Reserved, 'reservationIds'> => ({
  reservationIds: owned.flatMap(({ reservationId }) => reservationId ?? []),
});

/** The price at which the work is expected to cost what it would otherwise; the basis is never more than the offer's own. */
function priceFrom(
  { offer, time, confidence }: RankedOffer,
  otherwise: RankedOffer | undefined,
): Omit<Reserved, 'reservationIds'> {
  const own = offer.pricePerHour;
  if (!otherwise || otherwise.offer.id === offer.id) return { basisPerHour: own, otherwise: null };
  const free = spentOf(expectedCost(time, 0, confidence));
  const room = spentOf(otherwise.cost) - free;
  const full = spentOf(expectedCost(time, Number(own), confidence)) - free;
  const perHour = room <= 0n ? 0n : full <= 0n ? own : (own * room) / full;
  return {
    basisPerHour: perHour < own ? perHour : own,
    otherwise: { providerId: otherwise.offer.providerId, perHour },
  };
}

/**
 * The ranking as its tenant may see it: the reserved machine first, at what its price is made from, and everything else at its price.
 * How many machines the broker has reserved, and how many of them others use, is not the tenant's.
 */
export function forTenant(ranking: Ranking, chosen: RankedOffer, { basisPerHour }: Reserved): Ranking {
  if (ranking.context.owned.length === 0) return ranking;
  const at = (ranked: RankedOffer, perHour: bigint): RankedOffer => ({
    ...ranked,
    cost: expectedCost(ranked.time, Number(perHour), ranked.confidence),
  });
  const isOwned = new Set(ranking.context.owned.map((o) => o.offerId));
  const priced = (ranked: RankedOffer): RankedOffer =>
    isOwned.has(ranked.offer.id) ? at(ranked, ranked.offer.pricePerHour) : ranked;
  const rest = ranking.ranked.filter((r) => r.offer.id !== chosen.offer.id).map(priced);
  return {
    ...ranking,
    context: { ...ranking.context, owned: [] },
    ranked: [at(chosen, basisPerHour), ...rest.sort((a, b) => (a.cost.total < b.cost.total ? -1 : 1))],
    nearMisses: ranking.nearMisses.map((miss) => ({ ...miss, nearest: miss.nearest && priced(miss.nearest) })),
    leastListed: ranking.leastListed && priced(ranking.leastListed),
    firstIsReserved: true,
  };
}

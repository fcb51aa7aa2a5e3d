import { rejectionDimensions, toOfferView, type ComparedOffer, type Explanation, type NearMissView } from '#contracts';
import type { RankedOffer, NearMiss, Ranking } from '../columns/ranking.js';
import { spentOf } from '../cost/cost.js';
import { demandOf } from '../fit/demand.js';
import { relaxation } from './hints.js';
import { money } from './explain.js';
import { costView, difference, everyTerm } from './terms.js';
import { givenUpFor, type GivenUpFor } from './words.js';

/** Why the first candidate won, and what was close: the other side of the same terms. */
export function explanationOf(ranking: Ranking): Explanation {
  const [winner, second] = ranking.ranked;
  const forWhat = ranking.firstIsReserved ? givenUpFor.reserved : givenUpFor.blocks;
  return {
    runnerUp: winner && second ? compared(winner, second, 2, forWhat) : null,
    cheaperListed: winner ? cheaperListed(ranking, winner, forWhat) : null,
    nearMisses: ranking.nearMisses.map((miss) => nearMissView(ranking, miss)).sort(byCost),
  };
}

/** Down the ranking, the first that asks less per hour; behind the kept candidates, the one that asks least. */
function cheaperListed(
  { ranked, leastListed }: Ranking,
  winner: RankedOffer,
  forWhat: GivenUpFor,
): ComparedOffer | null {
  const asks = winner.offer.pricePerHour;
  const at = ranked.findIndex(({ offer }) => offer.pricePerHour < asks);
  const kept = ranked[at];
  if (kept) return compared(winner, kept, at + 1, forWhat);
  return leastListed && leastListed.offer.pricePerHour < asks ? compared(winner, leastListed, null, forWhat) : null;
}

function compared(winner: RankedOffer, other: RankedOffer, rank: number | null, forWhat: GivenUpFor): ComparedOffer {
  return {
    rank,
    offer: toOfferView(other.offer),
    expectedS: other.time.expectedS,
    cost: costView(other.cost),
    difference: difference(other.cost, winner.cost),
    because: becauseOf(winner, other, forWhat),
  };
}

const MOST_NAMED = 3;

function becauseOf(winner: RankedOffer, other: RankedOffer, forWhat: GivenUpFor): string {
  const more = other.cost.total - winner.cost.total;
  const asks = other.offer.pricePerHour - winner.offer.pricePerHour;
  const price =
    asks < 0n
      ? `${money(-asks)} per hour cheaper by list price, yet `
      : asks > 0n
        ? `${money(asks)} per hour dearer by list price, and `
        : 'The same list price; ';
  if (more === 0n) return `${price}it counts the same in all: equal costs are ordered by the name of the offer.`;
  if (more < 0n) return `${price}it counts ${money(-more)} less in all, ${forWhat}.`;
  const terms = everyTerm
    .map(([term, what]) => ({ what, by: other.cost[term] - winner.cost[term] }))
    .filter(({ by }) => (by < 0n ? -by : by) > more / 100n);
  const dearer = terms.filter(({ by }) => by > 0n).sort((a, b) => (a.by < b.by ? 1 : -1));
  const cheaper = terms.filter(({ by }) => by < 0n).sort((a, b) => (a.by < b.by ? -1 : 1));
  const list = (some: readonly { what: string; by: bigint }[]): string =>
    some
      .slice(0, MOST_NAMED)
      .map(({ what, by }) => `${money(by < 0n ? -by : by)} for ${what}`)
      .join(', ');
  const less = cheaper.length === 0 ? '' : `; less is ${list(cheaper)}`;
  return `${price}it counts ${money(more)} more in all: ${list(dearer)}${less}.`;
}

function nearMissView(ranking: Ranking, { dimension, offers, nearest }: NearMiss): NearMissView {
  const figures = nearest
    ? {
        pricePerHour: Number(nearest.offer.pricePerHour) * nearest.time.machines,
        spent: Number(spentOf(nearest.cost)),
        p90S: nearest.time.p90S,
      }
    : { pricePerHour: Infinity, spent: Infinity, p90S: Infinity };
  return {
    dimension,
    offers,
    nearest: nearest && {
      offer: toOfferView(nearest.offer),
      expectedS: nearest.time.expectedS,
      cost: costView(nearest.cost),
      wouldRank: wouldRank(ranking, nearest),
    },
    change: relaxation(demandOf(ranking.workload), dimension, figures),
  };
}

function wouldRank({ ranked, fitting }: Ranking, { cost, offer }: RankedOffer): number | null {
  const ahead = ranked.filter(
    (r) => r.cost.total < cost.total || (r.cost.total === cost.total && r.offer.id < offer.id),
  ).length;
  return ahead === ranked.length && fitting > ranked.length ? null : ahead + 1;
}

/** By cost, those without one last; equal ones in the order of the dimensions. */
function byCost(a: NearMissView, b: NearMissView): number {
  const order = rejectionDimensions.indexOf(a.dimension) - rejectionDimensions.indexOf(b.dimension);
  if (!a.nearest || !b.nearest) return Number(!a.nearest) - Number(!b.nearest) || order;
  const by = BigInt(a.nearest.cost.total) - BigInt(b.nearest.cost.total);
  return by < 0n ? -1 : by > 0n ? 1 : order;
}

import type { RejectionDimension } from '#contracts';
import type { NearMiss, RankedOffer, Ranking } from './ranking.js';

/**
 * Orders by total cost, then by offer id: the order of every ranking. Between registered hosts of equal cost the fullest comes
 * first, so that the others keep their blocks of GPUs whole.
 */
export function byCostThenId(a: RankedOffer, b: RankedOffer): number {
  if (a.cost.total !== b.cost.total) return a.cost.total < b.cost.total ? -1 : 1;
  const room = roomOf(a) - roomOf(b);
  if (room !== 0) return room;
  return a.offer.id < b.offer.id ? -1 : 1;
}

/** Leases of that size that a registered host still has room for; what others rent out is not ours to pack. */
function roomOf({ offer }: RankedOffer): number {
  return offer.via.kind === 'host' ? (offer.stock ?? 0) : 0;
}

function byListPrice(a: RankedOffer, b: RankedOffer): number {
  if (a.offer.pricePerHour !== b.offer.pricePerHour) return a.offer.pricePerHour < b.offer.pricePerHour ? -1 : 1;
  return byCostThenId(a, b);
}

/** Two rankings of different offers for the same workload as one. */
export function mergeRankings(a: Ranking, b: Ranking, limit: number): Ranking {
  const rejections = { ...a.rejections };
  for (const [dimension, n] of Object.entries(b.rejections)) {
    const key = dimension as keyof typeof rejections;
    rejections[key] = (rejections[key] ?? 0) + n;
  }
  const ranked = [...a.ranked, ...b.ranked].sort(byCostThenId).slice(0, limit);
  return {
    ...a,
    considered: a.considered + b.considered,
    fitting: a.fitting + b.fitting,
    ranked,
    rejections,
    nearMisses: mergeNearMisses([...a.nearMisses, ...b.nearMisses]),
    leastListed: [a.leastListed, b.leastListed].filter((r) => r !== null).sort(byListPrice)[0] ?? null,
    hints: ranked.length > 0 ? [] : a.hints,
    contradictions: ranked.length > 0 ? [] : a.contradictions,
  };
}

function mergeNearMisses(all: readonly NearMiss[]): NearMiss[] {
  const merged = new Map<RejectionDimension, NearMiss>();
  for (const miss of all) {
    const known = merged.get(miss.dimension);
    const nearest = [known?.nearest ?? null, miss.nearest].filter((r) => r !== null).sort(byCostThenId)[0] ?? null;
    merged.set(miss.dimension, {
      dimension: miss.dimension,
      offers: (known?.offers ?? 0) + miss.offers,
      nearest,
    });
  }
  return [...merged.values()];
}

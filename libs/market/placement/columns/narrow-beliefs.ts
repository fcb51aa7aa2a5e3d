import { forVia, providerScope, reliabilityOf, type Reliability, type ScopeBelief } from '#market/reliability';
import type { Offer } from '#contracts';
import type { OfferIndex, Seller } from './catalog-index.js';
import type { PlacementContext } from '../context.js';

/** Belief about one offer alone, from its narrowest known scope: the plain form of `narrowBeliefs`. */
export function beliefOf(context: PlacementContext, offer: Offer): Reliability {
  const { providerKind, pricing, providerId, region, sku, via } = offer;
  return reliabilityOf(
    { providerKind, pricing, providerId, region, sku, via: via.kind, hostId: hostOf(via) },
    context.reliability,
  );
}

const hostOf = (via: Offer['via']): string | null => (via.kind === 'host' ? via.hostId : null);

/**
 * The belief at a position where something is known below its provider, undefined elsewhere; null where nothing is known
 * below any provider of the index. Sellers without such evidence cost one look into a byte per offer, regions without it
 * one more; only offers of regions that machines were rented in are looked up by name.
 */
export function narrowBeliefs(
  index: OfferIndex,
  context: PlacementContext,
): ((position: number) => Reliability | undefined) | null {
  const { byScope } = context.reliability;
  if (!byScope) return null;
  const providers = index.sellers.map((seller) => byScope.get(providerScope(seller)));
  const isNarrow = Uint8Array.from(providers, (p) => (p && p.below.size > 0 ? 1 : 0));
  if (!isNarrow.includes(1)) return null;
  const regionsOf = new Map<ScopeBelief, (ScopeBelief | null)[]>();
  for (const provider of providers)
    if (provider && provider.below.size > 0 && !regionsOf.has(provider))
      regionsOf.set(
        provider,
        index.places.map((place) => provider.below.get(place.region) ?? null),
      );
  const regions = providers.map((p) => (p ? regionsOf.get(p) : undefined));
  const { seller: sellerAt, place: placeAt, label: labelAt, sellers, labels } = index;
  return (i) => {
    const s = sellerAt[i] ?? 0;
    if (isNarrow[s] !== 1) return undefined;
    const region = regions[s]?.[placeAt[i] ?? 0];
    if (!region) return undefined;
    const seller = sellers[s];
    return seller && belowRegion(region, seller, labels[labelAt[i] ?? 0]?.sku ?? '');
  };
}

function belowRegion(region: ScopeBelief, seller: Seller, name: string): Reliability {
  let scope = region;
  const sku = region.below.get(name);
  if (sku) {
    const pricing = sku.below.get(seller.pricing);
    const host = hostOf(seller.via);
    scope = (host === null ? undefined : pricing?.below.get(host)) ?? pricing ?? sku;
  }
  return forVia(scope.own, seller.via.kind);
}

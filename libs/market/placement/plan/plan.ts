import type { Offer } from '#contracts';
import type { RankedOffer } from '../columns/ranking.js';

/** What tends to fail together: one provider's region. */
export function failureDomain(offer: Pick<Offer, 'providerId' | 'region'>): string {
  return `${offer.providerId}/${offer.region}`;
}

export interface PlanOptions {
  /** How many tries to plan. */
  readonly tries: number;
  /** How much more than the cheapest left an offer of an untried domain may count, as a share. */
  readonly premium: number;
}

export const planDefaults: PlanOptions = { tries: 10, premium: 0.3 };

/**
 * The order of tries. The first is the best candidate; each later one is the cheapest among the least-tried failure
 * domains, unless the cheapest of all is cheaper by more than the premium: no capacity in a region is rarely an accident
 * of one SKU, but another region is not worth any price. What was tried before counts as tried.
 */
export function planTries(
  ranked: readonly RankedOffer[],
  options: PlanOptions = planDefaults,
  triedBefore: readonly Pick<Offer, 'providerId' | 'region'>[] = [],
): RankedOffer[] {
  const left = [...ranked];
  const tried = new Map<string, number>();
  for (const offer of triedBefore) {
    const domain = failureDomain(offer);
    tried.set(domain, (tried.get(domain) ?? 0) + 1);
  }
  const plan: RankedOffer[] = [];
  while (left.length > 0 && plan.length < options.tries) {
    const cheapest = left[0];
    if (!cheapest) break;
    const limit = Number(cheapest.cost.total) * (1 + options.premium);
    let chosen = 0;
    let fewest = Infinity;
    left.forEach((candidate, i) => {
      const before = tried.get(failureDomain(candidate.offer)) ?? 0;
      if (before < fewest && Number(candidate.cost.total) <= limit) {
        fewest = before;
        chosen = i;
      }
    });
    const next = left.splice(chosen, 1)[0] ?? cheapest;
    const domain = failureDomain(next.offer);
    tried.set(domain, (tried.get(domain) ?? 0) + 1);
    plan.push(next);
  }
  return plan;
}

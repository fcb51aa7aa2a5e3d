import type { Offer, Plan, ProviderKind } from '#contracts';
import type { Ranking } from '../columns/ranking.js';
import { objectiveWeights } from '../cost/objectives.js';
import { bootQuantiles, hedgeOf } from './hedge.js';
import { failureDomain, planDefaults, planTries } from './plan.js';

/** From capacity that comes and goes to capacity that stays: where a class has nothing left, the next is asked. */
export const fallbackOrder: readonly ProviderKind[] = ['decentralized', 'serverless', 'bare-metal', 'hyperscaler'];

/** The kept candidates in the order to try them, when a second start beside one pays, and what stands behind them. */
export function planOf(
  { ranked, workload }: Ranking,
  tried: readonly Pick<Offer, 'providerId' | 'region'>[] = [],
): Plan {
  const tries = planTries(ranked, planDefaults, tried);
  const { dollarsPerHour } = objectiveWeights[workload.objective];
  const rankOf = new Map(ranked.map((r, i) => [r, i + 1]));
  return {
    premium: planDefaults.premium,
    tries: tries.map((candidate, i) => {
      const next = tries[i + 1];
      const hedge = next ? hedgeOf(candidate, next, dollarsPerHour) : null;
      return {
        rank: rankOf.get(candidate) ?? 0,
        offerId: candidate.offer.id,
        domain: failureDomain(candidate.offer),
        providerKind: candidate.offer.providerKind,
        startFails: candidate.time.reliability.startFailureP,
        ready: bootQuantiles(candidate),
        hedge: hedge && {
          ...hedge,
          with: next?.offer.id ?? '',
          worthNano: hedge.worthNano.toString(),
          costNano: hedge.costNano.toString(),
        },
      };
    }),
    fallback: fallbackOrder
      .slice(fallbackOrder.indexOf(tries[0]?.offer.providerKind ?? 'hyperscaler') + 1)
      .map((providerKind) => {
        const at = ranked.findIndex((r) => r.offer.providerKind === providerKind);
        return { providerKind, rank: at < 0 ? null : at + 1 };
      }),
  };
}

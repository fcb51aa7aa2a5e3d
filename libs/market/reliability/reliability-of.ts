import { providerScope } from './beliefs.js';
import { defaultPriors } from './priors.js';
import type { OfferVia, Reliability, ReliabilityPriors, ReliabilityQuery, ScopeBelief } from './reliability.js';

/** An enrolled agent only has to fetch and load; nothing is ordered. */
const HOST_BOOT_S = 30;

const adapted = new WeakMap<Reliability, { host: Reliability; warm: Reliability }>();

/**
 * What to believe about that kind of offer: what was seen at its narrowest known scope, else the provider's own row, else
 * its kind's. The same answer is the same object, so that callers may cache by identity.
 */
export function reliabilityOf(query: ReliabilityQuery, priors: ReliabilityPriors = defaultPriors): Reliability {
  const kind = priors.byKind[query.providerKind];
  const base =
    narrowest(query, priors)?.own ??
    priors.byProvider[`${query.providerId}/${query.pricing}`] ??
    (query.pricing === 'spot' ? kind.spot : kind.steady);
  return forVia(base, query.via);
}

/** The narrowest scope that something is known of on the way down to what is asked for. */
function narrowest(query: ReliabilityQuery, priors: ReliabilityPriors): ScopeBelief | undefined {
  let scope = priors.byScope?.get(providerScope(query));
  if (!scope) return undefined;
  for (const name of [query.region, query.sku, query.pricing, query.hostId]) {
    const below: ScopeBelief | undefined = name === undefined || name === null ? undefined : scope.below.get(name);
    if (!below) break;
    scope = below;
  }
  return scope;
}

/** The same belief for a machine whose agent already runs, or one that is booted. */
export function forVia(base: Reliability, via: OfferVia | undefined): Reliability {
  if (via === undefined || via === 'market') return base;
  let pair = adapted.get(base);
  if (!pair) {
    pair = {
      host: { ...base, bootS: HOST_BOOT_S, bootBilledS: HOST_BOOT_S, failedStartS: 30, failedStartBilledS: 0 },
      warm: { ...base, startFailureP: 0, bootS: 0, bootBilledS: 0, failedStartS: 0, failedStartBilledS: 0 },
    };
    adapted.set(base, pair);
  }
  return via === 'host' ? pair.host : pair.warm;
}

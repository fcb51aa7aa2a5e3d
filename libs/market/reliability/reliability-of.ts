import { defaultPriors } from './priors.js';
import type { Reliability, ReliabilityPriors, ReliabilityQuery } from './reliability.js';

/** An enrolled agent only has to fetch and load; nothing is ordered. */
const HOST_BOOT_S = 30;

const adapted = new WeakMap<Reliability, { host: Reliability; warm: Reliability }>();

/**
 * What to believe about that kind of offer: the provider's own row, else its kind's. The same answer is the same object,
 * so that callers may cache by identity.
 */
export function reliabilityOf(query: ReliabilityQuery, priors: ReliabilityPriors = defaultPriors): Reliability {
  const kind = priors.byKind[query.providerKind];
  const base =
    priors.byProvider[`${query.providerId}/${query.pricing}`] ?? (query.pricing === 'spot' ? kind.spot : kind.steady);
  if (query.via === undefined || query.via === 'market') return base;
  let pair = adapted.get(base);
  if (!pair) {
    pair = {
      host: { ...base, bootS: HOST_BOOT_S, bootBilledS: HOST_BOOT_S, failedStartS: 30, failedStartBilledS: 0 },
      warm: { ...base, startFailureP: 0, bootS: 0, bootBilledS: 0, failedStartS: 0, failedStartBilledS: 0 },
    };
    adapted.set(base, pair);
  }
  return query.via === 'host' ? pair.host : pair.warm;
}

import type { Offer, Workload } from '#contracts';
import {
  beliefOf,
  demandOf,
  expectedCost,
  offerFailures,
  spentOf,
  timeTerms,
  usefulTime,
  type PlacementContext,
} from '#market/placement';

/** The ids of the best offers found the plain way: test and cost every offer object, sort, cut. */
export function plainRanking(offers: readonly Offer[], workload: Workload, context: PlacementContext): string[] {
  const demand = demandOf(workload);
  const { maxPricePerHour, maxTotal, deadlineS } = workload.constraints;
  const fitting: { id: string; total: bigint }[] = [];
  for (const offer of offers) {
    if (offerFailures(context, demand, offer) !== 0) continue;
    const usefulS = usefulTime(context.speeds, demand, offer);
    if (usefulS === null) continue;
    const time = timeTerms(context, demand, offer, usefulS, beliefOf(context, offer));
    if (time.p90S === Infinity || time.p90S > (deadlineS ?? Infinity)) continue;
    if (maxPricePerHour && offer.pricePerHour * BigInt(workload.nodes) > BigInt(maxPricePerHour)) continue;
    const days = Math.max(0, Math.floor((context.nowMs - offer.observedAtMs) / 86_400_000));
    const confidence = offer.confidence * (context.scope === 'market' ? 0.5 ** (days / 365) : 1);
    const cost = expectedCost(time, Number(offer.pricePerHour), confidence);
    if (maxTotal && spentOf(cost) > BigInt(maxTotal)) continue;
    fitting.push({ id: offer.id, total: cost.total });
  }
  fitting.sort((a, b) => (a.total === b.total ? (a.id < b.id ? -1 : 1) : a.total < b.total ? -1 : 1));
  return fitting.slice(0, context.limit).map((f) => f.id);
}

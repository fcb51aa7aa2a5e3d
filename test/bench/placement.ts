import type { Offer, Workload } from '#contracts';
import { SeededRandom } from '#kernel';
import { readSnapshot } from '#market/catalog';
import {
  beliefOf,
  buildOfferIndex,
  demandOf,
  expectedCost,
  offerFailures,
  placementContext,
  rankOffers,
  spentOf,
  timeTerms,
  usefulTime,
  type PlacementContext,
  type Ranking,
} from '#market/placement';
import { syntheticOffers, syntheticWorkloads } from './placement-input.js';

/**
 * How long ranking takes over 100,000 offers drawn from the shipped price lists, on one core, against the plain way
 * (test and cost every offer object, sort, cut) in the same run. The plain way's winners must be the same.
 */
const OFFERS = 100_000;
const quick = process.argv.includes('--quick');
const workloadCount = quick ? 40 : 200;
const baselineCount = quick ? 3 : 15;
const nowMs = Date.UTC(2026, 7, 1);

function plainRanking(offers: readonly Offer[], workload: Workload, context: PlacementContext): string[] {
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
    const days = Math.max(0, Math.floor((nowMs - offer.observedAtMs) / 86_400_000));
    const confidence = offer.confidence * (context.scope === 'market' ? 0.5 ** (days / 365) : 1);
    const cost = expectedCost(time, Number(offer.pricePerHour), confidence);
    if (maxTotal && spentOf(cost) > BigInt(maxTotal)) continue;
    fitting.push({ id: offer.id, total: cost.total });
  }
  fitting.sort((a, b) => (a.total === b.total ? (a.id < b.id ? -1 : 1) : a.total < b.total ? -1 : 1));
  return fitting.slice(0, context.limit).map((f) => f.id);
}

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN;

function timed<T>(runs: number, run: (i: number) => T): { results: T[]; ms: number[] } {
  const results: T[] = [];
  const ms: number[] = [];
  for (let i = 0; i < runs; i++) {
    const from = performance.now();
    results.push(run(i));
    ms.push(performance.now() - from);
  }
  return { results, ms: ms.sort((a, b) => a - b) };
}

function memoryInUse(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const round = (x: number, digits = 1): number => Number(x.toFixed(digits));

const random = new SeededRandom('placement-bench');
const snapshot = (await readSnapshot()).offers;
const offers = syntheticOffers(snapshot, OFFERS, nowMs, random);
const workloads = syntheticWorkloads(workloadCount, random);
const warmUp = syntheticWorkloads(20, random);
const contexts = (['market', 'rentable'] as const).map((scope) => placementContext({ scope, nowMs }));
const contextOf = (i: number): PlacementContext => contexts[i % 2] ?? placementContext({ scope: 'market', nowMs });

const before = memoryInUse();
const buildFrom = performance.now();
const index = buildOfferIndex(offers);
const buildMs = performance.now() - buildFrom;
const bytesPerOffer = Math.round((memoryInUse() - before) / OFFERS);

const rank = (list: readonly Workload[], i: number): Ranking => {
  const workload = list[i];
  if (!workload) throw new RangeError(`no workload ${i}`);
  return rankOffers(index, workload, contextOf(i));
};
timed(warmUp.length, (i) => rank(warmUp, i));
const indexed = timed(workloads.length, (i) => rank(workloads, i));
const plain = timed(baselineCount, (i) =>
  plainRanking(offers, workloads[i] ?? rank(workloads, i).workload, contextOf(i)),
);

plain.results.forEach((ids, i) => {
  const found = indexed.results[i]?.ranked.map((r) => r.offer.id) ?? [];
  if (ids.join() !== found.join()) throw new Error(`workload ${i}: the index and the plain way rank differently`);
});
const fits = indexed.results.map((r) => r.fitting).sort((a, b) => a - b);
const row = (name: string, ms: readonly number[]) => ({
  'way of ranking': name,
  runs: ms.length,
  'p50 ms': round(quantile(ms, 0.5)),
  'p90 ms': round(quantile(ms, 0.9)),
  'p99 ms': round(quantile(ms, 0.99)),
});
console.log(
  `${OFFERS} offers from ${snapshot.length} real ones: ${index.machines.length} machines, ${index.places.length} places, ` +
    `${index.sellers.length} sellers; fitting per workload p10/p50/p90: ${[0.1, 0.5, 0.9].map((q) => quantile(fits, q)).join('/')}`,
);
console.log(
  `index: built in ${round(buildMs)} ms, ${index.bytesPerOffer} bytes per offer in columns, ${bytesPerOffer} with dictionaries`,
);
console.table([row('plain: test, cost and sort every offer', plain.ms), row('index', indexed.ms)]);
console.log(`first ${baselineCount} rankings are the same both ways`);
console.log(
  JSON.stringify({
    bench: 'placement',
    offers: OFFERS,
    p50Ms: round(quantile(indexed.ms, 0.5), 2),
    p99Ms: round(quantile(indexed.ms, 0.99), 2),
    bytesPerOffer,
  }),
);

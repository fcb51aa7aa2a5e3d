import { setImmediate } from 'node:timers/promises';
import type { Offer, Workload } from '#contracts';
import { SeededRandom } from '#kernel';
import { readSnapshot } from '#market/catalog';
import {
  OfferIndex,
  placementContext,
  rankInSlices,
  rankOffers,
  SLICE,
  type PlacementContext,
  type Ranking,
} from '#market/placement';
import { loopKept } from './placement/loop.js';
import { sizingUnderLoad } from './placement/sizing.js';
import { changedOffers, syntheticOffers, syntheticWorkloads } from './placement/input.js';
import { plainRanking } from './placement/plain.js';

/**
 * How long ranking takes over offers drawn from the shipped price lists (`--offers N`, 100,000 by default), on one core,
 * against the plain way (test and cost every offer object, sort, cut) in the same run; the plain way's winners must be the
 * same. Then what a change of 1,000 offers takes, and how long 200 rankings at once, and the biggest sizing questions, keep the
 * event loop from others.
 */
const quick = process.argv.includes('--quick');
const count = offersAsked();
const workloadCount = quick ? 40 : 200;
const baselineCount = quick ? 3 : 15;
const AT_ONCE = 200;
const CHANGED = 1_000;
/** The plain way needs every offer as an object: about a kilobyte each. */
const MOST_PLAIN = 100_000;
const nowMs = Date.UTC(2026, 7, 1);

function offersAsked(): number {
  const at = process.argv.indexOf('--offers');
  const n = at < 0 ? 100_000 : Number(process.argv[at + 1]?.replaceAll(/[,_]/g, ''));
  if (Number.isSafeInteger(n) && n >= 1_000 && n <= 5_000_000) return n;
  console.error('--offers wants a whole number from 1000 to 5000000, such as --offers 1000000');
  process.exit(2);
}

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN;
const round = (x: number, digits = 1): number => Number(x.toFixed(digits));

interface Timed<T> {
  readonly results: T[];
  /** Ascending: wall time, and processor time of this process. */
  readonly ms: number[];
  readonly cpuMs: number[];
}

function timed<T>(runs: number, run: (i: number) => T): Timed<T> {
  const results: T[] = [];
  const ms: number[] = [];
  const cpuMs: number[] = [];
  for (let i = 0; i < runs; i++) {
    const cpu = process.cpuUsage();
    const from = performance.now();
    results.push(run(i));
    ms.push(performance.now() - from);
    const used = process.cpuUsage(cpu);
    cpuMs.push((used.user + used.system) / 1_000);
  }
  const ascending = (list: number[]): number[] => list.sort((a, b) => a - b);
  return { results, ms: ascending(ms), cpuMs: ascending(cpuMs) };
}

function memoryInUse(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const SEED = 'placement-bench';
const random = new SeededRandom(SEED);
const snapshot = (await readSnapshot()).offers;
const before = memoryInUse();
const index = new OfferIndex();
let buildMs = 0;
for (let made = 0; made < count; made += 10_000) {
  const upserts = syntheticOffers(snapshot, Math.min(10_000, count - made), nowMs, random, made);
  const from = performance.now();
  index.apply({ upserts, removedIds: [] });
  buildMs += performance.now() - from;
}
const inUse = memoryInUse() - before;
const plainOffers: Offer[] = count <= MOST_PLAIN ? syntheticOffers(snapshot, count, nowMs, new SeededRandom(SEED)) : [];

const workloads = syntheticWorkloads(workloadCount, random);
const warmUp = syntheticWorkloads(20, random);
const contexts = (['market', 'rentable'] as const).map((scope) => placementContext({ scope, nowMs }));
const contextOf = (i: number): PlacementContext => contexts[i % 2] ?? placementContext({ scope: 'market', nowMs });
const workloadAt = (list: readonly Workload[], i: number): Workload => {
  const workload = list[i % list.length];
  if (!workload) throw new RangeError('no workloads');
  return workload;
};

const rank = (list: readonly Workload[], i: number): Ranking => rankOffers(index, workloadAt(list, i), contextOf(i));
timed(warmUp.length, (i) => rank(warmUp, i));
const indexed = timed(workloads.length, (i) => rank(workloads, i));
const plain = timed(plainOffers.length > 0 ? baselineCount : 0, (i) =>
  plainRanking(plainOffers, workloadAt(workloads, i), contextOf(i)),
);
plain.results.forEach((ids, i) => {
  const found = indexed.results[i]?.ranked.map((r) => r.offer.id) ?? [];
  if (ids.join() !== found.join()) throw new Error(`workload ${i}: the index and the plain way rank differently`);
});

const changes = Array.from({ length: 30 }, (_, i) => changedOffers(index, CHANGED, i, random));
const apply = timed(changes.length, (i) => {
  index.apply(changes[i] ?? { upserts: [], removedIds: [] });
});
const loop = await loopUnderLoad();
const sizing = await sizingUnderLoad(index);

/** All rankings are asked for at once; the longest that the event loop was kept from anybody else is measured. */
async function loopUnderLoad(): Promise<{ maxBlockMs: number; p99BlockMs: number; perSecond: number }> {
  const asked = quick ? 40 : AT_ONCE;
  let turn: Promise<unknown> = Promise.resolve();
  const { blocks, ms } = await loopKept(() =>
    Promise.all(
      Array.from({ length: asked }, (_, i) => {
        turn = turn.then(async () => {
          await rankInSlices(index, workloadAt(workloads, i), contextOf(i), () => setImmediate());
          await setImmediate();
        });
        return turn;
      }),
    ),
  );
  const perSecond = (asked * 1_000) / ms;
  return { maxBlockMs: blocks.at(-1) ?? NaN, p99BlockMs: quantile(blocks, 0.99), perSecond };
}

const fits = indexed.results.map((r) => r.fitting).sort((a, b) => a - b);
const row = (name: string, t: Timed<unknown>) => ({
  what: name,
  runs: t.ms.length,
  'p50 ms': round(quantile(t.ms, 0.5)),
  'p90 ms': round(quantile(t.ms, 0.9)),
  'p99 ms': round(quantile(t.ms, 0.99)),
  'p50 CPU ms': round(quantile(t.cpuMs, 0.5)),
  'p99 CPU ms': round(quantile(t.cpuMs, 0.99)),
});
const bytesPerOffer = Math.round(inUse / count);
console.log(
  `${count} offers from ${snapshot.length} real ones: ${index.machines.length} machines, ${index.places.length} places, ` +
    `${index.sellers.length} sellers; fitting per workload p10/p50/p90: ${[0.1, 0.5, 0.9].map((q) => quantile(fits, q)).join('/')}`,
);
console.log(
  `index: built in ${round(buildMs)} ms, ${index.bytesPerOffer} bytes per offer in columns, ${bytesPerOffer} with ids and ` +
    `dictionaries (${round(inUse / 1e6)} MB in all; the process holds ${round(process.memoryUsage().rss / 1e6)} MB)`,
);
console.table([
  ...(plain.ms.length > 0 ? [row('rank the plain way: test, cost and sort every offer', plain)] : []),
  row('rank with the index: filter, best 20, rejections', indexed),
  row(`take in ${CHANGED} changed offers`, apply),
]);
if (plain.ms.length > 0) console.log(`first ${plain.ms.length} rankings are the same both ways`);
console.log(
  `${quick ? 40 : AT_ONCE} rankings at once, in slices of ${SLICE} offers: ${round(loop.perSecond)} a second, the event loop ` +
    `is kept for ${round(loop.p99BlockMs)} ms (p99), ${round(loop.maxBlockMs)} ms at most`,
);
console.log(
  `${sizing.asked} of the biggest sizing questions at once: ${round(sizing.ms)} ms, the event loop is kept for ` +
    `${round(quantile(sizing.blocks, 0.99))} ms (p99), ${round(sizing.blocks.at(-1) ?? NaN)} ms at most`,
);
console.log(
  JSON.stringify({
    bench: 'placement',
    offers: count,
    p50Ms: round(quantile(indexed.ms, 0.5), 2),
    p99Ms: round(quantile(indexed.ms, 0.99), 2),
    bytesPerOffer,
    indexMB: round(inUse / 1e6),
    applyThousandP50Ms: round(quantile(apply.ms, 0.5), 2),
    loopBlockedP99Ms: round(loop.p99BlockMs, 2),
    loopBlockedMaxMs: round(loop.maxBlockMs, 2),
    sizingBlockedP99Ms: round(quantile(sizing.blocks, 0.99), 2),
    sizingBlockedMaxMs: round(sizing.blocks.at(-1) ?? NaN, 2),
  }),
);

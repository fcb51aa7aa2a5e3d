import { rejectionDimensions, type Offer, type RejectionDimension, type Workload } from '#contracts';
import { buildOfferIndex, offerAt, type OfferIndex } from './catalog-index.js';
import { compile, termsAt, type Compiled } from './compiled.js';
import type { PlacementContext } from '../context.js';
import { agedConfidence, expectedCost } from '../cost/cost.js';
import { softwareTrust } from '../fit/compatibility.js';
import { demandOf } from '../fit/demand.js';
import { hintsFor, NO_HINTS, Relaxations, type Hints } from '../explain/hints.js';
import { byCostThenId } from './merge.js';
import type { RankedOffer, Ranking } from './ranking.js';
import { Scan } from './scan.js';

/**
 * Ranks all offers of an index by the expected cost of the finished work. Each offer is counted once: as fitting or
 * under its first failing dimension. Equal costs are ordered by offer id, so the result depends on nothing else.
 */
export function rankOffers(index: OfferIndex, workload: Workload, context: PlacementContext): Ranking {
  const compiled = compile(index, demandOf(workload), context);
  const scan = new Scan(compiled);
  scan.advance(index.size);
  return rankingOf(compiled, scan, scan.fitting === 0 ? hintsFor(compiled) : NO_HINTS);
}

/** Offers looked at between two pauses: 2 to 4 milliseconds of work. */
export const SLICE = 25_000;

/**
 * The same with a pause after each slice of offers, so that a large index does not keep everybody else waiting. The index
 * must not change meanwhile.
 */
export async function rankInSlices(
  index: OfferIndex,
  workload: Workload,
  context: PlacementContext,
  pause: () => Promise<void>,
): Promise<Ranking> {
  const compiled = compile(index, demandOf(workload), context);
  const scan = new Scan(compiled);
  while (scan.advance(SLICE)) await pause();
  if (scan.fitting > 0) return rankingOf(compiled, scan, NO_HINTS);
  const relaxations = new Relaxations(compiled);
  while (relaxations.advance(SLICE)) await pause();
  return rankingOf(compiled, scan, relaxations.hints());
}

function rankingOf(compiled: Compiled, scan: Scan, hints: Hints): Ranking {
  const { index, context, demand } = compiled;
  const rejections: Partial<Record<RejectionDimension, number>> = {};
  rejectionDimensions.forEach((dimension, d) => {
    const n = scan.rejected[d] ?? 0;
    if (n > 0) rejections[dimension] = n;
  });
  const ranked = scan
    .best()
    .map((i) => rankedAt(compiled, i))
    .sort(byCostThenId);
  const { workload } = demand;
  return {
    workload,
    context,
    considered: index.size,
    fitting: scan.fitting,
    ranked,
    rejections,
    nearMisses: (scan.near?.found() ?? []).map(({ dimension, offers, position }) => ({
      dimension,
      offers,
      nearest: position === null ? null : rankedAt(compiled, position),
    })),
    leastListed: scan.leastListed < 0 ? null : rankedAt(compiled, scan.leastListed),
    ...hints,
  };
}

/** The same over a handful of offers. */
export function rankList(offers: readonly Offer[], workload: Workload, context: PlacementContext): Ranking {
  return rankOffers(buildOfferIndex(offers), workload, context);
}

function rankedAt(c: Compiled, i: number): RankedOffer {
  const offer = offerAt(c.index, i);
  const time = termsAt(c, i);
  if (!time) throw new Error(`offer ${offer.id} was ranked without a useful time`);
  const trust = softwareTrust(c.demand.workload.needs, offer);
  const confidence = agedConfidence(c.context, offer.confidence, offer.observedAtMs) * trust;
  return { offer, time, confidence, cost: expectedCost(time, c.priceAt(i), confidence) };
}

import { rejectionDimensions, type Offer, type RejectionDimension, type Workload } from '#contracts';
import { buildOfferIndex, offerAt, type OfferIndex } from './catalog-index.js';
import { compile, constraintTest, termsAt, type Compiled } from './compiled.js';
import type { PlacementContext } from '../context.js';
import {
  agedConfidence,
  ageDays,
  expectedCost,
  riskNano,
  shareLeft,
  spentNano,
  type ExpectedCost,
  type TimeTerms,
} from '../cost/cost.js';
import { demandOf } from '../fit/demand.js';
import { bitOf, costFailures, firstFailing, type Failures } from '../fit/filter.js';
import { hintsFor } from '../explain/hints.js';
import { Top } from './top.js';

export interface RankedOffer {
  readonly offer: Offer;
  readonly cost: ExpectedCost;
  /** Price-independent side of the cost: times, losses, beliefs. */
  readonly time: TimeTerms;
  /** What the offer's figures were believed at; below `offer.confidence` for old price lists. */
  readonly confidence: number;
}

/** One decision as data: best candidates first, and what became of every other offer. */
export interface Ranking {
  readonly workload: Workload;
  readonly context: PlacementContext;
  readonly considered: number;
  readonly fitting: number;
  readonly ranked: readonly RankedOffer[];
  readonly rejections: Partial<Record<RejectionDimension, number>>;
  readonly hints: readonly string[];
}

/**
 * Ranks all offers of an index by the expected cost of the finished work. Each offer is counted once: as fitting or
 * under its first failing dimension. Equal costs are ordered by offer id, so the result depends on nothing else.
 */
export function rankOffers(index: OfferIndex, workload: Workload, context: PlacementContext): Ranking {
  const compiled = compile(index, demandOf(workload), context);
  const { positions, fitting, rejected } = scan(compiled);
  const ranked = positions.map((i) => rankedAt(compiled, i)).sort(byCostThenId);
  const rejections: Partial<Record<RejectionDimension, number>> = {};
  rejectionDimensions.forEach((dimension, d) => {
    const n = rejected[d] ?? 0;
    if (n > 0) rejections[dimension] = n;
  });
  const hints = fitting === 0 ? hintsFor(compiled) : [];
  return { workload, context, considered: index.size, fitting, ranked, rejections, hints };
}

/** The same over a handful of offers. */
export function rankList(offers: readonly Offer[], workload: Workload, context: PlacementContext): Ranking {
  return rankOffers(buildOfferIndex(offers), workload, context);
}

function byCostThenId(a: RankedOffer, b: RankedOffer): number {
  if (a.cost.total !== b.cost.total) return a.cost.total < b.cost.total ? -1 : 1;
  return a.offer.id < b.offer.id ? -1 : 1;
}

function rankedAt(c: Compiled, i: number): RankedOffer {
  const offer = offerAt(c.index, i);
  const time = termsAt(c, i);
  if (!time) throw new Error(`offer ${offer.id} was ranked without a useful time`);
  const confidence = agedConfidence(c.context, offer.confidence, offer.observedAtMs);
  return { offer, time, confidence, cost: expectedCost(time, Number(offer.pricePerHour), confidence) };
}

/** Rounding of five terms against one sum, nano-dollars, and what doubles lose on very large sums. */
const SLACK_NANO = 4;
const SLACK_SHARE = 1e-12;

/**
 * One pass over the columns. Offers whose cost without risk is already above the worst one kept are counted and left;
 * the sum of rounded terms is whole and exact in doubles, so the order found here is that of the exact totals.
 */
function scan(c: Compiled): { positions: number[]; fitting: number; rejected: Uint32Array } {
  const { index, context, demand } = c;
  const rejected = new Uint32Array(rejectionDimensions.length);
  const top = new Top(context.limit, (a, b) => offerAt(index, a).id < offerAt(index, b).id);
  const cooling = bitOf('cooling-down');
  const failuresAt = constraintTest(c);
  const { isBlocked } = c;
  const { size, pricePerHour } = index;
  const capped = Number.isFinite(demand.maxPricePerHour) || Number.isFinite(demand.maxTotal);
  const confidenceAt = agedConfidences(c);
  let fitting = 0;
  for (let i = 0; i < size; i++) {
    let failures = failuresAt(i);
    if (failures === 0 && isBlocked?.(i)) failures = cooling;
    const terms = failures === 0 ? termsAt(c, i) : undefined;
    const price = pricePerHour[i] ?? 0;
    if (terms && (capped || terms.p90S > demand.deadlineS || terms.p90S === Infinity))
      failures = failuresByCost(c, terms, price);
    if (failures !== 0 || !terms) {
      const first = firstFailing(failures);
      rejected[first] = (rejected[first] ?? 0) + 1;
      continue;
    }
    fitting++;
    const least = price * terms.billedH + terms.fixedNano;
    if (least * (1 - SLACK_SHARE) - SLACK_NANO > top.worst) continue;
    const spent = spentNano(terms, price);
    top.offer(spent + terms.timeValueNano + riskNano(terms, price, confidenceAt(i), spent), i);
  }
  return { positions: top.sorted(), fitting, rejected };
}

function failuresByCost(c: Compiled, terms: TimeTerms, price: number): Failures {
  return costFailures(c.demand, terms.machines, price, spentNano(terms, price), terms.p90S);
}

/** `agedConfidence` by position; the share that is left is taken once per day of age. */
function agedConfidences(c: Compiled): (i: number) => number {
  const { index, context } = c;
  const { confidence, observedAtMs } = index;
  if (context.scope === 'rentable') return (i) => confidence[i] ?? 0;
  const shareByDay: number[] = [];
  return (i) => {
    const day = ageDays(context, observedAtMs[i] ?? 0);
    const share = (shareByDay[day] ??= shareLeft(day));
    return (confidence[i] ?? 0) * share;
  };
}

import { rejectionDimensions } from '#contracts';
import { ageDays, riskNano, shareLeft, spentNano, type TimeTerms } from '../cost/cost.js';
import { bitOf, costFailures, firstFailing, type Failures } from '../fit/filter.js';
import type { OfferIndex } from './catalog-index.js';
import { constraintTest, termsAt, type Compiled } from './compiled.js';
import { isSingle, NearMisses } from './near-misses.js';
import { Top } from './top.js';

/** Rounding of the terms against one sum, nano-dollars, and what doubles lose on very large sums. */
const SLACK_NANO = 4;
const SLACK_SHARE = 1e-12;

/**
 * One pass over the columns, as far at a time as asked. Offers whose cost without risk is already above the worst one kept
 * are counted and left; the sum of rounded terms is whole and exact in doubles, so the order found is that of the exact totals.
 */
export class Scan {
  fitting = 0;
  /** By position in `rejectionDimensions`. */
  readonly rejected = new Uint32Array(rejectionDimensions.length);
  /** Null where they were not asked for. */
  readonly near: NearMisses | null;
  /** Position of the lowest price per hour that fits, of equal ones that with the lowest cost; -1 = none. */
  leastListed = -1;
  private leastPrice = Infinity;
  private leastTotal = Infinity;
  private readonly top: Top;
  private readonly failuresAt: (position: number) => Failures;
  private readonly confidenceAt: (position: number) => number;
  private next = 0;

  constructor(private readonly c: Compiled) {
    const { index, context } = c;
    const before = tieBreak(index);
    this.top = new Top(context.limit, before);
    this.near = context.nearMisses ? new NearMisses(before) : null;
    this.failuresAt = constraintTest(c);
    this.confidenceAt = confidences(c);
  }

  /** Looks at the next `count` offers; false when none is left. */
  advance(count: number): boolean {
    const { c, top, rejected, failuresAt, near } = this;
    const { index, demand, isBlocked, priceAt } = c;
    const cooling = bitOf('cooling-down');
    const capped = Number.isFinite(demand.maxPricePerHour) || Number.isFinite(demand.maxTotal);
    const to = Math.min(index.size, this.next + count);
    let fitting = 0;
    for (let i = this.next; i < to; i++) {
      let failures = failuresAt(i);
      if (failures === 0 && isBlocked?.(i)) failures = cooling;
      const terms = failures === 0 ? termsAt(c, i) : undefined;
      const price = priceAt(i);
      if (terms && (capped || terms.p90S > demand.deadlineS || terms.p90S === Infinity))
        failures = failuresByCost(c, terms, i);
      if (failures !== 0 || !terms) {
        const first = firstFailing(failures);
        rejected[first] = (rejected[first] ?? 0) + 1;
        if (near && isSingle(failures)) this.noteSingle(near, i, failures, capped);
        continue;
      }
      fitting++;
      if (price <= this.leastPrice) this.noteListed(i, terms, price);
      if (lowerBound(terms, price) > top.worst) continue;
      top.offer(this.totalAt(i, terms, price), i);
    }
    this.fitting += fitting;
    this.next = to;
    return to < index.size;
  }

  private totalAt(i: number, terms: TimeTerms, price: number): number {
    const spent = spentNano(terms, price);
    return spent + terms.timeValueNano + riskNano(terms, price, this.confidenceAt(i), spent);
  }

  private noteListed(i: number, terms: TimeTerms, price: number): void {
    const { index } = this.c;
    const total = this.totalAt(i, terms, price);
    if (price === this.leastPrice) {
      if (total > this.leastTotal) return;
      if (total === this.leastTotal && index.idAt(this.leastListed) < index.idAt(i)) return;
    }
    this.leastListed = i;
    this.leastPrice = price;
    this.leastTotal = total;
  }

  /** Whether the offer fails in nothing else: the pass over all offers stops asking at the first answer. */
  private noteSingle(near: NearMisses, i: number, found: Failures, capped: boolean): void {
    const { c } = this;
    const failures = c.isBlocked?.(i) ? found | bitOf('cooling-down') : found;
    if (!isSingle(failures)) return;
    const terms = termsAt(c, i);
    const price = c.priceAt(i);
    const costly = terms && (capped || terms.p90S > c.demand.deadlineS || terms.p90S === Infinity);
    if (costly && !isSingle(failures | failuresByCost(c, terms, i))) return;
    if (!terms || terms.p90S === Infinity) near.count(failures, Infinity);
    else if (near.count(failures, lowerBound(terms, price))) near.offer(failures, i, this.totalAt(i, terms, price));
  }

  /** Positions of the best, the cheapest first. */
  best(): number[] {
    return this.top.sorted();
  }
}

/** The order of offers of equal cost, as `byCostThenId` has it: of registered hosts the fullest, then by id. */
function tieBreak(index: OfferIndex): (a: number, b: number) => boolean {
  const { seller, sellers, stock } = index;
  const room = (i: number): number => (sellers[seller[i] ?? 0]?.via.kind === 'host' ? Math.max(0, stock[i] ?? 0) : 0);
  return (a, b) => {
    const more = room(a) - room(b);
    return more === 0 ? index.idAt(a) < index.idAt(b) : more < 0;
  };
}

/** The least that an offer can cost in all, before its risk is known. */
function lowerBound(terms: TimeTerms, price: number): number {
  return (price * terms.billedH + terms.fixedNano) * (1 - SLACK_SHARE) - SLACK_NANO;
}

/** Caps hold against the price of the offer, which is what who asks is charged by, also where the machine is paid for already. */
function failuresByCost(c: Compiled, terms: TimeTerms, i: number): Failures {
  const price = c.index.pricePerHour[i] ?? 0;
  return costFailures(c.demand, terms.machines, price, spentNano(terms, price), terms.p90S);
}

/** The confidence that is left of an offer's, by position. */
function confidences(c: Compiled): (i: number) => number {
  const aged = agedConfidences(c);
  const { trust } = c;
  const { machine } = c.index;
  return trust ? (i) => aged(i) * (trust[machine[i] ?? 0] ?? 1) : aged;
}

/** The same for age alone; the share that is left is taken once per day of age. */
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

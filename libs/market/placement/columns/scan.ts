import { rejectionDimensions } from '#contracts';
import { ageDays, riskNano, shareLeft, spentNano, type TimeTerms } from '../cost/cost.js';
import { bitOf, costFailures, firstFailing, type Failures } from '../fit/filter.js';
import { constraintTest, termsAt, type Compiled } from './compiled.js';
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
  private readonly top: Top;
  private readonly failuresAt: (position: number) => Failures;
  private readonly confidenceAt: (position: number) => number;
  private next = 0;

  constructor(private readonly c: Compiled) {
    const { index, context } = c;
    this.top = new Top(context.limit, (a, b) => index.idAt(a) < index.idAt(b));
    this.failuresAt = constraintTest(c);
    this.confidenceAt = agedConfidences(c);
  }

  /** Looks at the next `count` offers; false when none is left. */
  advance(count: number): boolean {
    const { c, top, rejected, failuresAt, confidenceAt } = this;
    const { index, demand, isBlocked } = c;
    const { pricePerHour } = index;
    const cooling = bitOf('cooling-down');
    const capped = Number.isFinite(demand.maxPricePerHour) || Number.isFinite(demand.maxTotal);
    const to = Math.min(index.size, this.next + count);
    let fitting = 0;
    for (let i = this.next; i < to; i++) {
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
    this.fitting += fitting;
    this.next = to;
    return to < index.size;
  }

  /** Positions of the best, the cheapest first. */
  best(): number[] {
    return this.top.sorted();
  }
}

function failuresByCost(c: Compiled, terms: TimeTerms, price: number): Failures {
  return costFailures(c.demand, terms.machines, price, spentNano(terms, price), terms.p90S);
}

/** The confidence that is left of an offer's, by position; the share that is left is taken once per day of age. */
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

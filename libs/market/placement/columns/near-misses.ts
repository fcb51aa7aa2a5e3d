import { rejectionDimensions, type RejectionDimension } from '#contracts';
import { firstFailing, type Failures } from '../fit/filter.js';

/** Whether a set of failures has exactly one member. */
export const isSingle = (failures: Failures): boolean => failures !== 0 && (failures & (failures - 1)) === 0;

/** The offers of one scan that a single dimension keeps out: how many by dimension, and the cheapest of each. */
export class NearMisses {
  private readonly offers = new Uint32Array(rejectionDimensions.length);
  private readonly cost = new Float64Array(rejectionDimensions.length).fill(Infinity);
  private readonly position = new Int32Array(rejectionDimensions.length).fill(-1);

  /** `before` orders offers of equal cost, so that the result does not depend on the order of arrival. */
  constructor(private readonly before: (a: number, b: number) => boolean) {}

  /** Counts an offer that fails in one dimension; true where a cost of at least `least` may make it the nearest. */
  count(failure: Failures, least: number): boolean {
    const d = firstFailing(failure);
    this.offers[d] = (this.offers[d] ?? 0) + 1;
    return least !== Infinity && least <= (this.cost[d] ?? Infinity);
  }

  /** Keeps the offer where it is the nearest so far. */
  offer(failure: Failures, i: number, cost: number): void {
    const d = firstFailing(failure);
    const known = this.cost[d] ?? Infinity;
    const at = this.position[d] ?? -1;
    if (cost > known || (cost === known && at >= 0 && this.before(at, i))) return;
    this.cost[d] = cost;
    this.position[d] = i;
  }

  /** In the order of the dimensions; position null where nothing is known of the cost. */
  found(): { dimension: RejectionDimension; offers: number; position: number | null }[] {
    return rejectionDimensions.flatMap((dimension, d) => {
      const offers = this.offers[d] ?? 0;
      const at = this.position[d] ?? -1;
      return offers === 0 ? [] : [{ dimension, offers, position: at < 0 ? null : at }];
    });
  }
}

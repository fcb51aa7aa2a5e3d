import type { Ages } from './ages.js';

/** How a vendor bills one lease, seconds: the time before the work begins, the least, and the step. */
export interface LeaseBilling {
  readonly bootBilledS: number;
  readonly minimumS: number;
  readonly incrementS: number;
}

/** Rounding of doubles must not bill another step. */
const EPSILON = 1e-9;

/** Billed seconds of a lease that was used for so many billable ones. */
export function billedS(usedS: number, minimumS: number, incrementS: number): number {
  const whole = incrementS > 0 ? Math.ceil(usedS / incrementS - EPSILON) * incrementS : usedS;
  return Math.max(whole, minimumS);
}

/**
 * Expected billed seconds of a lease that runs until it is lost or `horizonS` is done. What is billed grows by one step
 * each time that the age passes a whole number of steps, so the expectation is the sum of the survival at those ages.
 */
export function expectedBilledS(ages: Ages, billing: LeaseBilling, horizonS: number): number {
  const { bootBilledS: boot, minimumS, incrementS: step } = billing;
  if (step <= 0) {
    const from = Math.max(0, minimumS - boot);
    return Math.max(minimumS, boot) + (horizonS > from ? ages.integral(from, horizonS) : 0);
  }
  // Steps that the minimum covers are never billed apart; the first one beyond it may be billed in part.
  const covered = Math.floor(minimumS / step + EPSILON);
  const first = Math.max(covered, Math.ceil(boot / step - EPSILON));
  const start = Math.max(minimumS, first * step);
  const age = first * step - boot;
  const count = Math.ceil((horizonS - age) / step - EPSILON);
  if (count <= 0) return start;
  const partial = start > first * step ? (start - first * step) * ages.survival(Math.max(0, age)) : 0;
  return start - partial + step * ages.sum(Math.max(0, age), step, count);
}

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
 * Expected billed seconds of a lease that runs until it is lost or has run for so long. What is billed grows by one step
 * each time that the age passes a whole number of steps, so the expectation is the sum of the survival at those ages.
 */
export class LeaseBill {
  /** Age at which the first step beyond the boot and the minimum is billed, and what is billed before. */
  private readonly firstS: number;
  private readonly startS: number;
  private steps = 0;
  private sum = 0;

  constructor(
    private readonly ages: Ages,
    private readonly billing: LeaseBilling,
  ) {
    const { bootBilledS: boot, minimumS, incrementS: step } = billing;
    if (step <= 0) {
      this.firstS = Math.max(0, minimumS - boot);
      this.startS = Math.max(minimumS, boot);
      return;
    }
    // Steps that the minimum covers are never billed apart.
    const covered = Math.max(Math.floor(minimumS / step + EPSILON), Math.ceil(boot / step - EPSILON));
    this.firstS = Math.max(0, covered * step - boot);
    this.startS = Math.max(minimumS, covered * step);
  }

  /** Runs of growing length only: what was summed up is kept. */
  upTo(horizonS: number): number {
    const { ages, firstS, startS } = this;
    const { bootBilledS: boot, incrementS: step } = this.billing;
    if (step <= 0) return startS + (horizonS > firstS ? ages.integral(firstS, horizonS) : 0);
    const steps = Math.ceil((horizonS - firstS) / step - EPSILON);
    if (steps > this.steps) {
      this.sum += ages.sum(firstS + this.steps * step, step, steps - this.steps);
      this.steps = steps;
    }
    if (this.steps === 0) return startS;
    // A minimum that is no whole number of steps is part of the first one.
    const partial = Math.max(0, startS - firstS - boot);
    return startS + step * this.sum - (partial > EPSILON * step ? partial * ages.survival(firstS) : 0);
  }
}

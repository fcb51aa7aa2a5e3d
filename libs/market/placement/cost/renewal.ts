import type { HazardBand } from '#market/reliability';

export interface RenewalQuery {
  /** Seconds of useful work, W. */
  readonly usefulS: number;
  /** Work between checkpoints, tau. */
  readonly checkpointS: number;
  /** What one checkpoint costs, d. */
  readonly checkpointCostS: number;
  readonly bands: readonly HazardBand[];
  /** Multiplies every band: the gang factor n^g. */
  readonly hazardFactor: number;
}

export interface Renewal {
  /** Expected seconds of machines running: useful work, checkpoints and what was lost. */
  readonly runningS: number;
  /** Expected number of losses, each followed by a new lease of age 0. */
  readonly losses: number;
  /** Expected running seconds thrown away per loss. */
  readonly lostPerLossS: number;
  /** Probability that the first lease sees the work through. */
  readonly surviveP: number;
  /** Expected running seconds of a lease that is lost or finishes. */
  readonly meanLeaseS: number;
}

const NO_HAZARD = 1e-15;

/**
 * Expected running time of checkpointed work over leases whose hazard depends on their age.
 *
 * The work is m intervals of tau, each taking tau + d on the clock; what an interval had done is lost with the machine.
 * A lease that starts at age 0 with all m ahead runs E[A] = integral of S over [0, m (tau + d)], completes
 * E[C] = sum over j of S(j (tau + d)) intervals and is lost with F = 1 - S(m (tau + d)). Leases needed = m / E[C], hence
 *
 *     E[running] = m E[A] / E[C],   E[losses] = m F / E[C].
 *
 * For constant hazard h this is Daly's m expm1(h (tau + d)) / h (Future Generation Computer Systems 22, 2006; there the
 * restart can be hit too: here a restart that fails is a failed start with its own probability). It goes to
 * m (tau + d) as h -> 0. For falling hazard it takes each lease to have the whole work ahead, which errs by a few per cent
 * (`renewal.spec.ts` compares with the exact recursion).
 */
export function renewal(q: RenewalQuery): Renewal {
  const intervals = Math.max(1, Math.ceil(q.usefulS / q.checkpointS));
  const step = q.usefulS / intervals + q.checkpointCostS;
  const horizon = intervals * step;
  if (horizon <= 0) return { runningS: 0, losses: 0, lostPerLossS: 0, surviveP: 1, meanLeaseS: 0 };
  let survival = 1;
  let logSurvival = 0;
  let alive = 0;
  let completed = 0;
  let next = 1;
  let from = 0;
  for (const band of q.bands) {
    if (from >= horizon) break;
    const h = (band.perHour * q.hazardFactor) / 3_600;
    const to = Math.min(horizon, band.untilH * 3_600);
    // The last end must fall in the last band whatever rounding does.
    const last = to >= horizon ? intervals : Math.min(intervals, Math.floor(to / step));
    if (h < NO_HAZARD) {
      alive += survival * (to - from);
      completed += survival * Math.max(0, last - next + 1);
    } else {
      alive += (survival * -Math.expm1(-h * (to - from))) / h;
      if (last >= next) {
        const first = survival * Math.exp(-h * (next * step - from));
        completed += (first * Math.expm1(-h * step * (last - next + 1))) / Math.expm1(-h * step);
      }
      logSurvival -= h * (to - from);
      survival = Math.exp(logSurvival);
    }
    next = Math.max(next, last + 1);
    from = to;
  }
  const leases = intervals / completed;
  const losses = leases * (0 - Math.expm1(logSurvival));
  const runningS = leases * alive;
  const lost = Math.max(0, runningS - horizon);
  return { runningS, losses, lostPerLossS: losses > 0 ? lost / losses : 0, surviveP: survival, meanLeaseS: alive };
}

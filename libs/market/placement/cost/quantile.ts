import type { Renewal } from './renewal.js';

/** The share of runs that must be through by the time that deadlines are held against. */
const SHARE = 0.9;

/** Variance, s^2, of what losses add: of their number, and of where between two checkpoints each one falls. */
export function lossVariance(run: Renewal, lossS: number, checkpointS: number): number {
  if (run.losses === 0) return 0;
  const stretchS = Math.min(checkpointS, run.horizonS);
  return run.lossesVariance * lossS ** 2 + (run.losses * stretchS ** 2) / 12;
}

/** What mishaps add to the time: with probability `noneP` nothing, else a gamma distribution that leaves mean and variance. */
export interface Excess {
  readonly noneP: number;
  readonly meanS: number;
  readonly variance: number;
}

/** The time beyond a run without any mishap that a share of the runs keeps within (Wilson and Hilferty's cube root, PNAS 17, 1931). */
export function excessQuantileS(of: Excess, share = SHARE): number {
  const some = 1 - of.noneP;
  if (of.noneP >= share || of.meanS <= 0) return 0;
  const mean = of.meanS / some;
  const variance = Math.max(0, (of.variance + of.meanS ** 2) / some - mean ** 2);
  if (variance === 0) return mean;
  const z = normalQuantile((share - of.noneP) / some);
  const shape = mean ** 2 / variance;
  return mean * Math.max(0, 1 - 1 / (9 * shape) + z / (3 * Math.sqrt(shape))) ** 3;
}

const POINTS = 40;

/** Expected seconds beyond `spareS` more than a run without any mishap takes: the mean over even quantiles. */
export function expectedLateS(of: Excess, spareS: number): number {
  if (spareS <= 0) return of.meanS - spareS;
  let sum = 0;
  for (let i = 0; i < POINTS; i++) sum += Math.max(0, excessQuantileS(of, (i + 0.5) / POINTS) - spareS);
  return sum / POINTS;
}

/** Standard normal quantile, to about 5e-4 (Abramowitz and Stegun 26.2.23). */
export function normalQuantile(p: number): number {
  if (p > 0.5) return -normalQuantile(1 - p);
  const t = Math.sqrt(-2 * Math.log(Math.max(p, 1e-300)));
  const top = 2.515517 + t * (0.802853 + t * 0.010328);
  const bottom = 1 + t * (1.432788 + t * (0.189269 + t * 0.001308));
  return top / bottom - t;
}

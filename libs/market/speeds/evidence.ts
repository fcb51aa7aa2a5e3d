import type { MeasuredSpeed } from '#hardware';

/** Decayed mean and spread of the logarithm of a machine's tokens per second. */
export interface SpeedEvidence {
  /** Runs this is worth after forgetting. */
  readonly weight: number;
  readonly meanLog: number;
  /** Weighted sum of squared distances from the mean. */
  readonly squares: number;
  readonly atMs: number;
}

/** Engines get faster and vendors change machines: after a month what was seen counts half. */
const HALF_LIFE_MS = 30 * 24 * 3_600_000;
/** Less than this is nearly forgotten, and says nothing. */
const LEAST_WEIGHT = 0.5;
/** Runs from which their spread says something. */
const SPREAD_FROM = 3;

export const noSpeedEvidence = (atMs: number): SpeedEvidence => ({ weight: 0, meanLog: 0, squares: 0, atMs });

function decayed(e: SpeedEvidence, nowMs: number): SpeedEvidence {
  const kept = 0.5 ** (Math.max(0, nowMs - e.atMs) / HALF_LIFE_MS);
  return { weight: e.weight * kept, meanLog: e.meanLog, squares: e.squares * kept, atMs: Math.max(e.atMs, nowMs) };
}

/** Adds one run (West's update of a weighted mean). */
export function observeSpeed(before: SpeedEvidence, tokensPerS: number, atMs: number): SpeedEvidence {
  const e = decayed(before, atMs);
  const log = Math.log(tokensPerS);
  const weight = e.weight + 1;
  const away = log - e.meanLog;
  const meanLog = e.meanLog + away / weight;
  return { weight, meanLog, squares: e.squares + away * (log - meanLog), atMs: e.atMs };
}

/** What is known now; undefined when too little or too long ago. */
export function measuredSpeed(evidence: SpeedEvidence, nowMs: number): MeasuredSpeed | undefined {
  const e = decayed(evidence, nowMs);
  if (e.weight < LEAST_WEIGHT) return undefined;
  const logSd = e.weight >= SPREAD_FROM ? Math.sqrt(e.squares / (e.weight - 1)) : null;
  return { tokensPerS: Math.exp(e.meanLog), samples: e.weight, logSd };
}

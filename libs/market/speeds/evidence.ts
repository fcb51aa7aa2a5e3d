import type { MeasuredSpeed } from '#hardware';

/** Decayed mean and spread of the logarithm of a machine's tokens per second. */
export interface SpeedEvidence {
  /** Runs this is worth after forgetting. */
  readonly weight: number;
  readonly meanLog: number;
  /** Weighted sum of squared distances from the mean. */
  readonly squares: number;
  readonly atMs: number;
  /** Digests of the organizations whose work it was: the first two, which is as many as must agree. */
  readonly from: readonly string[];
}

/** Engines get faster and vendors change machines: after a month what was seen counts half. */
const HALF_LIFE_MS = 30 * 24 * 3_600_000;
/** Less than this is nearly forgotten, and says nothing. */
const LEAST_WEIGHT = 0.5;
/** What one organization saw says nothing to others: it may be its prompts, its counting, or its wish. */
const LEAST_ORGANIZATIONS = 2;
/** Runs from which their spread says something. */
const SPREAD_FROM = 3;

export const noSpeedEvidence = (atMs: number): SpeedEvidence => ({ weight: 0, meanLog: 0, squares: 0, atMs, from: [] });

function decayed(e: SpeedEvidence, nowMs: number): SpeedEvidence {
  const kept = 0.5 ** (Math.max(0, nowMs - e.atMs) / HALF_LIFE_MS);
  return { ...e, weight: e.weight * kept, squares: e.squares * kept, atMs: Math.max(e.atMs, nowMs) };
}

/** Adds one run of the organization with the digest `from` (West's update of a weighted mean). */
export function observeSpeed(before: SpeedEvidence, tokensPerS: number, atMs: number, from: string): SpeedEvidence {
  const e = decayed(before, atMs);
  const log = Math.log(tokensPerS);
  const weight = e.weight + 1;
  const away = log - e.meanLog;
  const meanLog = e.meanLog + away / weight;
  const organizations = [...new Set([...e.from, from])].slice(0, LEAST_ORGANIZATIONS);
  return { weight, meanLog, squares: e.squares + away * (log - meanLog), atMs: e.atMs, from: organizations };
}

/** What is known now; undefined when too little, too long ago, or of one organization only. */
export function measuredSpeed(evidence: SpeedEvidence, nowMs: number): MeasuredSpeed | undefined {
  const e = decayed(evidence, nowMs);
  if (e.weight < LEAST_WEIGHT || e.from.length < LEAST_ORGANIZATIONS) return undefined;
  const logSd = e.weight >= SPREAD_FROM ? Math.sqrt(e.squares / (e.weight - 1)) : null;
  return { tokensPerS: Math.exp(e.meanLog), samples: e.weight, logSd };
}

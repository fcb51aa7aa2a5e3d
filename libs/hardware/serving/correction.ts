import type { Place, Residual } from './residuals.js';
import { groupBy, mean, median } from './statistics.js';

/** Runs at which a cell's own median weighs as much as what its neighbours suggest. */
const CELL_PRIOR_RUNS = 5;
/** Weight of nearby runs at which their own mean counts half against the median of the cell. */
export const LOCAL_PRIOR = 0.5;
/** How far (in powers of two) a run speaks for others: requests, tokens, cards, parameters, cache per token. */
const REACH = [0.7, 0.7, 0.7, 1.5, 1.5] as const;
/** Squared distance that another card, or another model, of the same framework and stack is away. */
const OTHER_CARD = 1;
const OTHER_MODEL = 0.5;
/** Squared distance beyond which a run says nothing (weight 0.002). */
const FARTHEST = 12;

export interface CorrectionAt {
  /** ln of what to multiply the formula by. */
  readonly log: number;
  /** ln of the factor of the framework and stack alone. */
  readonly cellLog: number;
  /** Weight of the nearby runs: 1 = as good as one run of just this, 0 = none near. */
  readonly support: number;
}

/** What published runs say the formula must be multiplied by, by framework, stack, and nearness. */
export type Correction = (place: Place) => CorrectionAt;

export const cellKey = (p: Pick<Place, 'engine' | 'stack'>): string => `${p.engine}|${p.stack}`;

/**
 * Learns the correction. A cell (framework x stack) has the median of its residuals, pulled towards what is expected of
 * it from other cells; what is left is smoothed over nearby runs of the same cell. Medians, since some published rows
 * are wrong by ten times.
 */
export function fitCorrection(residuals: readonly Residual[]): Correction {
  const expected = expectation(residuals);
  const cells = new Map<string, Cell>();
  for (const [key, runs] of groupBy(residuals, cellKey)) {
    const first = runs[0];
    if (!first) continue;
    const own = median(runs.map((r) => r.log));
    const log = (own * runs.length + expected(first, true) * CELL_PRIOR_RUNS) / (runs.length + CELL_PRIOR_RUNS);
    cells.set(key, { log, runs, scaled: Float64Array.from(runs.flatMap(scaledAt)) });
  }
  return (place) => {
    const cell = cells.get(cellKey(place));
    if (cell) return local(place, cell);
    const log = expected(place, false);
    return { log, cellLog: log, support: 0 };
  };
}

interface Cell {
  readonly log: number;
  readonly runs: readonly Residual[];
  /** The places of the runs in units of reach, one after the other. */
  readonly scaled: Float64Array;
}

const scaledAt = (p: Place): number[] => REACH.map((reach, i) => (p.at[i] ?? 0) / reach);

/** Mean of what nearby runs leave over, by a Gaussian of their distance, pulled towards the median of the cell. */
function local(place: Place, cell: Cell): CorrectionAt {
  const here = scaledAt(place);
  const { runs, scaled, log } = cell;
  let support = 0;
  let sum = 0;
  for (let i = 0; i < runs.length; i++) {
    const run = runs[i];
    if (!run) continue;
    let distance = (run.card === place.card ? 0 : OTHER_CARD) + (run.model === place.model ? 0 : OTHER_MODEL);
    for (let k = 0; k < here.length && distance <= FARTHEST; k++) {
      const d = (scaled[i * here.length + k] ?? 0) - (here[k] ?? 0);
      distance += d * d;
    }
    if (distance > FARTHEST) continue;
    const weight = Math.exp(-distance / 2);
    support += weight;
    sum += weight * (run.log - log);
  }
  return { log: log + sum / (support + LOCAL_PRIOR), cellLog: log, support };
}

/**
 * What to expect of a framework on a stack that nobody ran: the mean over the frameworks known on that stack; on a stack
 * that is new, the mean over the stacks, each counted once, of that framework (or, if it is new too, of all).
 */
function expectation(residuals: readonly Residual[]): (place: Place, leaveOwnOut: boolean) => number {
  const cellMedians = [...groupBy(residuals, cellKey).values()].flatMap((runs) => {
    const first = runs[0];
    return first ? [{ engine: first.engine, stack: first.stack, log: median(runs.map((r) => r.log)) }] : [];
  });
  return (place, leaveOwnOut) => {
    const others = cellMedians.filter((c) => !(leaveOwnOut && c.engine === place.engine && c.stack === place.stack));
    const sameStack = others.filter((c) => c.stack === place.stack);
    if (sameStack.length > 0) return mean(sameStack.map((c) => c.log));
    const sameEngine = others.filter((c) => c.engine === place.engine);
    const from = sameEngine.length > 1 ? sameEngine : others;
    const stacks = [...groupBy(from, (c) => c.stack).values()].map((cs) => mean(cs.map((c) => c.log)));
    return stacks.length > 0 ? mean(stacks) : 0;
  };
}

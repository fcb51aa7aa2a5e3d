import type { Place, Residual } from './residuals.js';
import { groupBy, mean, median, spreadOf } from './statistics.js';

const { exp, max, min } = Math;

/** Runs at which a cell's own median weighs as much as what its neighbours suggest. */
const CELL_PRIOR_RUNS = 5;
/** Weight of nearby runs at which their own mean counts half against the median of the cell. */
export const LOCAL_PRIOR = 0.5;
/** How far (in powers of two) a run speaks for others: requests, tokens, cards, parameters, cache per token. */
const REACH = [0.7, 0.7, 0.7, 1.5, 1.5] as const;
/** Squared distance that another card, or another model, of the same framework and stack is away. */
const OTHER_CARD = 1;
const OTHER_MODEL = 0.5;
/** What a run has beyond its cell is cut at so many spreads of it: some published rows are wrong by ten times. */
const ERRATIC = 4;
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

/**
 * Learns the correction. A cell (framework x stack) has the median of its residuals, pulled towards what is expected of
 * it from other cells; what is left is smoothed over nearby runs of the same cell. Medians, since some published rows
 * are wrong by ten times.
 */
export function fitCorrection(residuals: readonly Residual[]): Correction {
  const groups = [...groupBy(residuals, (r) => r.cell).values()].flatMap((runs) => {
    const first = runs[0];
    return first ? [{ first, runs, middle: median(runs.map((r) => r.log)) }] : [];
  });
  const middles = groups.map(({ first, middle }) => ({ engine: first.engine, stack: first.stack, log: middle }));
  const cells = new Map<string, Cell>();
  for (const { first, runs, middle } of groups) {
    const others = middles.filter((m) => m.engine !== first.engine || m.stack !== first.stack);
    const prior = expectation(others, first);
    const log = (middle * runs.length + prior * CELL_PRIOR_RUNS) / (runs.length + CELL_PRIOR_RUNS);
    const widest = ERRATIC * spreadOf(runs.map((r) => r.log));
    const leftOver = (r: Residual): number => min(widest, max(-widest, r.log - log));
    cells.set(first.cell, {
      log,
      runs,
      scaled: allScaled(runs),
      leftOver: Float64Array.from(runs, leftOver),
    });
  }
  return (place) => {
    const cell = cells.get(place.cell);
    if (cell) return local(place, cell);
    const log = expectation(middles, place);
    return { log, cellLog: log, support: 0 };
  };
}

interface Cell {
  readonly log: number;
  readonly runs: readonly Residual[];
  /** The places of the runs in units of reach, one after the other. */
  readonly scaled: Float64Array;
  /** What each run has beyond `log`, erratic ones cut. */
  readonly leftOver: Float64Array;
}

const scaledAt = (p: Place): number[] => REACH.map((reach, i) => (p.at[i] ?? 0) / reach);

function allScaled(runs: readonly Place[]): Float64Array {
  const all = new Float64Array(runs.length * REACH.length);
  runs.forEach((run, i) => {
    for (let k = 0; k < REACH.length; k++) all[i * REACH.length + k] = (run.at[k] ?? 0) / (REACH[k] ?? 1);
  });
  return all;
}

/** Mean of what nearby runs leave over, by a Gaussian of their distance, pulled towards the median of the cell. */
function local(place: Place, cell: Cell): CorrectionAt {
  const here = scaledAt(place);
  const { runs, scaled, leftOver, log } = cell;
  let support = 0;
  let sum = 0;
  for (let i = 0; i < runs.length; i++) {
    const run = runs[i];
    if (!run) continue;
    let distance = 0;
    for (let k = 0; k < here.length && distance <= FARTHEST; k++) {
      const d = (scaled[i * here.length + k] ?? 0) - (here[k] ?? 0);
      distance += d * d;
    }
    if (distance > FARTHEST) continue;
    if (run.card !== place.card) distance += OTHER_CARD;
    if (run.model !== place.model) distance += OTHER_MODEL;
    const weight = exp(-distance / 2);
    support += weight;
    sum += weight * (leftOver[i] ?? 0);
  }
  return { log: log + sum / (support + LOCAL_PRIOR), cellLog: log, support };
}

interface CellMiddle {
  readonly engine: string;
  readonly stack: string;
  readonly log: number;
}

/**
 * What to expect of a framework on a stack that nobody ran: the mean over the frameworks known on that stack; on a stack
 * that is new, the mean over the stacks, each counted once, of that framework (or, if it is new too, of all).
 */
function expectation(known: readonly CellMiddle[], place: Place): number {
  const sameStack = known.filter((c) => c.stack === place.stack);
  if (sameStack.length > 0) return mean(sameStack.map((c) => c.log));
  const sameEngine = known.filter((c) => c.engine === place.engine);
  const from = sameEngine.length > 1 ? sameEngine : known;
  return mean([...groupBy(from, (c) => c.stack).values()].map((cells) => mean(cells.map((c) => c.log))));
}

import { LOCAL_PRIOR } from './correction.js';
import { foldOf, leaveOut, type LeftOut } from './left-out.js';
import type { Novelty } from './query.js';
import type { Place, Residual } from './residuals.js';
import { groupBy, mean, median, quantile, spreadOf } from './statistics.js';

/** Half widths (ln) of 80 % intervals in one cell (framework x stack). */
export interface CellWidths {
  /** Of runs that were themselves left out, with others of their kind near. */
  readonly seen: number;
  /** Of runs whose whole model was left out. */
  readonly newModel: number;
  /** With the factor of the cell alone. */
  readonly alone: number;
  /** Robust standard deviation of what the formula leaves unexplained in this cell. */
  readonly spread: number;
}

/** Half widths (ln) of 80 % intervals where the framework was never run on that stack. */
export interface Widths {
  readonly cells: Readonly<Record<string, CellWidths>>;
  /** A new framework, by the stack it runs on. */
  readonly newFramework: Readonly<Record<string, number>>;
  /** A stack nobody ran. */
  readonly newStack: number;
}

const Z = 1.2816;
/** 90th percentiles of Student's t by degrees of freedom: few groups say little about the next one. */
const T90 = [3.078, 3.078, 1.886, 1.638, 1.533, 1.476, 1.44, 1.415, 1.397, 1.383, 1.372];
const t90 = (degrees: number): number => T90[Math.max(0, Math.round(degrees))] ?? Z;
/**
 * Of the variance among the runs of a cell (load, length, model, number of cards, card), the share that another card of the
 * same stack adds anew. Only NVIDIA's was measured on two cards, and there it is a few per cent; most stacks were measured
 * on one, so this is a cautious assumption, not a measurement.
 */
const NEW_CARD_SHARE = 1 / 3;

const q80 = (errors: readonly number[]): number => quantile(errors.map(Math.abs), 0.8);
const variance = (values: readonly number[]): number => {
  const m = mean(values);
  return values.length < 2 ? 0 : values.reduce((sum, v) => sum + (v - m) ** 2, 0) / (values.length - 1);
};

/**
 * Widths from runs that were left out in whole groups, never from the runs fitted. Where a kind of novelty has too few
 * groups to leave out (stacks, frameworks), from the spread between groups and Student's t.
 */
export function fitWidths(residuals: readonly Residual[]): Widths {
  const byFold = groupBy(leaveOut(residuals, foldOf), (o) => o.run.cell);
  const byModel = groupBy(
    leaveOut(residuals, (r) => r.model),
    (o) => o.run.cell,
  );
  const cells = groupBy(residuals, (r) => r.cell);
  const widths: Record<string, CellWidths> = {};
  for (const [key, runs] of cells) {
    const spread = spreadOf(runs.map((r) => r.log));
    const left = byFold.get(key) ?? [];
    const leftModel = byModel.get(key) ?? [];
    const errors = (from: readonly LeftOut[]): number[] => from.map((o) => o.error);
    widths[key] = {
      seen: q80(errors(left)),
      newModel: Math.max(q80(errors(left)), q80(errors(leftModel))),
      alone: q80(leftModel.map((o) => o.cellError)),
      spread,
    };
  }
  const stacks = groupBy(
    [...cells.values()].flatMap((runs) => runs.slice(0, 1)),
    (r) => r.stack,
  );
  const cellOf = (r: Place): readonly Residual[] => cells.get(r.cell) ?? [];
  const middles = [...stacks.values()].map((firsts) => mean(firsts.map((r) => median(cellOf(r).map((c) => c.log)))));
  const newFramework: Record<string, number> = {};
  const spreads: number[] = [];
  for (const [stack, firsts] of stacks) {
    const within = mean(firsts.map((r) => (widths[r.cell]?.spread ?? 0) ** 2));
    spreads.push(within);
    const n = firsts.length;
    const between = (variance(firsts.map((r) => median(cellOf(r).map((c) => c.log)))) * (n - 1) + within) / n;
    newFramework[stack] = Z * Math.sqrt(within + between * (1 + 1 / n));
  }
  const k = middles.length;
  return {
    cells: widths,
    newFramework,
    newStack: Math.hypot(
      t90(k - 1) * Math.sqrt(variance(middles) * (1 + 1 / Math.max(1, k))),
      Z * Math.sqrt(mean(spreads)),
    ),
  };
}

/** The half width (ln) of the 80 % interval at that place. */
export function halfWidth(widths: Widths, place: Place, novelty: Novelty, support: number): number {
  const cell = widths.cells[place.cell];
  if (!cell) return widths.newFramework[place.stack] ?? widths.newStack;
  // With nothing near, only the factor of the cell speaks.
  const near = Math.min(1, support / LOCAL_PRIOR);
  const known = novelty === 'seen' ? cell.seen : cell.newModel;
  const here = near * known ** 2 + (1 - near) * Math.max(known, cell.alone) ** 2;
  const card = novelty === 'new-gpu' ? NEW_CARD_SHARE * (Z * cell.spread) ** 2 : 0;
  return Math.sqrt(here + card);
}

import { fitCorrection, type Correction } from './correction.js';
import type { Novelty } from './query.js';
import type { Place, Residual } from './residuals.js';
import { fitWidths, halfWidth, type Widths } from './widths.js';

/** What published runs teach beyond the formula. */
export interface ServingModel {
  readonly correction: Correction;
  noveltyOf(place: Place): Novelty;
  /** Half width (ln) of the 80 % interval. */
  halfWidth(place: Place, novelty: Novelty, support: number): number;
  /** ln of the speed measured in exactly this run over what the formula says; undefined when nobody published it. */
  exactly(place: Place): number | undefined;
}

const runKey = (p: Place): string => `${p.cell}|${p.card}|${p.model}|${p.at.join('|')}`;

/** Learns from runs. `widths` saves the slow part where it was computed before from the same runs. */
export function fitServingModel(residuals: readonly Residual[], widths: Widths = fitWidths(residuals)): ServingModel {
  const engines = new Set(residuals.map((r) => r.engine));
  const cards = new Set(residuals.map((r) => r.card));
  const cells = new Set(residuals.map((r) => r.cell));
  const models = new Set(residuals.map((r) => r.model));
  const exact = new Map<string, number[]>();
  for (const r of residuals) {
    const key = runKey(r);
    exact.set(key, [...(exact.get(key) ?? []), r.log]);
  }
  return {
    correction: fitCorrection(residuals),
    noveltyOf: (p) => {
      if (!engines.has(p.engine)) return 'new-framework';
      if (!cards.has(p.card)) return 'new-gpu';
      // Both were run, never together: no better known than a framework nobody ran.
      if (!cells.has(p.cell)) return 'new-framework';
      return models.has(p.model) ? 'seen' : 'new-model';
    },
    halfWidth: (place, novelty, support) => halfWidth(widths, place, novelty, support),
    exactly: (p) => {
      const logs = exact.get(runKey(p));
      return logs && logs.reduce((a, b) => a + b, 0) / logs.length;
    },
  };
}

import { fitCorrection } from './correction.js';
import type { Place, Residual } from './residuals.js';
import { groupBy } from './statistics.js';

/** A run beside what was predicted of it by those who had not seen its group. */
export interface LeftOut {
  readonly run: Residual;
  /** ln(measured / predicted). */
  readonly error: number;
  /** The same with the factor of the cell alone, without nearby runs. */
  readonly cellError: number;
  /** Weight of the nearby runs that remained. */
  readonly support: number;
}

const { imul } = Math;

const FOLDS = 5;

/** Which of five parts a run belongs to, by what was run: the same in every process, and repeats stay together. */
export function foldOf(p: Place): string {
  let hash = 2166136261;
  for (const c of `${p.engine}|${p.card}|${p.model}|${p.at.join('|')}`) {
    hash = imul(hash ^ (c.codePointAt(0) ?? 0), 16777619);
  }
  hash ^= hash >>> 15;
  hash = imul(hash, 2246822519);
  return String(((hash ^ (hash >>> 13)) >>> 0) % FOLDS);
}

/** Predicts each group from the others. */
export function leaveOut(residuals: readonly Residual[], group: (r: Residual) => string): LeftOut[] {
  const groups = [...groupBy(residuals, group).values()];
  return groups.flatMap((runs) => {
    const correction = fitCorrection(groups.filter((others) => others !== runs).flat());
    return runs.map((run) => {
      const { log, cellLog, support } = correction(run);
      return { run, error: run.log - log, cellError: run.log - cellLog, support };
    });
  });
}

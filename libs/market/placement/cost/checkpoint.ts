import type { Workload } from '#contracts';
import type { HazardBand } from '#market/reliability';
import { Ages } from './ages.js';

export interface Checkpointing {
  /** Work between two checkpoints, and what one costs, seconds. */
  readonly intervalS: number;
  readonly costS: number;
}

/** Steps of the interval per doubling: the optimum is flat, and works of all lengths share what is worked out for one. */
const STEPS = 6;

/**
 * How the work is saved: as the workload says, or, where it gives the cost d of one checkpoint, after sqrt(2 d M) of work
 * (Young, CACM 17, 1974; Daly's next term, sqrt(2 d M) - d, is below the steps here). M is the running time per loss of a
 * lease that takes all the work: for hazard that falls with age, what a machine lives on average.
 */
export function checkpointing(
  workload: Pick<Workload, 'checkpoint' | 'checkpointS'>,
  usualCostS: number,
  usefulS: number,
  bands: readonly HazardBand[],
  hazardFactor: number,
): Checkpointing {
  const { checkpoint } = workload;
  if (!checkpoint) return { intervalS: workload.checkpointS, costS: usualCostS };
  const { costS } = checkpoint;
  if (checkpoint.intervalS !== undefined) return { intervalS: checkpoint.intervalS, costS };
  const ages = new Ages(bands, hazardFactor);
  const lost = 1 - ages.survival(usefulS);
  if (lost < 1e-12) return { intervalS: Math.max(usefulS, costS), costS };
  const best = Math.sqrt((2 * costS * ages.integral(0, usefulS)) / lost);
  const stepped = 2 ** (Math.round(Math.log2(best) * STEPS) / STEPS);
  return { intervalS: Math.min(Math.max(stepped, costS), Math.max(usefulS, costS)), costS };
}

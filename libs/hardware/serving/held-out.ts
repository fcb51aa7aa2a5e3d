import { engineMechanics, SINGLE_STREAM } from './engines.js';
import { foldOf } from './left-out.js';
import { predictServing } from './predict.js';
import type { PublishedRun } from './published-runs.js';
import type { ServingPrediction } from './query.js';
import { placeOf, residualsOf } from './residuals.js';
import { fitServingModel } from './serving-model.js';
import { groupBy } from './statistics.js';

/** What is left out together. */
export type LeftOutBy = 'row' | 'model' | 'gpu' | 'framework' | 'vendor';

export interface HeldOut {
  readonly run: PublishedRun;
  readonly predicted: ServingPrediction;
  /** ln(measured / predicted). */
  readonly error: number;
  /** The measurement lies in the 80 % interval. */
  readonly covered: boolean;
}

const groupOf: Readonly<Record<LeftOutBy, (run: PublishedRun) => string>> = {
  row: (run) => foldOf(placeOf(run.query)),
  model: (run) => placeOf(run.query).model,
  gpu: (run) => run.query.accelerator.name,
  framework: (run) => placeOf(run.query).engine,
  vendor: (run) => placeOf(run.query).stack,
};

/**
 * Predicts every run by a model, its widths included, that was fitted without the run's group. A framework that is left
 * out loses its own step time and shares too, since they were read off runs: only whether it batches stays known.
 */
export function heldOut(runs: readonly PublishedRun[], split: LeftOutBy): HeldOut[] {
  const groups = [...groupBy(runs, groupOf[split]).values()];
  return groups.flatMap((left) => {
    const model = fitServingModel(residualsOf(groups.filter((others) => others !== left).flat()));
    return left.flatMap((run) => against(run, predictServing(asked(run, split), model)));
  });
}

/** A prediction beside the measurement; nothing where the formula says that it does not fit. */
export function against(run: PublishedRun, predicted: ServingPrediction | null): HeldOut[] {
  if (!predicted) return [];
  const error = Math.log(run.tokensPerS / predicted.tokensPerS);
  return [{ run, predicted, error, covered: error >= -predicted.lowLog && error <= predicted.highLog }];
}

function asked(run: PublishedRun, split: LeftOutBy): PublishedRun['query'] {
  if (split !== 'framework') return run.query;
  const engine = engineMechanics(run.query.engine).batches ? 'a framework that batches' : SINGLE_STREAM;
  return { ...run.query, engine };
}

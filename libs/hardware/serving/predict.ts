import { formula, placeOf } from './residuals.js';
import type { MeasuredSpeed, ServingPrediction, ServingQuery } from './query.js';
import type { ServingModel } from './serving-model.js';
import { shippedServingModel } from './shipped.js';

/** Half widths of 80 % intervals in standard deviations. */
const Z = 1.2816;
/** Spread (ln) of repeated runs of one thing before we have seen enough of them to know. */
const REPEAT_SD = 0.15;
/** Runs after which our own spread counts as much as that. */
const REPEAT_PRIOR = 4;
/** Spread (ln) that guessed layers, width and cache of a model add. */
const ASSUMED_SHAPE_SD = 0.15;
/** Nearby weight from which a prediction is an interpolation between published runs rather than the formula corrected. */
const INTERPOLATED = 1;

/**
 * Tokens per second and latencies of one replica: what Berth's own leases measured, else published runs near by, else
 * the formula, corrected by what is known of that framework and software stack. Null when it cannot run there: the
 * weights and one sequence do not fit.
 */
export function predictServing(
  query: ServingQuery,
  model: ServingModel = shippedServingModel(),
): ServingPrediction | null {
  const said = formula(query);
  if (!said) return null;
  const place = placeOf(query);
  const novelty = model.noveltyOf(place);
  // One vCPU's figures in the table are useful rates already, and no published run is of CPUs.
  const correction = query.accelerator.vendor === 'cpu' ? { log: 0, cellLog: 0, support: 0 } : model.correction(place);
  const learned = correctedBy(query, model, correction);
  let width = model.halfWidth(place, novelty, correction.support);
  if (said.assumed) width = Math.hypot(width, Z * ASSUMED_SHAPE_SD);

  const own = query.measured?.(query);
  const chosen = own ? fromOwn(own, said.tokensPerS) : { ...learned, width };
  const factor = Math.exp(chosen.log);
  const tokensPerS = said.tokensPerS * factor;
  // By Little's law a request stays as long as it takes the replica to finish as many as run at once.
  const residenceS = (said.running * (query.inputTokens + query.outputTokens)) / tokensPerS;
  // Where the first token is the last, a request has stayed its whole time by then, and no further one takes any.
  const ownPrefillS =
    query.outputTokens < 2 ? residenceS : Math.min(residenceS, (said.onePrefillS + said.decodeStepS) / factor);
  return {
    tokensPerS,
    tokensPerSLow: tokensPerS * Math.exp(-chosen.width),
    tokensPerSHigh: tokensPerS * Math.exp(chosen.width),
    lowLog: chosen.width,
    highLog: chosen.width,
    ttftS: ownPrefillS + (said.waves - 1) * residenceS,
    tpotS: (residenceS - ownPrefillS) / Math.max(1, query.outputTokens - 1),
    waves: said.waves,
    source: chosen.source,
    sourceNote: said.assumed ? `${chosen.note}; layers, width and cache assumed from the size` : chosen.note,
    confidence: Math.exp(-chosen.width),
    novelty,
    factor,
  };
}

interface Chosen {
  readonly log: number;
  readonly source: ServingPrediction['source'];
  readonly note: string;
}

function correctedBy(
  query: ServingQuery,
  model: ServingModel,
  correction: { readonly log: number; readonly cellLog: number; readonly support: number },
): Chosen {
  const factor = Math.exp(correction.cellLog).toFixed(2);
  if (query.usePublished === false) {
    return { log: correction.cellLog, source: 'roofline', note: `roofline x ${factor} for this framework and vendor` };
  }
  const place = placeOf(query);
  const exact = model.exactly(place);
  if (exact !== undefined) return { log: exact, source: 'published', note: `published run (${PUBLISHED})` };
  if (model.noveltyOf(place) === 'seen' && correction.support >= INTERPOLATED) {
    return { log: correction.log, source: 'published', note: `between published runs (${PUBLISHED})` };
  }
  const near = correction.support > 0.05 ? ', leaning on published runs near by' : '';
  return { log: correction.log, source: 'roofline', note: `roofline x ${factor} for this framework and vendor${near}` };
}

const PUBLISHED = 'argonne-lcf/LLM-Inference-Bench@4211f5d4, BSD-3-Clause';

function fromOwn(own: MeasuredSpeed, formulaTokensPerS: number): Chosen & { readonly width: number } {
  const n = Math.max(own.samples, 1e-3);
  const variance =
    (REPEAT_PRIOR * REPEAT_SD ** 2 + (own.logSd === null ? 0 : n * own.logSd ** 2)) /
    (REPEAT_PRIOR + (own.logSd === null ? 0 : n));
  return {
    log: Math.log(own.tokensPerS / formulaTokensPerS),
    width: Z * Math.sqrt(variance * (1 + 1 / n) + (own.awaySd ?? 0) ** 2),
    source: 'measured',
    note: `measured on Berth's own leases, ${own.samples.toFixed(1)} runs`,
  };
}

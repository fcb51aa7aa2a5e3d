export { engineMechanics, type EngineMechanics } from './engines.js';
export { against, heldOut, type HeldOut, type LeftOutBy } from './held-out.js';
export { mechanics, type Mechanics } from './mechanics.js';
export { predictServing } from './predict.js';
export { loadPublishedRuns, parsePublishedRuns, type PublishedRun } from './published-runs.js';
export type {
  MeasuredSpeed,
  MeasuredSpeeds,
  Novelty,
  PredictionSource,
  ServedModel,
  ServingCard,
  ServingPrediction,
  ServingQuery,
} from './query.js';
export { formula, placeOf, residualsOf, type Place, type Residual } from './residuals.js';
export { fitServingModel, type ServingModel } from './serving-model.js';
export { shippedServingModel, shippedWidths, warmServingModel, WIDTHS_FILE } from './shipped.js';
export { quantile } from './statistics.js';
export { softwareStack, type SoftwareStack } from './stacks.js';
export { fitWidths, type Widths } from './widths.js';

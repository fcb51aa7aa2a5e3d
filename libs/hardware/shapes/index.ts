export { factorEffects, MAX_BATCH, meets, type LatencyTarget } from './evaluate.js';
export {
  factorNames,
  usualFactors,
  type FactorEffect,
  type FactorName,
  type Factors,
  type Speculation,
} from './factors.js';
export { gib, replicaMemory, splitRefused, type ReplicaMemory, type Split } from './memory.js';
export { bytesPerWeight, precisions, qualityRisk, usualPrecisions, widthRefused, type Precision } from './precision.js';
export { servingSpeed, type ServingSpeed } from './serving.js';
export {
  shapeOf,
  shapesOf,
  shapesStepwise,
  volumeHours,
  type Load,
  type Miss,
  type Shape,
  type SizingQuery,
} from './shapes.js';

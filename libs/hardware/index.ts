export type { Accelerator, AcceleratorForm, AcceleratorMaker, IntraNodeLink } from './accelerator.js';
export { accelerator, accelerators } from './accelerators.js';
export { acceleratorMatches, normalizeAccelerator, type NameHints } from './names.js';
export {
  compareVersions,
  computeCapability,
  cudaWindow,
  leastDriverFor,
  leastRocm,
  type CudaWindow,
} from './compatibility.js';
export {
  migGeometry,
  migLayout,
  migProfile,
  migProfileNames,
  type MigGeometry,
  type MigPlacement,
  type MigProfile,
} from './mig.js';
export { isAccelerator, nearestAccelerators } from './near-names.js';
export { dataFile, repoRoot } from './data-files.js';
export { loadModelArchitectures, parseModelArchitectures, type ModelArchitecture } from './model-architectures.js';
export { publishedThroughput, publishedThroughputs, type PublishedThroughput } from './published-throughput.js';
export {
  BYTES_PER_GB,
  BYTES_PER_GIB,
  chooseTensorParallel,
  hasFastLink,
  kvBytesPerToken,
  kvCacheBytes,
  latentKvCacheBytes,
  vramBudget,
  weightsBytes,
  type KvLayout,
  type TensorParallelChoice,
  type VramBudget,
  type VramDemand,
} from './sizing.js';
export { throughput, type ServingEngine, type Throughput, type ThroughputQuery } from './throughput.js';
export { relativeSpeed, scalingEfficiency, usefulSeconds, type MeasuredMachines, type Work } from './useful-time.js';
export * from './serving/index.js';
export * from './models/index.js';
export * from './shapes/index.js';
export * from './traces/index.js';

export { readModelConfig, type ConfigAnswer } from './config-json.js';
export type { ConfigProblem } from './config-fields.js';
export { isProfile, loadModelLibrary, ModelLibrary } from './library.js';
export { canonicalModel, nearestNames } from './names.js';
export {
  cacheBytes,
  growingBytesPerToken,
  parametersText,
  type AttentionKind,
  type CacheGroup,
  type ModelProfile,
} from './profile.js';

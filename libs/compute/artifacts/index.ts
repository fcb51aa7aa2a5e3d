export { Artifacts, type NeededBy, type ObjectBytes } from './artifacts.service.js';
export { keepArtifacts } from './gate.js';
export { keptFiles } from './kept.js';
export { artifacts, type ArtifactRow } from './artifacts.table.js';

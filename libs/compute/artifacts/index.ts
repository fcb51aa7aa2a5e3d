export { Artifacts, type ObjectBytes } from './artifacts.service.js';
export { artifacts, type ArtifactRow } from './artifacts.table.js';

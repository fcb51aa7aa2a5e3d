export {
  removeEmbedded,
  startEmbedded,
  statusEmbedded,
  stopEmbedded,
  type EmbeddedStatus,
  type RunningPostgres,
  type StartOptions,
} from './embedded.js';
export { withFileLock } from './file-lock.js';

export { Jobs, type JobServiceDeps } from './jobs.service.js';
export { type Quoter, type Submission } from './planning.js';
export { toJobView, type JobMoney } from './job-view.js';
export { JobReconciler, type JobReconcilerDeps, type Placer } from './jobs.reconciler.js';
export { JobWork, type JobWorkDeps } from './work-source.js';
export { mostTokens, type MostTokens } from './most-tokens.js';
export { fileNeededBy } from './files.js';
export { batchResults } from './results.js';
export { embeddedModels, type KnownModel } from './models.js';
export { planBatch, type BatchPlan } from './batch-input.js';
export {
  jobs,
  shards,
  jobLogs,
  jobMachine,
  resultKey,
  outputKey,
  type JobRow,
  type ShardRow,
  type JobLogRow,
} from './jobs.table.js';

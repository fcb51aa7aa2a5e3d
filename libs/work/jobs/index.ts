export { Jobs, type JobServiceDeps } from './jobs.service.js';
export { type Estimator, type Submission } from './placing/planning.js';
export { toJobView, type JobMoney } from './job-view.js';
export { JobReconciler, type JobReconcilerDeps, type Placer } from './jobs.reconciler.js';
export { JobWork, type JobWorkDeps } from './work-source.js';
export { mostTokens, type MostTokens } from './intake/most-tokens.js';
export { fileNeededBy } from './intake/files.js';
export { batchResults } from './results.js';
export { embeddedModels, type KnownModel } from './intake/models.js';
export { planBatch, type BatchPlan } from './intake/batch-input.js';
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

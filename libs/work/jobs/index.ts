export { Jobs, toJobView, type JobMoney, type JobServiceDeps, type Quoter, type Submission } from './jobs.service.js';
export { JobReconciler, type JobReconcilerDeps, type Placer } from './jobs.reconciler.js';
export { JobWork, type JobWorkDeps } from './work-source.js';
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

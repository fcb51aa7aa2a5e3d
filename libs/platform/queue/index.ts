export { JobQueues, type JobCounts, type JobQueuesOptions } from './job-queues.js';
export { JobHandlers, type JobHandler } from './handlers.js';
export {
  JOB_NAMES,
  JOB_POLICIES,
  jobsOf,
  type JobName,
  type JobPayload,
  type JobPolicies,
  type JobPolicy,
} from './jobs.js';
export { MemoryWakeQueue, type WakeQueue, type WokenRow } from './wake-queue.js';
export { prepareQueueSchema, type QueueLocation } from './backend.js';
export { registerQueueMetrics } from './queue-metrics.js';
export { QueueModule, WAKE_QUEUE } from './queue.module.js';

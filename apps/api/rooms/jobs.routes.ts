import { z } from 'zod';
import {
  createJobSchema,
  createJobsSchema,
  idOf,
  isoTime,
  jobEventView,
  jobStates,
  jobView,
  nanoUsdText,
  workloadSchema,
} from '#contracts';
import { route } from '../http/route.js';

const tag = 'Jobs';
const roles = ['member', 'admin'] as const;
const params = z.strictObject({ id: idOf('job') });

export const createJob = route({
  method: 'POST',
  path: '/v1/jobs',
  tag,
  name: 'createJob',
  summary: 'Submit a job',
  description:
    'Checks the whole input, sets the cost cap aside, and queues the job. Refused with 402 when the credit does not cover the cap.',
  access: { roles },
  body: createJobSchema,
  returns: jobView,
  creates: true,
});

export const createJobs = route({
  method: 'POST',
  path: '/v1/jobs/bulk',
  tag,
  name: 'createJobs',
  summary: 'Submit many jobs',
  description:
    'Up to 500 jobs of one project, all or none: one hold covers all their cost caps. A refusal names the job by its number from 0, as `jobs.3.spec.model`. Each is a job like any other from then on.',
  access: { roles },
  body: createJobsSchema,
  maxBodyBytes: 8 * 1024 * 1024,
  returns: z.object({ items: z.array(jobView) }).meta({ id: 'CreatedJobs' }),
  creates: true,
});

export const previewJob = route({
  method: 'POST',
  path: '/v1/jobs/preview',
  tag,
  name: 'previewJob',
  summary: 'Check a job without submitting it',
  access: { roles },
  body: createJobSchema,
  returns: z
    .object({ lines: z.int(), shards: z.int(), workload: workloadSchema, cap: nanoUsdText })
    .meta({ id: 'JobPreview' }),
});

export const listJobs = route({
  method: 'GET',
  path: '/v1/jobs',
  tag,
  name: 'listJobs',
  summary: 'List jobs, newest first',
  access: { roles },
  query: z.strictObject({ state: z.enum(jobStates).optional(), projectId: idOf('project').optional() }),
  returns: jobView,
  page: true,
});

export const getJob = route({
  method: 'GET',
  path: '/v1/jobs/{id}',
  tag,
  name: 'getJob',
  summary: 'Show a job',
  access: { roles },
  params,
  returns: jobView,
});

export const cancelJob = route({
  method: 'POST',
  path: '/v1/jobs/{id}/cancel',
  tag,
  name: 'cancelJob',
  summary: 'Cancel a job',
  description: 'An ended job stays as it is. Finished shards keep their results.',
  access: { roles },
  params,
  returns: jobView,
});

export const listJobEvents = route({
  method: 'GET',
  path: '/v1/jobs/{id}/history',
  tag,
  name: 'listJobEvents',
  summary: 'List what happened to a job',
  access: { roles },
  params,
  returns: jobEventView,
  page: true,
});

export const watchJob = route({
  method: 'GET',
  path: '/v1/jobs/{id}/events',
  tag,
  name: 'watchJob',
  summary: 'Watch a job',
  description:
    'Server-sent events: `job` for each change of state, `progress` while shards finish, `end` at the end, after which the stream closes. Resumes after `Last-Event-ID`.',
  access: { roles },
  params,
  returns: {
    events: z.union([jobEventView, jobView]),
  },
});

export const jobResults = route({
  method: 'GET',
  path: '/v1/jobs/{id}/results',
  tag,
  name: 'readJobResults',
  summary: 'Read the results',
  description:
    'JSON lines in the order of the input, in the form of OpenAI batch output; of a running job, what is there so far.',
  access: { roles },
  params,
  returns: { bytes: 'application/x-ndjson' },
});

const logLine = z
  .object({ at: isoTime, stream: z.string(), text: z.string(), shard: z.string() })
  .meta({ id: 'LogLine' });

export const jobLogLines = route({
  method: 'GET',
  path: '/v1/jobs/{id}/logs',
  tag,
  name: 'listJobLogs',
  summary: 'Read the logs',
  access: { roles },
  params,
  returns: logLine,
  page: true,
});

export const jobOutput = route({
  method: 'GET',
  path: '/v1/jobs/{id}/outputs',
  tag,
  name: 'readJobOutput',
  summary: 'Read a file that a command left',
  access: { roles },
  params,
  query: z.strictObject({ path: z.string().min(1).max(500) }),
  returns: { bytes: 'application/octet-stream' },
});

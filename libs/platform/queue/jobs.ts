import { z } from 'zod';
import type { WorkerRole } from '#platform/config';

/** What each job carries; checked again on arrival, because an older release may have added it. */
const payloads = {
  /** Drive each of these rows until it rests. */
  reconcile: z.object({ rows: z.array(z.object({ kind: z.string().min(1), id: z.string().min(1) })).min(1) }),
  /** Read the offers of one provider anew. */
  'sync-offers': z.object({ providerId: z.string().min(1) }),
};

export type JobName = keyof typeof payloads;
export type JobPayload<J extends JobName> = z.infer<(typeof payloads)[J]>;
export const JOB_NAMES = Object.keys(payloads) as JobName[];

/** How one job is run. Every field is required: a job without a full policy does not compile. */
export interface JobPolicy<J extends JobName> {
  /** Workers with this role run it. */
  readonly role: WorkerRole;
  /** Runs at once in one process. */
  readonly concurrency: number;
  /** A run whose process has been silent for so long is given to another worker. */
  readonly lockMs: number;
  /** Jobs with one answer are one job: a second waits behind a running first, a third is dropped. Null: no two are alike. */
  readonly sameAs: ((payload: JobPayload<J>) => string) | null;
}

export type JobPolicies = { readonly [J in JobName]: Required<JobPolicy<J>> };

/** No job is retried by the queue: what failed is still due in its row, and the next sweep wakes it. */
export const JOB_POLICIES: JobPolicies = {
  reconcile: { role: 'reconcile', concurrency: 16, lockMs: 15_000, sameAs: null },
  'sync-offers': { role: 'sweep', concurrency: 4, lockMs: 60_000, sameAs: ({ providerId }) => providerId },
};

export function jobsOf(roles: readonly WorkerRole[]): JobName[] {
  return JOB_NAMES.filter((name) => roles.includes(JOB_POLICIES[name].role));
}

/** Throws when the payload is not one of this release. */
export function readPayload<J extends JobName>(name: J, data: unknown): JobPayload<J> {
  // The schema of a name yields the payload of that name; TypeScript cannot follow the index.
  return payloads[name].parse(data) as JobPayload<J>;
}

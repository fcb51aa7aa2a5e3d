import { endReasons, type LeaseRow } from '#compute/leases';
import { safeUntil } from './placing/deadline.js';
import type { JobRow } from './jobs.table.js';

export type JobAction =
  | { readonly do: 'place' }
  | { readonly do: 'run' }
  | { readonly do: 'replace'; readonly message: string }
  /** Off a machine that may be taken away, since only one that is not can still finish in time. */
  | { readonly do: 'move'; readonly message: string }
  | { readonly do: 'finish' }
  | { readonly do: 'fail'; readonly code: string; readonly message: string }
  | { readonly do: 'cancel' }
  | { readonly do: 'rest'; readonly untilMs: number | null };

/** Machines that one job may use up before it is the job that is at fault. */
export const MAX_LEASE_TRIES = 20;

const LOOK_AGAIN_MS = 5_000;

/** The next action for a job, from the job and its lease alone; pure. */
export function nextJobAction(job: JobRow, lease: LeaseRow | null, nowMs: number): JobAction {
  if (job.state === 'succeeded' || job.state === 'failed' || job.state === 'cancelled')
    return { do: 'rest', untilMs: null };
  const finished = job.shardsDone + job.shardsFailed === job.shardsTotal;
  if ((job.state === 'running' || job.state === 'recovering') && finished) return { do: 'finish' };
  // Its agent was quicker than we: what is finished needs no machine, even when this one is gone again.
  if (job.state === 'starting' && finished) return { do: 'run' };
  if (job.cancelRequestedAt !== null) return { do: 'cancel' };
  if (nowMs >= job.timeoutAt)
    return { do: 'fail', code: 'timeout', message: 'the job did not finish before its timeout' };
  switch (job.state) {
    case 'queued':
    case 'placing':
    case 'recovering':
      if (job.leaseTries >= MAX_LEASE_TRIES)
        return { do: 'fail', code: 'no-machine', message: `${job.leaseTries} machines failed this job` };
      return job.state !== 'queued' && job.wakeAt !== null && job.wakeAt > nowMs
        ? { do: 'rest', untilMs: job.wakeAt }
        : { do: 'place' };
    case 'starting':
    case 'running': {
      if (
        lease === null ||
        lease.state === 'ended' ||
        lease.state === 'terminating' ||
        lease.state === 'draining' ||
        lease.jobId !== job.id
      ) {
        if (lease?.endReason === 'unpaid' || (lease?.state === 'terminating' && lease.message?.startsWith('unpaid'))) {
          return { do: 'fail', code: 'cost-cap-reached', message: 'the cost cap of this job is used up' };
        }
        return { do: 'replace', message: whyGone(lease) };
      }
      const safeMs = safeUntil(job);
      if (safeMs !== null && nowMs >= safeMs && lease.offer.pricing === 'spot' && !isAboutDone(job, lease, nowMs))
        return {
          do: 'move',
          message: 'later than this only a machine that is not taken away finishes by the deadline',
        };
      if (job.state === 'starting' && lease.state === 'ready') return { do: 'run' };
      return { do: 'rest', untilMs: Math.min(nowMs + LOOK_AGAIN_MS, job.timeoutAt) };
    }
  }
}

/** Why a job has its machine no more, for its tenant. */
function whyGone(lease: LeaseRow | null): string {
  if (lease?.state === 'draining') return 'the vendor takes the machine back';
  const message = lease?.message ?? 'the machine is gone';
  // A lease on its way out keeps the word for how it will end in front.
  const word = endReasons.find((reason) => lease?.state === 'terminating' && message.startsWith(`${reason}: `));
  return word === undefined ? message : message.slice(word.length + 2);
}

/** A command that has run for as long as it was said to take: begun again elsewhere it would only end later. */
function isAboutDone(job: JobRow, lease: LeaseRow, nowMs: number): boolean {
  const since = lease.acceptedAt;
  return (
    job.kind === 'command' && job.fallback !== null && since !== null && nowMs - since >= job.fallback.workS * 1_000
  );
}

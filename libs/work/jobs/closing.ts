import type { Tx } from '#platform/database';
import { transition, type WakeQueue } from '#platform/reconcile';
import type { LeaseRow, Leases } from '#compute/leases';
import type { Holds } from '#money/quotas';
import { jobMachine, jobs, shards, type JobRow } from './jobs.table.js';

export interface ClosingDeps {
  readonly leases: Leases;
  readonly holds: Holds;
  readonly wake: WakeQueue;
  /** Tells a machine's agent that its work changed. */
  readonly ring: (agentId: string) => void;
}

/** How a job leaves its machine, and how it ends. */
export class Closing {
  constructor(private readonly d: ClosingDeps) {}

  /** Unfinished shards go back, finished ones stay; a machine that is still there is let go. */
  async putBack(tx: Tx, job: JobRow, lease: LeaseRow | null): Promise<void> {
    if (job.leaseId !== null) {
      await tx.update(
        shards,
        { jobId: job.id, state: 'assigned', leaseId: job.leaseId },
        { state: 'pending', leaseId: null, assignedAt: null },
      );
    }
    if (lease && lease.state !== 'ended' && lease.jobId === job.id) await this.d.leases.letGo(tx, lease, 0);
  }

  async finish(tx: Tx, job: JobRow, lease: LeaseRow | null, now: number): Promise<'rest'> {
    const ok = job.shardsFailed === 0;
    const reason = ok ? null : await this.failureOf(tx, job);
    await this.close(tx, job, lease, ok ? 'succeeded' : 'failed', reason, now);
    return 'rest';
  }

  private async failureOf(tx: Tx, job: JobRow): Promise<string> {
    const failed = await tx.first(shards, { jobId: job.id, state: 'failed' }, { orderBy: [['n', 'asc']] });
    return `${job.shardsFailed} of ${job.shardsTotal} shards failed: ${failed?.message ?? 'no message'}`;
  }

  /** The end of a job: the machine is let go, everything is metered up to now, the hold is settled; one transaction. */
  async close(
    tx: Tx,
    job: JobRow,
    lease: LeaseRow | null,
    to: 'succeeded' | 'failed' | 'cancelled',
    reason: string | null,
    now: number,
  ): Promise<void> {
    if (to !== 'succeeded') {
      await tx.update(
        shards,
        { jobId: job.id, state: { in: ['pending', 'assigned'] } },
        { state: 'failed', leaseId: null, message: reason ?? to },
      );
    }
    // A machine that tokens pay for earns nothing while it is idle.
    const keepWarmMs = to === 'cancelled' || job.tokenTerms !== null ? 0 : (job.spec.keepWarmS ?? 0) * 1_000;
    if (lease && lease.state !== 'ended' && lease.jobId === job.id) {
      const { lease: after } = await this.d.leases.letGo(tx, lease, keepWarmMs);
      if (after.want === 'release')
        tx.afterCommit(() => void this.d.wake.wake('lease', after.id).catch(() => undefined));
      // Where all is done and the machine is kept, its agent has nothing to learn.
      if (to !== 'succeeded' || after.want === 'release') this.ringAfter(tx, after);
    }
    // Every lease of the job has given back what it did not use: the difference is what the job cost.
    const restNano = await this.d.holds.settle(tx, job.holdId);
    await transition(tx, jobs, jobMachine, job, to, {
      patch: {
        endedAt: now,
        reason,
        chargedNano: restNano === null ? job.chargedNano : job.capNano - restNano,
        ...(to === 'succeeded' ? {} : { shardsFailed: job.shardsTotal - job.shardsDone }),
      },
      wakeAt: null,
      message: reason ?? `${job.linesOk} of ${job.linesTotal} done`,
    });
  }

  /** Once this is committed the agent asks again. */
  ringAfter(tx: Tx, lease: LeaseRow): void {
    const { agentId } = lease;
    if (agentId !== null) tx.afterCommit(() => this.d.ring(agentId));
  }
}

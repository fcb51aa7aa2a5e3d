import { DomainError, newId, notFound, type Clock, type Random } from '#kernel';
import type { CreateJob, JobView, Offer, Workload } from '#contracts';
import { batch, within, WORKER, type Actor, type Store, type Tx } from '#platform/database';
import { events, transition, type WakeQueue } from '#platform/reconcile';
import { Artifacts, artifacts, type ArtifactRow } from '#compute/artifacts';
import { burn } from '#compute/leases';
import { agents } from '#compute/agents';
import { requireStanding } from '#money/billing';
import { Holds } from '#money/quotas';
import { priceOf, type ChargeTerms } from '#money/rating';
import { planBatch, type BatchPlan } from './batch-input.js';
import { embeddedModels, estimateSeconds } from './models.js';
import { jobMachine, jobs, shards, type JobRow, type ShardRow } from './jobs.table.js';

/** A price for the finished work before anything is rented: the best rentable offer and what it is expected to cost in all. */
export interface Quoter {
  quote(request: {
    organizationId: string;
    projectId: string;
    workload: Workload;
  }): Promise<
    | { offer: Offer; expectedNano: bigint; expectedS: number; terms: ChargeTerms }
    | { why: string; hints: readonly string[] }
  >;
}

export interface JobServiceDeps {
  readonly store: Store;
  readonly artifacts: Artifacts;
  readonly holds: Holds;
  readonly quoter: Quoter;
  readonly wake: WakeQueue;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Submission {
  readonly organizationId: string;
  readonly projectId: string;
  readonly actor: Actor;
  /** The key that submits: its limits count too. */
  readonly keyId?: string;
  readonly request: CreateJob;
}

/** A job is never capped below this: the first minutes of any machine. */
const LEAST_CAP_MS = 15 * 60_000;

export class Jobs {
  constructor(private readonly d: JobServiceDeps) {}

  /**
   * Checks the input whole, prices the work, then in one transaction sets the money aside and writes job and shards;
   * `also` runs in that transaction, and what it throws undoes it.
   * Throws: invalid (line and field named), payment-required (how much is missing), unprocessable (nothing fits and no cap given).
   */
  async submit(
    submission: Submission,
    also: (tx: Tx, job: JobRow) => Promise<void> = () => Promise.resolve(),
  ): Promise<JobRow> {
    const { request } = submission;
    const plan = await this.plan(submission);
    const workload = this.workloadOf(request, plan);
    const capNano = await this.cap(submission, workload);
    const now = this.d.clock.now();
    const id = newId('job', now, this.d.random);
    return this.d.store.transaction(submission.actor, async (tx) => {
      await requireStanding(tx, submission.organizationId);
      const hold = await this.d.holds.take(tx, {
        organizationId: submission.organizationId,
        projectId: submission.projectId,
        jobId: id,
        ...(submission.keyId === undefined ? {} : { keyId: submission.keyId }),
        amountNano: capNano,
        quotas: { 'jobs-queued': 1n },
      });
      const job = this.row(id, submission, plan, workload, capNano, hold.id, now);
      const rows = shardRows(job, plan, () => newId('shard', now, this.d.random));
      await tx.insertAll([
        batch(jobs, job),
        batch(shards, rows),
        batch(events, {
          subjectId: id,
          n: job.version,
          organizationId: job.organizationId,
          projectId: job.projectId,
          type: 'job.queued',
          fromState: null,
          toState: 'queued',
          message: `submitted with ${rows.length} ${rows.length === 1 ? 'shard' : 'shards'}`,
          at: now,
        }),
      ]);
      await also(tx, job);
      tx.afterCommit(() => void this.d.wake.wake('job', id).catch(() => undefined));
      return job;
    });
  }

  /** What submit would do, without doing it. */
  async dryRun(
    submission: Submission,
  ): Promise<{ lines: number; shards: number; workload: Workload; capNano: bigint }> {
    const plan = await this.plan(submission);
    const workload = this.workloadOf(submission.request, plan);
    return { lines: plan.lines, shards: plan.slices.length, workload, capNano: await this.cap(submission, workload) };
  }

  private async plan(submission: Submission): Promise<BatchPlan> {
    const { request } = submission;
    if (request.spec.kind === 'command') {
      for (const [i, input] of request.spec.inputs.entries()) {
        const row = await this.input(submission, input.artifactId);
        if (!row)
          throw new DomainError('invalid', 'unknown-artifact', `There is no artifact ${input.artifactId} here.`, {
            field: `spec.inputs.${i}.artifactId`,
            fix: 'Upload the file to the project of the job first (POST /v1/artifacts).',
          });
      }
      return { lines: 1, slices: [{ lineFrom: 0, lineTo: 1, byteFrom: 0, byteTo: 0 }], characters: 0 };
    }
    const { inputArtifactId, model, linesPerShard } = request.spec;
    if (!(await this.modelExists(model))) {
      throw new DomainError('invalid', 'unknown-model', `No machine serves a model "${model}".`, {
        field: 'spec.model',
        fix: `Models served now: ${embeddedModels.map((m) => m.id).join(', ')}, and those of registered hosts.`,
      });
    }
    const artifact = await this.input(submission, inputArtifactId);
    if (!artifact)
      throw new DomainError('invalid', 'unknown-artifact', `There is no artifact ${inputArtifactId} here.`, {
        field: 'spec.inputArtifactId',
        fix: 'Upload the JSONL to the project of the job first (POST /v1/artifacts).',
      });
    return planBatch(await this.d.artifacts.bytes(artifact), model, linesPerShard);
  }

  /** A file of the job's own project: its agents and every reader of its results will see the content. */
  private input({ actor, organizationId, projectId }: Submission, id: string): Promise<ArtifactRow | null> {
    return this.d.store.transaction(actor, (tx) => tx.first(artifacts, { id, organizationId, projectId }));
  }

  private async modelExists(model: string): Promise<boolean> {
    if (embeddedModels.some((m) => m.id === model)) return true;
    const enrolled = await this.d.store.transaction(WORKER, (tx) =>
      tx.find(agents, { kind: 'host', state: 'enrolled' }, { limit: 5_000 }),
    );
    return enrolled.some((a) => a.facts?.engines.includes(`embedded/${model}`) ?? false);
  }

  /** A batch that says nothing of its size is estimated from its lines. */
  private workloadOf(request: CreateJob, plan: BatchPlan): Workload {
    const { spec, workload } = request;
    if (spec.kind === 'command') return workload;
    const given = workload.work.kind !== 'wall-hours' || workload.work.hours !== 1;
    if (given) return workload;
    const seconds = Math.max(1, estimateSeconds(spec.model, plan.lines));
    return {
      ...workload,
      work: { kind: 'wall-hours', hours: seconds / 3_600 },
      checkpointS: Math.max(1, seconds / plan.slices.length),
    };
  }

  /** The hold of a job: what the tenant allows, or three times what the best offer is expected to cost. */
  private async cap({ organizationId, projectId, request }: Submission, workload: Workload): Promise<bigint> {
    if (request.maxCost !== undefined) {
      const cap = BigInt(request.maxCost);
      if (cap <= 0n)
        throw new DomainError('invalid', 'cap-not-positive', 'maxCost must be more than zero.', {
          field: 'maxCost',
          fix: 'Leave it out to let Berth estimate.',
        });
      return cap;
    }
    const quote = await this.d.quoter.quote({ organizationId, projectId, workload });
    if ('why' in quote) {
      throw new DomainError('unprocessable', 'nothing-fits', `Nothing that can be rented now fits: ${quote.why}.`, {
        fix: [...quote.hints, 'Give maxCost to queue the job until capacity appears.'].join(' '),
        retryable: true,
      });
    }
    const rate = priceOf(quote.offer.pricePerHour, quote.terms);
    const least = burn(rate, LEAST_CAP_MS);
    const wanted = burn(rate, Math.ceil(quote.expectedS * 1_000) * 3);
    return wanted > least ? wanted : least;
  }

  private row(
    id: string,
    s: Submission,
    plan: BatchPlan,
    workload: Workload,
    capNano: bigint,
    holdId: string,
    now: number,
  ): JobRow {
    const { request } = s;
    return {
      id,
      organizationId: s.organizationId,
      projectId: s.projectId,
      name:
        request.name ??
        (request.spec.kind === 'command' ? (request.spec.command[0] ?? 'command') : `batch ${request.spec.model}`),
      kind: request.spec.kind,
      state: 'queued',
      reason: null,
      spec: { ...request.spec, ...(request.keepWarmS > 0 ? { keepWarmS: request.keepWarmS } : {}) },
      workload,
      labels: request.labels,
      holdId,
      capNano,
      chargedNano: 0n,
      placementId: null,
      leaseId: null,
      triedOffers: [],
      leaseTries: 0,
      maxAttempts: request.maxAttempts,
      shardsTotal: plan.slices.length,
      shardsDone: 0,
      shardsFailed: 0,
      linesTotal: plan.lines,
      linesOk: 0,
      linesFailed: 0,
      cancelRequestedAt: null,
      createdAt: now,
      startedAt: null,
      endedAt: null,
      timeoutAt: now + request.timeoutS * 1_000,
      version: 1,
      wakeAt: now,
    };
  }

  async get(actor: Actor, id: string): Promise<JobRow> {
    const row = await this.d.store.transaction(actor, (tx) => tx.first(jobs, { id, ...within(actor) }));
    if (!row) throw notFound('job', id);
    return row;
  }

  /** Asks for the end of every job of an organization. */
  async cancelAll(organizationId: string): Promise<void> {
    const running = await this.d.store.transaction(WORKER, (tx) =>
      tx.find(jobs, { organizationId, endedAt: { isNull: true }, cancelRequestedAt: { isNull: true } }),
    );
    for (const job of running) await this.cancel(WORKER, job.id);
  }

  /** Asks for the end of a job; ended jobs stay as they are. Idempotent. */
  async cancel(actor: Actor, id: string): Promise<JobRow> {
    const job = await this.d.store.transaction(actor, async (tx) => {
      const row = await tx.first(jobs, { id, ...within(actor) }, { lock: 'update' });
      if (!row) throw notFound('job', id);
      if (jobMachine.isTerminal(row.state) || row.cancelRequestedAt !== null) return row;
      const now = await tx.now();
      return transition(tx, jobs, jobMachine, row, row.state, {
        patch: { cancelRequestedAt: now },
        wakeAt: now,
        type: 'job.cancel-requested',
        message: 'cancel requested',
      });
    });
    await this.d.wake.wake('job', id).catch(() => undefined);
    return job;
  }
}

function shardRows(job: JobRow, plan: BatchPlan, newShardId: () => string): ShardRow[] {
  return plan.slices.map((slice, n) => ({
    id: newShardId(),
    organizationId: job.organizationId,
    projectId: job.projectId,
    jobId: job.id,
    n,
    state: 'pending',
    ...slice,
    fence: 0,
    failures: 0,
    leaseId: null,
    assignedAt: null,
    resultKey: null,
    resultSha256: null,
    linesOk: 0,
    linesFailed: 0,
    exitCode: null,
    message: null,
  }));
}

/** A job's money at one moment: what its hold still has, what it paid, and what the time since the last metering will cost. */
export interface JobMoney {
  readonly heldNano: bigint;
  readonly chargedNano: bigint;
  readonly runningNano: bigint;
}

export function toJobView(job: JobRow, { heldNano, chargedNano, runningNano }: JobMoney): JobView {
  const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  return {
    id: job.id as JobView['id'],
    projectId: job.projectId as JobView['projectId'],
    name: job.name,
    kind: job.kind,
    state: job.state,
    reason: job.reason,
    createdAt: new Date(job.createdAt).toISOString(),
    startedAt: iso(job.startedAt),
    endedAt: iso(job.endedAt),
    progress: {
      shardsTotal: job.shardsTotal,
      shardsDone: job.shardsDone,
      linesTotal: job.linesTotal,
      linesOk: job.linesOk,
      linesFailed: job.linesFailed,
    },
    placementId: job.placementId as JobView['placementId'],
    leaseId: job.leaseId as JobView['leaseId'],
    cost: {
      held: String(heldNano),
      charged: String(chargedNano),
      running: String(runningNano),
      cap: String(job.capNano),
    },
    labels: job.labels,
    workload: job.workload,
    cancelRequested: job.cancelRequestedAt !== null,
    timeoutAt: new Date(job.timeoutAt).toISOString(),
  };
}

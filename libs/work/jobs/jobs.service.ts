import { DomainError, newId, notFound } from '#kernel';
import type { CreateJob, Workload } from '#contracts';
import { batch, Gather, within, WORKER, type Actor, type Tx } from '#platform/database';
import { events, transition, type WakeQueue } from '#platform/reconcile';
import { requireStanding } from '#money/billing';
import { Holds, type HoldRequest, type HoldRow } from '#money/quotas';
import { keepFiles } from './intake/files.js';
import { jobRow, queuedEvent, shardRows } from './job-rows.js';
import { jobMachine, jobs, shards, type JobRow } from './jobs.table.js';
import { Planning, type Known, type Planned, type PlanningDeps, type Submission } from './placing/planning.js';

export interface JobServiceDeps extends PlanningDeps {
  readonly holds: Holds;
  readonly wake: WakeQueue;
}

/** Runs in the transaction that makes a job. */
type Also = (tx: Tx, job: JobRow) => Promise<void>;

interface Gathered extends Planned {
  readonly also: Also;
}

export class Jobs {
  private readonly together = new Gather<Gathered, JobRow>((_, group) => this.submitTogether(group));

  private readonly planning: Planning;

  constructor(private readonly d: JobServiceDeps) {
    this.planning = new Planning(d);
  }

  /**
   * Checks the input whole, prices the work, then in one transaction sets the money aside and writes job and shards;
   * `also` runs in that transaction, and what it throws undoes it. Jobs of one project that come at the same time share the transaction,
   * and each is taken or refused by itself.
   * Throws: invalid (line and field named), payment-required (how much is missing), unprocessable (nothing fits and no cap given),
   * conflict (its quote does not hold any more).
   */
  async submit(submission: Submission, also: Also = () => Promise.resolve()): Promise<JobRow> {
    const planned = await this.planning.prepare(submission);
    return this.together.add(sharing(submission), { ...planned, also });
  }

  /**
   * Many jobs of one project, all or none, with one hold for them all; `also` as in `submit`.
   * Throws as `submit` does, and names the job by its number from 0 in the field.
   */
  async submitMany(
    of: Omit<Submission, 'request'>,
    requests: readonly CreateJob[],
    also: (tx: Tx, made: readonly JobRow[]) => Promise<void> = () => Promise.resolve(),
  ): Promise<JobRow[]> {
    requireQuotesOnce(requests);
    const planned: Planned[] = [];
    // Jobs of one kind differ in little: the same file is read once, and the same machine priced once.
    const known: Known = new Map();
    for (const [i, request] of requests.entries())
      planned.push(
        await this.planning.prepare({ ...of, request }, known).catch((error: unknown) => {
          throw ofJob(error, i);
        }),
      );
    return this.d.store.transaction(of.actor, async (tx) => {
      await requireStanding(tx, of.organizationId);
      await keepFiles(tx, of.organizationId, planned);
      const parts = await this.d.holds.takeShared(
        tx,
        of,
        planned.map(({ id, capNano }) => ({ jobId: id, amountNano: capNano })),
      );
      const made = await this.write(tx, planned, parts, ofJob);
      await also(tx, made);
      return made;
    });
  }

  /** One transaction for several; should the trouble of one undo it, each is tried by itself. */
  private async submitTogether(group: readonly Gathered[]): Promise<(JobRow | Error)[]> {
    try {
      return await this.submitIn(group);
    } catch (error) {
      if (group.length === 1) throw error;
      const alone: (JobRow | Error)[] = [];
      for (const one of group) alone.push(...(await this.submitIn([one]).catch((own: unknown) => [asError(own)])));
      return alone;
    }
  }

  private async submitIn(group: readonly Gathered[]): Promise<(JobRow | Error)[]> {
    const [first] = group;
    if (!first) return [];
    const { actor, organizationId } = first.submission;
    return this.d.store.transaction(actor, async (tx) => {
      await requireStanding(tx, organizationId);
      await keepFiles(tx, organizationId, group);
      const outcomes = await this.d.holds.takeMany(tx, group.map(holdOf));
      const taken = group.flatMap((planned, i) => {
        const hold = outcomes[i];
        return hold === undefined || hold instanceof Error ? [] : [{ planned, hold }];
      });
      const made = await this.write(
        tx,
        taken.map((t) => t.planned),
        taken.map((t) => t.hold),
      );
      for (const [i, { planned }] of taken.entries()) {
        const job = made[i];
        if (job) await planned.also(tx, job);
      }
      const byId = new Map(made.map((job) => [job.id, job]));
      return group.map(({ id }, i) => byId.get(id) ?? asError(outcomes[i]));
    });
  }

  /** The rows of jobs whose money is set aside, and their wake-ups. */
  private async write(
    tx: Tx,
    planned: readonly Planned[],
    parts: readonly HoldRow[],
    told: (error: unknown, i: number) => unknown = (error) => error,
  ): Promise<JobRow[]> {
    const made = planned.map((one, i) => {
      const hold = parts[i];
      if (hold?.jobId !== one.id) throw new Error(`${one.id} has no hold of its own`);
      const job = jobRow(one, hold.id, hold.createdAt);
      return { job, rows: shardRows(job, one.plan, () => newId('shard', job.createdAt, this.d.random)) };
    });
    await tx.insertAll([
      batch(
        jobs,
        made.map((m) => m.job),
      ),
      batch(
        shards,
        made.flatMap((m) => m.rows),
      ),
      batch(
        events,
        made.map(({ job, rows }) => queuedEvent(job, rows.length)),
      ),
    ]);
    for (const [i, { id, quote }] of planned.entries())
      if (quote)
        await this.d.quotes.take(tx, quote, id).catch((error: unknown) => {
          throw told(error, i);
        });
    for (const { job } of made) tx.afterCommit(() => void this.d.wake.wake('job', job.id).catch(() => undefined));
    return made.map((m) => m.job);
  }

  /** What submit would do, without doing it. */
  async dryRun(
    submission: Submission,
  ): Promise<{ lines: number; shards: number; workload: Workload; capNano: bigint }> {
    const { plan, workload, capNano } = await this.planning.prepare(submission);
    return { lines: plan.lines, shards: plan.slices.length, workload, capNano };
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

/** Who may share a transaction: those who see the same rows, with the same money. */
function sharing({ actor, organizationId }: Submission): string {
  return JSON.stringify([organizationId, actor.as === 'worker' ? null : actor.projectIds]);
}

function holdOf({ id, capNano, submission: { organizationId, projectId, keyId } }: Planned): HoldRequest {
  const of = { organizationId, projectId, ...(keyId === undefined ? {} : { keyId }) };
  return { ...of, jobId: id, amountNano: capNano, quotas: { 'jobs-queued': 1n } };
}

/** Throws invalid where two jobs want one quote. */
function requireQuotesOnce(requests: readonly CreateJob[]): void {
  const first = new Map<string, number>();
  for (const [i, { quoteId }] of requests.entries()) {
    if (quoteId === undefined) continue;
    const before = first.get(quoteId);
    if (before !== undefined)
      throw new DomainError(
        'invalid',
        'quote-twice',
        `jobs.${before} has this quote already; a quote is for one job.`,
        {
          field: `jobs.${i}.quoteId`,
          fix: 'Ask for a quote for each, or leave quoteId out.',
        },
      );
    first.set(quoteId, i);
  }
}

/** The same refusal, with the job among many that it is about. */
function ofJob(error: unknown, i: number): unknown {
  if (!(error instanceof DomainError)) return error;
  const { kind, code, message, details } = error;
  const at = (field?: string): string => (field === undefined ? `jobs.${i}` : `jobs.${i}.${field}`);
  const problems = details.problems?.map((p) => ({ ...p, field: at(p.field) }));
  const more = { field: at(details.field), ...(problems === undefined ? {} : { problems }) };
  return new DomainError(kind, code, message, { ...details, ...more });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

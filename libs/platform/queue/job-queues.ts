import { Gather, systemClock, type Clock } from '#kernel';
import type { WorkerRole } from '#platform/config';
import type { Logger } from '#platform/observability';
import { openBackend, type BullQueue, type BullWorker, type QueueBackend, type QueueLocation } from './backend.js';
import type { JobHandlers } from './handlers.js';
import { JOB_NAMES, JOB_POLICIES, jobsOf, readPayload, type JobName, type JobPayload } from './jobs.js';
import type { WakeQueue, WokenRow } from './wake-queue.js';

export interface JobQueuesOptions {
  readonly location: QueueLocation;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Another lock time than the policies', for specs about lost workers. */
  readonly lockMs?: number;
  /** Another patience with the queue than the usual, for specs of what arrives. */
  readonly answerMs?: number;
}

export interface JobCounts {
  readonly waiting: number;
  readonly delayed: number;
  readonly active: number;
  /** Active for more than two lock times: its worker is gone, or it runs far too long. */
  readonly stuck: number;
}

/** A wake-up is best effort; nobody waits longer for a queue that does not answer. */
const ANSWER_TIMEOUT_MS = 2_000;
/** Rows in one queue job at most: what its worker drives side by side. */
const ROWS_AT_MOST = 200;
/** A job of the queue costs PostgreSQL several commits, whatever it carries: what a wake-up waits for others at most, when another one has just gone. */
const WAKE_WINDOW_MS = 100;
/** How many of the active jobs, oldest first, are looked at for being stuck. */
const STUCK_SAMPLE = 200;
/** Finished jobs leave nothing: a kept one would block its deduplication key. */
const LEAVE_NOTHING = { removeOnComplete: true, removeOnFail: true } as const;

/** One BullMQ queue for each job name, on PostgreSQL or Redis. */
export class JobQueues implements WakeQueue {
  private readonly workers: BullWorker[] = [];
  private lostWakeUps = 0;
  private closing: Promise<void> | undefined;
  private closed = false;
  private readonly wakes = new Gather<WokenRow>((rows) => this.sendWakes(rows), WAKE_WINDOW_MS);

  private constructor(
    private readonly options: JobQueuesOptions,
    private readonly backend: QueueBackend,
    private readonly queues: ReadonlyMap<JobName, BullQueue>,
    private readonly clock: Clock,
  ) {}

  static async open(options: JobQueuesOptions): Promise<JobQueues> {
    const backend = await openBackend(options.location, JOB_NAMES.length, options.logger);
    const queues = new Map<JobName, BullQueue>();
    for (const name of JOB_NAMES) {
      const queue = backend.queue(name);
      queue.on('error', (error) => options.logger.warn({ job: name, err: error }, 'the queue reports an error'));
      queues.set(name, queue);
    }
    await Promise.all([...queues.values()].map((queue) => queue.waitUntilReady()));
    return new JobQueues(options, backend, queues, options.clock ?? systemClock);
  }

  /** Resolves when the wake-up has gone, together with others of its moment; whoever need not know that should not wait. */
  wake(kind: string, id: string): Promise<void> {
    return this.wakes.add(`${kind}:${id}`, { kind, id });
  }

  private async sendWakes(rows: readonly WokenRow[]): Promise<void> {
    for (let i = 0; i < rows.length; i += ROWS_AT_MOST) {
      const part = rows.slice(i, i + ROWS_AT_MOST);
      try {
        await this.inTime(() => this.add('reconcile', { rows: part }));
      } catch (error) {
        this.lostWakeUps += part.length;
        this.options.logger.warn({ rows: part, err: error }, 'wake-ups were lost; the sweep will find their rows');
      }
    }
  }

  /** Adds a job now. One that is the same as a waiting job is dropped; the same as a running one, it runs after it. */
  async add<J extends JobName>(name: J, payload: JobPayload<J>): Promise<void> {
    const { sameAs } = JOB_POLICIES[name];
    const deduplication = sameAs && { id: sameAs(payload), keepLastIfActive: true };
    await this.queue(name).add(name, payload, { ...LEAVE_NOTHING, ...(deduplication && { deduplication }) });
  }

  /** Starts the workers of these roles. Fails when a job has no handler. */
  async start(handlers: JobHandlers, roles: readonly WorkerRole[]): Promise<void> {
    if (this.workers.length > 0) throw new Error('the workers run already');
    handlers.assertComplete(roles);
    const names = jobsOf(roles);
    for (const name of names) this.workers.push(this.worker(name, handlers));
    await Promise.all(this.workers.map((worker) => worker.waitUntilReady()));
  }

  async counts(): Promise<Record<JobName, JobCounts>> {
    const entries = await Promise.all(
      JOB_NAMES.map(async (name) => {
        const queue = this.queue(name);
        const numbers = await queue.getJobCounts('waiting', 'prioritized', 'delayed', 'active');
        const oldest = (numbers.active ?? 0) > 0 ? await queue.getActive(0, STUCK_SAMPLE - 1) : [];
        const limit = this.clock.now() - 2 * this.lockMs(name);
        const stuck = oldest.filter((job) => job.processedOn !== undefined && job.processedOn < limit).length;
        const waiting = (numbers.waiting ?? 0) + (numbers.prioritized ?? 0);
        return [name, { waiting, delayed: numbers.delayed ?? 0, active: numbers.active ?? 0, stuck }] as const;
      }),
    );
    return Object.fromEntries(entries) as Record<JobName, JobCounts>;
  }

  /** Wake-ups that the queue did not take, since the start of this process. */
  get lost(): number {
    return this.lostWakeUps;
  }

  /** Throws when the queue does not answer; for health checks. */
  async check(): Promise<void> {
    await this.inTime(() => this.queue('reconcile').getJobCounts('waiting'));
  }

  /** Throws away every job, running or not, and every schedule. For tests: it must cost nothing but time. */
  async emptyAll(): Promise<void> {
    for (const queue of this.queues.values()) await queue.obliterate({ force: true });
  }

  /** Waits for what runs, takes nothing new, and hands back all connections. May be called twice. */
  close(): Promise<void> {
    this.closing ??= (async () => {
      await this.wakes.flush();
      this.closed = true;
      await Promise.all(this.workers.map((worker) => worker.close()));
      await Promise.all([...this.queues.values()].map((queue) => queue.close()));
      await this.backend.close();
    })();
    return this.closing;
  }

  /** BullMQ waits for a server that is away, for ever if need be; these calls must not. */
  private async inTime(work: () => Promise<unknown>): Promise<void> {
    if (this.closed) throw new Error('the queue is closed');
    const { answerMs = ANSWER_TIMEOUT_MS } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${answerMs} ms`)), answerMs);
    });
    try {
      await Promise.race([work(), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private worker(name: JobName, handlers: JobHandlers): BullWorker {
    const { logger } = this.options;
    const lockMs = this.lockMs(name);
    const worker = this.backend.worker(
      name,
      async ({ id: jobId, data }) => {
        try {
          await handlers.get(name)(readPayload(name, data) as never);
        } catch (error) {
          logger.error({ job: name, jobId, err: error }, 'a job failed');
          throw error;
        }
      },
      // A stalled job is only a wake-up: however often its workers die, it may start again.
      {
        concurrency: JOB_POLICIES[name].concurrency,
        lockDuration: lockMs,
        stalledInterval: lockMs / 2,
        maxStalledCount: 1_000,
      },
    );
    worker.on('error', (error) => logger.warn({ job: name, err: error }, 'a worker reports an error'));
    worker.on('stalled', (jobId) => logger.warn({ job: name, jobId }, 'the worker of a job is gone; it starts again'));
    return worker;
  }

  private lockMs(name: JobName): number {
    return this.options.lockMs ?? JOB_POLICIES[name].lockMs;
  }

  private queue(name: JobName): BullQueue {
    const queue = this.queues.get(name);
    if (!queue) throw new Error(`there is no queue ${name}`);
    return queue;
  }
}

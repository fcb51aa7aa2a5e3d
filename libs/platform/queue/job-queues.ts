import { systemClock, type Clock } from '#kernel';
import type { WorkerRole } from '#platform/config';
import { withContext, type Logger, type Repairs } from '#platform/observability';
import { openBackend, type BullQueue, type BullWorker, type QueueBackend, type QueueLocation } from './backend.js';
import type { JobHandlers } from './handlers.js';
import { JOB_NAMES, JOB_POLICIES, jobsOf, readPayload, type JobName, type JobPayload } from './jobs.js';
import type { WakeQueue } from './wake-queue.js';

export interface JobQueuesOptions {
  readonly location: QueueLocation;
  readonly logger: Logger;
  readonly repairs: Repairs;
  readonly clock?: Clock;
  /** Other intervals than the policies', such as SWEEP_INTERVAL_MS. */
  readonly everyMs?: Partial<Record<JobName, number>>;
  /** Another lock time than the policies', for specs about lost workers. */
  readonly lockMs?: number;
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
/** Delayed wake-ups of one row within this time are one. */
const LATER_GRAIN_MS = 250;
/** How many of the active jobs, oldest first, are looked at for being stuck. */
const STUCK_SAMPLE = 200;
/** Finished jobs leave nothing: a kept one would block its deduplication key. */
const LEAVE_NOTHING = { removeOnComplete: true, removeOnFail: true } as const;

/** One BullMQ queue for each job name, on PostgreSQL or Redis. */
export class JobQueues implements WakeQueue {
  private readonly workers: BullWorker[] = [];
  private scheduled: JobName[] = [];
  private mending: NodeJS.Timeout | undefined;
  private lostWakeUps = 0;
  private closing: Promise<void> | undefined;

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

  async wake(kind: string, id: string, delayMs = 0): Promise<void> {
    try {
      await this.inTime(() => (delayMs > 0 ? this.wakeLater(kind, id, delayMs) : this.add('reconcile', { kind, id })));
    } catch (error) {
      this.lostWakeUps++;
      this.options.logger.warn({ kind, id, err: error }, 'a wake-up was lost; the sweep will find the row');
    }
  }

  /** Adds a job now. One that is the same as a waiting job is dropped; the same as a running one, it runs after it. */
  async add<J extends JobName>(name: J, payload: JobPayload<J>): Promise<void> {
    const { sameAs } = JOB_POLICIES[name];
    const deduplication = sameAs && { id: sameAs(payload), keepLastIfActive: true };
    await this.queue(name).add(name, payload, { ...LEAVE_NOTHING, ...(deduplication && { deduplication }) });
  }

  /** Starts the workers of these roles and their schedules. Fails when a job has no handler. */
  async start(handlers: JobHandlers, roles: readonly WorkerRole[]): Promise<void> {
    if (this.workers.length > 0) throw new Error('the workers run already');
    handlers.assertComplete(roles);
    const names = jobsOf(roles);
    for (const name of names) this.workers.push(this.worker(name, handlers));
    await Promise.all(this.workers.map((worker) => worker.waitUntilReady()));
    this.scheduled = names.filter((name) => this.everyMs(name) !== null);
    for (const name of this.scheduled) await this.schedule(name);
    const shortest = Math.min(...this.scheduled.map((name) => this.everyMs(name) ?? Infinity));
    if (!Number.isFinite(shortest)) return;
    // A queue may be emptied at any moment, and its schedules with it.
    this.mending = setInterval(() => {
      this.mendSchedules().catch((error: unknown) =>
        this.options.logger.warn({ err: error }, 'schedules could not be looked after'),
      );
    }, shortest * 2);
  }

  /** Puts back schedules that are gone or have not moved for two intervals; answers how many. */
  async mendSchedules(): Promise<number> {
    let mended = 0;
    for (const name of this.scheduled) {
      const everyMs = this.everyMs(name) ?? 0;
      const known = await this.queue(name).getJobScheduler(name);
      const longSilent = this.clock.now() - 2 * everyMs - 2 * this.lockMs(name);
      if (known?.next !== undefined && known.next > longSilent) continue;
      await this.schedule(name);
      this.options.repairs.count('schedule-lost');
      mended++;
    }
    return mended;
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
      clearInterval(this.mending);
      await Promise.all(this.workers.map((worker) => worker.close()));
      await Promise.all([...this.queues.values()].map((queue) => queue.close()));
      await this.backend.close();
    })();
    return this.closing;
  }

  /** BullMQ waits for a server that is away, for ever if need be; these calls must not. */
  private async inTime(work: () => Promise<unknown>): Promise<void> {
    if (this.closing) throw new Error('the queue is closed');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`)), ANSWER_TIMEOUT_MS);
    });
    try {
      await Promise.race([work(), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * A delayed wake-up is a job of its own that becomes a plain one when its time has come: under the key of the plain one
   * it would swallow every wake-up until then.
   */
  private async wakeLater(kind: string, id: string, delayMs: number): Promise<void> {
    const due = Math.ceil((this.clock.now() + delayMs) / LATER_GRAIN_MS);
    await this.queue('wake-later').add(
      'wake-later',
      { kind, id },
      { ...LEAVE_NOTHING, delay: delayMs, deduplication: { id: `${kind}:${id}@${due}` } },
    );
  }

  private worker(name: JobName, handlers: JobHandlers): BullWorker {
    const { logger } = this.options;
    const run = async (data: unknown): Promise<void> => {
      if (name === 'wake-later') {
        const { kind, id } = readPayload(name, data);
        return this.add('reconcile', { kind, id });
      }
      return handlers.get(name)(readPayload(name, data) as never);
    };
    const lockMs = this.lockMs(name);
    const worker = this.backend.worker(
      name,
      ({ id: jobId, data }) =>
        withContext({ ...(isRow(data) ? data : {}) }, async () => {
          try {
            await run(data);
          } catch (error) {
            logger.error({ job: name, jobId, err: error }, 'a job failed');
            throw error;
          }
        }),
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

  private async schedule(name: JobName): Promise<void> {
    const every = this.everyMs(name);
    if (every === null) return;
    await this.queue(name).upsertJobScheduler(name, { every }, { name, data: {}, opts: LEAVE_NOTHING });
  }

  private everyMs(name: JobName): number | null {
    return this.options.everyMs?.[name] ?? JOB_POLICIES[name].everyMs;
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

function isRow(data: unknown): data is { kind: string; id: string } {
  return typeof data === 'object' && data !== null && 'kind' in data && 'id' in data;
}

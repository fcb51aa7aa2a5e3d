import {
  createPostgresBackend,
  Queue,
  runMigrations,
  Worker,
  type Job,
  type PostgresConnectionOptions,
  type WorkerOptions,
} from 'bullmq';
import { Client, Pool } from 'pg';
import type { Logger } from '#platform/observability';

/** Where wake-ups are kept. The PostgreSQL login owns the schema `bullmq` and nothing else. */
export type QueueLocation =
  { readonly kind: 'postgres'; readonly url: string } | { readonly kind: 'redis'; readonly url: string };

const SCHEMA = 'bullmq';
const REDIS_PREFIX = 'berth';

/** What is used of BullMQ's queue; its own type differs by backend. */
export type BullQueue = Pick<Queue, 'add' | 'close' | 'getActive' | 'getJobCounts' | 'obliterate'> & {
  on(event: 'error', listener: (error: Error) => void): unknown;
  waitUntilReady(): Promise<unknown>;
};
export interface BullWorker {
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'stalled', listener: (jobId: string) => void): unknown;
  waitUntilReady(): Promise<unknown>;
  close(force?: boolean): Promise<void>;
}
export type Processor = (job: Pick<Job<unknown>, 'id' | 'name' | 'data'>) => Promise<void>;

/** Makes BullMQ's queues and workers on one of its two backends. */
export interface QueueBackend {
  queue(name: string): BullQueue;
  worker(name: string, processor: Processor, options: Omit<WorkerOptions, 'connection' | 'prefix'>): BullWorker;
  /** After all queues and workers are closed. */
  close(): Promise<void>;
}

/** `workers` is how many this process will start at most: on PostgreSQL each keeps one connection for LISTEN. */
export async function openBackend(location: QueueLocation, workers: number, logger: Logger): Promise<QueueBackend> {
  return location.kind === 'redis' ? redisBackend(location.url) : postgresBackend(location.url, workers, logger);
}

function redisBackend(url: string): QueueBackend {
  // BullMQ waits for a lost Redis instead of failing commands, and asks for this setting.
  const shared = { connection: { url, maxRetriesPerRequest: null }, prefix: REDIS_PREFIX };
  return {
    queue: (name) => new Queue(name, shared),
    worker: (name, processor, options) => new Worker(name, processor, { ...options, ...shared }),
    close: async () => undefined,
  };
}

/** Connections for commands, next to those for LISTEN. */
const COMMAND_CONNECTIONS = 4;
/** PostgreSQL undoes a transaction of BullMQ's whose process is frozen for this long: it does not hold the other workers up. */
const IDLE_IN_TRANSACTION_MS = 5_000;

async function postgresBackend(url: string, workers: number, logger: Logger): Promise<QueueBackend> {
  await prepareQueueSchema(url);
  const pool = new Pool({
    connectionString: url,
    options: `-c search_path=${SCHEMA}`,
    keepAlive: true,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    max: workers + COMMAND_CONNECTIONS,
    application_name: 'berth-queue',
  });
  // Without a listener a lost idle connection would end the process.
  pool.on('error', (error) => logger.warn(error, 'a connection of the queue was lost'));
  // Every queue and every worker listens for errors of the shared pool for as long as it lives.
  pool.setMaxListeners(1 + 2 * workers);
  // BullMQ describes pg's pool with its own type, from which pg's differs in the generics of `query` only.
  const connection = pool as unknown as PostgresConnectionOptions;
  return {
    queue: (name) => new Queue(name, { connection }, createPostgresBackend),
    worker: (name, processor, options) =>
      new Worker(name, processor, { ...options, connection }, createPostgresBackend),
    close: () => pool.end(),
  };
}

type MigrationClient = Parameters<typeof runMigrations>[0];

/** Brings the queue's own tables up to date; safe from many processes at once. */
export async function prepareQueueSchema(url: string): Promise<void> {
  const client = new Client({ connectionString: url, application_name: 'berth-queue-migrate' });
  await client.connect();
  try {
    const { rows } = await client.query<{ there: boolean }>('select to_regnamespace($1) is not null as there', [
      SCHEMA,
    ]);
    const there = rows[0]?.there ?? false;
    // Even "if not exists" asks for the right to create schemas, which this login does not have and does not need.
    const query = (text: string, values?: unknown[]): Promise<unknown> =>
      client.query(there && text.startsWith('CREATE SCHEMA IF NOT EXISTS') ? 'select 1' : text, values);
    // The type lets each caller choose the type of its rows, which no function but pg's own can promise.
    await runMigrations({ query } as unknown as MigrationClient, SCHEMA);
  } finally {
    await client.end();
  }
}

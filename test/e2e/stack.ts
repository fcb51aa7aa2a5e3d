import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { JobView } from '#contracts';
import { roleUrl } from '#platform/database';
import { removeEmbedded, startEmbedded } from '#platform/embedded';
import { testDatabase } from '#testing';
import { Caller } from './caller.js';
import { Child, killThoseNaming } from './children.js';

export interface StackOptions {
  readonly workers?: number;
  /** Absent: the queue lies in PostgreSQL. */
  readonly redisUrl?: string;
  /** A PostgreSQL server of its own in a home of its own, for a test that kills it. */
  readonly ownServer?: boolean;
  /** Flags of the sandbox cloud; absent: there is none. */
  readonly sandbox?: readonly string[];
  /** Other lease times than the built-in ones, milliseconds. */
  readonly leaseTimes?: Readonly<Record<string, number>>;
  /** How long queue, database and frozen processes are waited for before a safety net acts; absent: as in production. */
  readonly patienceMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Tenant {
  readonly organizationId: string;
  readonly caller: Caller;
}

/** A machine as the sandbox itself knows it. */
export interface CloudMachine {
  readonly id: string;
  readonly state: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly agentPid: number | null;
}

const START_MS = 60_000;
const SANDBOX_KEY = 'sandbox-key-of-a-test';
const ENDED = ['succeeded', 'failed', 'cancelled'];
/** Between two looks at a condition; waiting itself is always for the condition. */
const LOOK_MS = 25;

/** API, workers, agents and sandbox as real processes on one database; the chain as a user runs it. */
export class Stack {
  readonly workers: Child[] = [];
  readonly agents: Child[] = [];
  private readonly otherApis: Child[] = [];
  api!: Child;
  sandbox: Child | null = null;
  /** Of the platform's administrator. */
  platform!: Caller;
  private readonly pool: pg.Pool;
  private readonly env: Record<string, string>;
  private count = 0;

  private constructor(
    readonly dir: string,
    readonly url: string,
    /** Connects as the owner of all tables, who is bound by row-level security all the same. */
    readonly databaseUrl: string,
    private readonly options: StackOptions,
    private readonly secret: string,
    private readonly dropDatabase: () => Promise<void>,
  ) {
    // The one role that sees the rows of every tenant.
    this.pool = new pg.Pool({ connectionString: roleUrl(databaseUrl, secret, 'berth_worker'), max: 2 });
    // A killed server takes idle connections with it; the next query opens another.
    this.pool.on('error', () => undefined);
    this.env = {
      BERTH_HOME: join(dir, 'home'),
      ...(options.ownServer === true ? {} : { DATABASE_URL: databaseUrl }),
      BERTH_SECRET: secret,
      DATABASE_POOL_SIZE: '4',
      PORT: new URL(url).port,
      PUBLIC_URL: url,
      RATE_LIMIT_PER_MINUTE: '1000000',
      SWEEP_INTERVAL_MS: '250',
      LOG_LEVEL: 'info',
      ...(options.redisUrl === undefined ? {} : { REDIS_URL: options.redisUrl }),
      ...(options.leaseTimes === undefined ? {} : { BERTH_TEST_LEASE_TIMES: JSON.stringify(options.leaseTimes) }),
      ...(options.patienceMs === undefined ? {} : { BERTH_TEST_PATIENCE_MS: String(options.patienceMs) }),
      ...options.env,
    };
  }

  static async start(options: StackOptions = {}): Promise<Stack> {
    const dir = mkdtempSync(join(tmpdir(), 'berth-stack-'));
    // The database server may run under another account, which must be able to pass.
    chmodSync(dir, 0o755);
    const home = join(dir, 'home');
    mkdirSync(home);
    const url = `http://127.0.0.1:${await freePort()}`;
    const database =
      options.ownServer === true
        ? await ownServer(home)
        : await testDatabase().then(({ ownerUrl, secret, close }) => ({ ownerUrl, secret, drop: close }));
    const stack = new Stack(dir, url, database.ownerUrl, options, database.secret, database.drop);
    try {
      await stack.boot();
    } catch (error) {
      await stack.close();
      throw error;
    }
    return stack;
  }

  private async boot(): Promise<void> {
    if (this.options.sandbox !== undefined) {
      const port = await freePort();
      const flags = [
        '--port',
        String(port),
        '--key',
        SANDBOX_KEY,
        '--state-dir',
        join(this.dir, 'machines'),
        '--agents',
        'process',
      ];
      this.sandbox = Child.start('sandbox', 'sandbox', [...flags, ...this.options.sandbox], {});
      this.env['SANDBOX_URL'] = `http://127.0.0.1:${port}`;
      this.env['SANDBOX_KEY'] = SANDBOX_KEY;
      const { sandbox } = this;
      await this.until('the sandbox listens', () => sandbox.answer('listening') !== undefined, START_MS);
    }
    await this.startApi();
    this.platform = new Caller(this.url, String(this.api.answer('platformKey')));
    for (let n = 0; n < (this.options.workers ?? 1); n++) this.spawnWorker();
    for (const worker of this.workers) await this.working(worker);
  }

  async startApi(): Promise<Child> {
    const api = Child.start('api', 'api', [], this.env);
    this.api = api;
    await this.until('the api listens', () => api.answer('listening') !== undefined, START_MS);
    return api;
  }

  /** A second API beside the first, on a port of its own. */
  async anotherApi(): Promise<{ api: Child; url: string }> {
    const port = String(await freePort());
    const api = Child.start('api', 'second api', [], { ...this.env, PORT: port });
    this.otherApis.push(api);
    await this.until('the second api listens', () => api.answer('listening') !== undefined, START_MS);
    return { api, url: `http://127.0.0.1:${port}` };
  }

  /** One more worker; answers when it works. */
  async startWorker(): Promise<Child> {
    const worker = this.spawnWorker();
    await this.working(worker);
    return worker;
  }

  private spawnWorker(): Child {
    const worker = Child.start('worker', `worker ${++this.count}`, [], this.env);
    this.workers.push(worker);
    return worker;
  }

  private async working(worker: Child): Promise<void> {
    await this.until(`${worker.name} works`, () => worker.answer('working') === true, START_MS);
  }

  /** Registers a machine and starts its agent; answers when it is ready to be leased. */
  async addHost(name = 'host', slots = 1): Promise<{ hostId: string; agent: Child; stateDir: string }> {
    const { host, enrolToken } = await this.platform.get<{ host: { id: string }; enrolToken: string }>(
      'POST /v1/hosts',
      {
        body: { name, slots, pricePerSlotHour: '360000000' },
      },
    );
    const stateDir = join(this.dir, `agent-${name}`);
    const agent = this.startAgent(stateDir, enrolToken);
    await this.until(
      'the host is ready',
      async () => (await this.platform.get<{ state: string }>(`GET /v1/hosts/${host.id}`)).state === 'ready',
      START_MS,
    );
    return { hostId: host.id, agent, stateDir };
  }

  /** Without a token: the agent of a machine that has enrolled before. */
  startAgent(stateDir: string, token?: string): Child {
    const flags = ['--broker', this.url, '--state-dir', stateDir, ...(token === undefined ? [] : ['--token', token])];
    const agent = Child.start('agent', `agent ${this.agents.length + 1}`, flags, {});
    this.agents.push(agent);
    return agent;
  }

  /** A tenant with this much credit, in whole dollars. */
  async tenant(name: string, dollars: number): Promise<Tenant> {
    const created = await this.platform.get<{ organization: { id: string }; key: { secret: string } }>(
      'POST /v1/organizations',
      { body: { name, keyName: 'first' } },
    );
    const organizationId = created.organization.id;
    if (dollars > 0) {
      await this.platform.get('POST /v1/admin/credit', {
        body: { organizationId, amountNano: String(BigInt(dollars) * 1_000_000_000n), reference: 'start' },
      });
    }
    return { organizationId, caller: new Caller(this.url, created.key.secret) };
  }

  /** Asks the database behind the back of the broker. */
  async sql<Row extends object = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.pool.query<Row>(text, values)).rows;
  }

  /** Throws away what the queue holds in PostgreSQL, behind its back. */
  emptyQueue(): Promise<void> {
    return this.inQueue(async (client) => {
      for (const table of ['job', 'dedup', 'dedup_next', 'scheduler', 'event', 'meta']) {
        await client.query(`delete from bullmq.${table}`);
      }
    });
  }

  /** From now on the queue takes every wake-up and gives none out. */
  pauseQueue(): Promise<void> {
    return this.inQueue(async (client) => {
      await client.query("set search_path to bullmq; select pause('reconcile', true)");
    });
  }

  private async inQueue(work: (client: pg.Client) => Promise<void>): Promise<void> {
    const client = new pg.Client({ connectionString: roleUrl(this.databaseUrl, this.secret, 'berth_queue') });
    await client.connect();
    try {
      await work(client);
    } finally {
      await client.end();
    }
  }

  /** The hand of the one who runs the fake cloud. */
  async control<T = unknown>(line: `${string} /control/${string}`, body?: unknown): Promise<T> {
    const url = this.env['SANDBOX_URL'];
    if (url === undefined) throw new Error('this stack has no sandbox');
    return new Caller(url, SANDBOX_KEY).get<T>(line, body === undefined ? {} : { body });
  }

  async machines(): Promise<CloudMachine[]> {
    return (await this.control<{ machines: CloudMachine[] }>('GET /control/machines')).machines;
  }

  /** Waits for a condition; a call that fails meanwhile (a killed server) counts as "not yet". */
  async until<T>(what: string, look: () => T | Promise<T>, withinMs: number): Promise<NonNullable<T>> {
    const end = Date.now() + withinMs;
    let failure: unknown;
    for (;;) {
      try {
        const value = await look();
        if (value !== false && value !== null && value !== undefined) return value;
        failure = undefined;
      } catch (error) {
        failure = error;
      }
      if (Date.now() >= end)
        throw new Error(
          `Not within ${withinMs} ms: ${what}${failure === undefined ? '' : ` (${String(failure)})`}\n${this.tails()}`,
        );
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** The job once it has ended. */
  ended(caller: Caller, jobId: string, withinMs: number): Promise<JobView> {
    return this.until(
      `${jobId} ends`,
      async () => {
        const job = await caller.job(jobId);
        return ENDED.includes(job.state) ? job : null;
      },
      withinMs,
    );
  }

  /** Resolves when a job has some results and still some to come: the middle, in which things are broken. */
  async middle(caller: Caller, jobId: string, withinMs = START_MS): Promise<void> {
    await this.until(
      `${jobId} is in the middle`,
      async () => {
        const { state, progress } = await caller.job(jobId);
        if (ENDED.includes(state)) throw new Error(`${jobId} has ended before anything could be broken`);
        return state === 'running' && progress.shardsDone >= 1 && progress.shardsDone < progress.shardsTotal;
      },
      withinMs,
    );
  }

  /** Resolves when every lease has ended. */
  async quiet(withinMs: number): Promise<void> {
    await this.until(
      'every lease has ended',
      async () => (await this.sql("select 1 from leases where state <> 'ended'")).length === 0,
      withinMs,
    );
  }

  /** Lines at level warn or above of all brokers, as objects. */
  complaints(): { msg: string; name: string; level: string | number }[] {
    return [this.api, ...this.workers].flatMap((child) =>
      child.stderr
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as { msg: string; name: string; level: string | number })
        .filter(({ level }) => (typeof level === 'number' ? level >= 40 : ['warn', 'error', 'fatal'].includes(level))),
    );
  }

  tails(): string {
    return [this.api, ...this.otherApis, ...this.workers, ...this.agents, this.sandbox]
      .flatMap((child) => (child ? [child.tail()] : []))
      .join('\n');
  }

  /** Ends everything that was started and removes all of it. */
  async close(): Promise<void> {
    await Promise.all([...this.agents, ...this.workers].map((child) => child.stop()));
    await Promise.all([this.api, ...this.otherApis, this.sandbox].map((child) => child?.stop()));
    killThoseNaming(this.dir);
    await this.pool.end();
    await this.dropDatabase();
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

async function ownServer(home: string): Promise<{ ownerUrl: string; secret: string; drop: () => Promise<void> }> {
  const { ownerUrl } = await startEmbedded({ home });
  return { ownerUrl, secret: randomBytes(24).toString('base64url'), drop: () => removeEmbedded({ home }) };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('no free port');
  return address.port;
}

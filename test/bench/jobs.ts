import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { newId, systemClock, systemRandom, usd } from '#kernel';
import { createJobSchema, type Offer, type SyncRequest, type WorkReport } from '#contracts';
import { Bell, migrate, openStore, roleUrl, WORKER, type Actor } from '#platform/database';
import { removeEmbedded, startEmbedded } from '#platform/embedded';
import { silentLogger } from '#platform/observability';
import { JobHandlers, JobQueues } from '#platform/queue';
import { organizations, projects } from '#identity/tenancy';
import { SandboxCloud, sandboxPort } from '#adapters/sandbox-cloud';
import { Vendors } from '#compute/providers';
import { composeBroker, type Broker } from '#broker';
import { cpuSku, MemoryObjects, plainSecrets } from '#testing/world';

/**
 * `npm run bench:jobs`: what the whole life of a no-op command job costs, from submit to settled books, on a real PostgreSQL with
 * its usual durability. Vendor and agents are played in this process (no HTTP); everything else is production's code.
 */
const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, jobs: { type: 'string' } } });
const JOBS = Number(values.jobs ?? (values.quick ? 200 : 1_000));
const MACHINES = 16;
const SECRET = 'bench-secret-bench-secret-bench-secret';

/** Statements of every connection of this process but transaction control; the bench's own looks are left out. */
const counted = { statements: 0 };
const original = Client.prototype.query as (...args: unknown[]) => unknown;
const unseen = new WeakSet<object>();
Client.prototype.query = function (this: Client, ...args: unknown[]): unknown {
  const [first] = args;
  const text = typeof first === 'string' ? first : ((first as { text?: string } | undefined)?.text ?? '');
  if (!unseen.has(this) && !/^\s*(begin|commit|rollback|start transaction|savepoint|release)\b/i.test(text))
    counted.statements++;
  return original.apply(this, args);
} as never;

const home = mkdtempSync(join(tmpdir(), 'berth-bench-'));
try {
  await bench();
} finally {
  await removeEmbedded({ home }).catch(() => undefined);
  rmSync(home, { recursive: true, force: true });
}
process.exit(process.exitCode ?? 0);

async function bench(): Promise<void> {
  const { ownerUrl } = await startEmbedded({ home });
  await migrate(ownerUrl, SECRET);
  const eye = new Client({ connectionString: ownerUrl });
  unseen.add(eye);
  await eye.connect();
  const worker = new Client({ connectionString: roleUrl(ownerUrl, SECRET, 'berth_worker') });
  unseen.add(worker);
  await worker.connect();
  const opened = await openStore(ownerUrl, SECRET, { poolSize: 16, name: 'bench' });
  const queues = await JobQueues.open({
    location: { kind: 'postgres', url: roleUrl(ownerUrl, SECRET, 'berth_queue') },
    logger: silentLogger,
  });
  const bell = new Bell(roleUrl(ownerUrl, SECRET, 'berth_worker'), () => undefined);
  await bell.open();
  const world = await openWorldOn(opened.store, queues, bell);
  const handlers = new JobHandlers()
    .on('reconcile', async ({ rows }) => {
      await Promise.all(rows.map(({ kind, id }) => world.broker.loop.reconcile(kind, id)));
    })
    .on('sync-offers', () => Promise.resolve());
  await queues.start(handlers, ['reconcile', 'sweep', 'billing']);
  const stop = new AbortController();
  const sweeper = repeat(1_000, stop.signal, () => world.broker.loop.sweep());
  const agents = playAgents(world, bell, stop.signal);

  await lifecycles(world, worker, MACHINES * 2);
  const before = await commits(eye);
  const statements = counted.statements;
  const cpu = process.cpuUsage();
  const began = performance.now();
  const { latencies, looks } = await lifecycles(world, worker, JOBS);
  const seconds = (performance.now() - began) / 1_000;
  const used = process.cpuUsage(cpu);
  const statementsPer = (counted.statements - statements) / JOBS;
  const commitsPer = ((await commits(eye)) - before - looks) / JOBS;
  await settled(world, eye);

  const bare = await bareQueue(queues, JOBS);
  stop.abort();
  await Promise.allSettled([sweeper, agents]);
  await queues.close();
  await bell.close();
  await opened.close();
  await eye.end();
  await worker.end();

  latencies.sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round(latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0);
  const rate = JOBS / seconds;
  const lines: [string, string, string][] = [
    ['lifecycles a second', rate.toFixed(1), 'goal: at least 40'],
    ['commits per lifecycle', commitsPer.toFixed(1), "goal: at most 12; the queue's included"],
    [
      'statements per lifecycle',
      statementsPer.toFixed(1),
      "goal: at most 40; the queue's included, transaction control not",
    ],
    [
      'CPU ms per lifecycle',
      ((used.user + used.system) / 1_000 / JOBS).toFixed(1),
      'this process; PostgreSQL comes on top',
    ],
    ['submit to settled, p50 / p99 ms', `${at(0.5)} / ${at(0.99)}`, `${MACHINES} at a time`],
    ['bare queue jobs a second', bare.toFixed(0), 'add and process an empty job, same backend'],
  ];
  console.log(
    `\n${JOBS} no-op command jobs on ${MACHINES} warm machines, PostgreSQL with fsync, warmed up by ${MACHINES * 2} jobs\n`,
  );
  for (const [what, value, note] of lines) console.log(`  ${what.padEnd(34)} ${value.padStart(12)}   ${note}`);
  console.log(
    `\n${JSON.stringify({
      bench: 'jobs',
      lifecyclesPerSecond: Number(rate.toFixed(1)),
      commitsPerLifecycle: Number(commitsPer.toFixed(2)),
      statementsPerLifecycle: Number(statementsPer.toFixed(2)),
      bareQueuePerSecond: Math.round(bare),
    })}`,
  );
}

interface World {
  readonly broker: Broker;
  readonly cloud: SandboxCloud;
  readonly organizationId: string;
  readonly projectId: string;
  readonly actor: Actor;
}

async function openWorldOn(
  store: Awaited<ReturnType<typeof openStore>>['store'],
  queues: JobQueues,
  bell: Bell,
): Promise<World> {
  const clock = systemClock;
  const installId = newId('install');
  const vendors = new Vendors();
  const broker = composeBroker({
    store,
    clock,
    random: systemRandom,
    objects: new MemoryObjects(),
    secrets: plainSecrets(systemRandom),
    wake: queues,
    ring: (id) => bell.ring(id),
    report: { repaired: () => undefined, failed: (_kind, id, error) => console.error(id, error) },
    vendors,
    installId,
    brokerUrl: 'http://127.0.0.1:0',
  });
  const cloud = new SandboxCloud({
    clock,
    seed: 1,
    skus: [{ ...cpuSku, stock: MACHINES, bootMs: [0, 50] }],
    settings: { stopMs: 0 },
  });
  const organizationId = newId('organization');
  const projectId = newId('project');
  await store.transaction(WORKER, async (tx) => {
    const createdAt = clock.now();
    await tx.insert(organizations, { id: organizationId, name: 'bench', kind: 'tenant', state: 'active', createdAt });
    await tx.insert(projects, { id: projectId, organizationId, name: 'default', createdAt });
    await broker.ledger.openOwn(tx);
    const provider = await broker.providers.ensure(tx, {
      organizationId,
      name: 'sandbox',
      kind: 'hyperscaler',
      adapter: 'sandbox',
      marginBps: 1_000,
    });
    const port = sandboxPort(cloud, { providerId: provider.id, clock });
    vendors.bind(provider.id, { port, acceptance: 'enrolled', residentAgent: false });
    const offers: Offer[] = [];
    for await (const offer of port.listOffers()) offers.push(offer);
    await broker.catalog.publish(tx, offers);
    await broker.ledger.credit(tx, organizationId, usd('100000'), 'grant', 'bench');
  });
  return { broker, cloud, organizationId, projectId, actor: { as: 'tenant', organizationId, projectIds: [projectId] } };
}

/** Runs `count` jobs, as many at a time as there are machines; a look every few milliseconds tells which have ended. */
async function lifecycles(world: World, eye: Client, count: number): Promise<{ latencies: number[]; looks: number }> {
  const open = new Map<string, number>();
  const latencies: number[] = [];
  let submitted = 0;
  let looks = 0;
  while (latencies.length < count) {
    const wanted = Math.min(MACHINES - open.size, count - submitted);
    submitted += wanted;
    await Promise.all(
      Array.from({ length: wanted }, async () => {
        const began = performance.now();
        const job = await world.broker.jobs.submit({
          organizationId: world.organizationId,
          projectId: world.projectId,
          actor: world.actor,
          request: createJobSchema.parse({
            spec: { kind: 'command', command: ['true'] },
            keepWarmS: 300,
            workload: { work: { kind: 'wall-hours', hours: 0.001 } },
          }),
        });
        open.set(job.id, began);
      }),
    );
    const { rows } = await eye.query<{ id: string; state: string }>(
      "select id, state from jobs where id = any($1) and state in ('succeeded', 'failed', 'cancelled')",
      [[...open.keys()]],
    );
    looks++;
    for (const { id, state } of rows) {
      if (state !== 'succeeded') throw new Error(`job ${id} ended as ${state}`);
      latencies.push(performance.now() - (open.get(id) ?? 0));
      open.delete(id);
    }
    if (rows.length === 0) await pause(3);
  }
  return { latencies, looks };
}

/** The agents of all running machines, each in its own long poll. */
async function playAgents({ broker, cloud }: World, bell: Bell, signal: AbortSignal): Promise<void> {
  const known = new Set<string>();
  await repeat(20, signal, async () => {
    for (const machine of cloud.machines()) {
      if (machine.state !== 'running' || known.has(machine.id)) continue;
      known.add(machine.id);
      void playAgent(broker, machine.request.bootstrap?.enrolToken ?? '', bell, signal).catch((error: unknown) => {
        if (!signal.aborted) console.error(error);
      });
    }
  });
}

async function playAgent(broker: Broker, token: string, bell: Bell, signal: AbortSignal): Promise<void> {
  const facts = {
    hostname: 'bench',
    os: 'linux',
    arch: 'x64',
    vcpus: 4,
    cpuModel: 'bench',
    ramGiB: 16,
    diskFreeGiB: 10,
    gpus: [],
    gpuLink: 'none',
    agentVersion: '0',
    engines: [],
  };
  const { credential } = await broker.agents.enrol(token, facts, (tx, row) => broker.onEnrolled(tx, row));
  let reports: WorkReport[] = [];
  for (let seq = 0; !signal.aborted; seq++) {
    const agent = await broker.agents.authenticate(credential);
    if (!agent) return;
    const request: SyncRequest = {
      seq,
      reports,
      logs: [],
      capacity: 1,
      waitMs: 20_000,
      knownWork: [],
      draining: false,
    };
    const answer = await broker.agents.sync(agent, request, broker.work, {
      memory: bell,
      wait: async (id, ms) => {
        await bell.wait(id, Math.min(ms, 5_000), signal);
        return 'look';
      },
    });
    reports = answer.work.map((w) => ({
      workId: w.workId,
      fence: w.fence,
      state: 'done',
      resultSha256: null,
      counts: { ok: 1, failed: 0, inputTokens: 0, outputTokens: 0 },
      exitCode: 0,
      busyMs: 0,
    }));
  }
}

async function repeat(everyMs: number, signal: AbortSignal, work: () => Promise<unknown>): Promise<void> {
  while (!signal.aborted) {
    await work().catch((error: unknown) => {
      if (!signal.aborted) console.error(error);
    });
    await pause(everyMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Commits of the whole database so far; statistics come with a delay, so they are asked for until they rest. */
async function commits(eye: Client): Promise<number> {
  let last = -1;
  for (;;) {
    await pause(600);
    await eye.query('select pg_stat_clear_snapshot()');
    const { rows } = await eye.query<{ n: string }>(
      'select xact_commit::text as n from pg_stat_database where datname = current_database()',
    );
    const now = Number(rows[0]?.n ?? 0);
    // The two looks of this loop are commits of their own.
    if (now - last <= 30) return now;
    last = now;
  }
}

/** What must be true after so many jobs: books that balance, holds only for what is still warm, each job once. */
async function settled({ broker }: World, eye: Client): Promise<void> {
  await broker.store.transaction(WORKER, async () => undefined);
  const { rows } = await eye.query<{ ok: boolean }>(
    'select coalesce(sum(amount_nano), 0) = 0 as ok from ledger_entries',
  );
  if (rows[0]?.ok !== true) throw new Error('the ledger does not sum to zero');
}

/** The same queue with nothing to do: what is left when the broker's own work is taken away. */
async function bareQueue(queues: JobQueues, count: number): Promise<number> {
  const began = performance.now();
  const batch = 50;
  for (let n = 0; n < count; n += batch)
    await Promise.all(
      Array.from({ length: Math.min(batch, count - n) }, (_, i) =>
        queues.add('reconcile', { rows: [{ kind: 'job', id: `job_bare_${n + i}` }] }),
      ),
    );
  for (;;) {
    const { reconcile } = await queues.counts();
    if (reconcile.waiting + reconcile.active === 0) break;
    await pause(5);
  }
  return count / ((performance.now() - began) / 1_000);
}

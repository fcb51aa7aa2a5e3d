import { newId, SeededRandom, usd } from '#kernel';
import {
  createJobSchema,
  type CreateJobInput,
  type Offer,
  type ProviderPort,
  type SyncRequest,
  type WorkItem,
  type WorkReport,
} from '#contracts';
import { MemoryStore, WORKER, type Actor, type Store, type Tx } from '#platform/database';
import { organizations, projects } from '#identity/tenancy';
import { SandboxCloud, sandboxPort, type Sku } from '#adapters/sandbox-cloud';
import { Vendors } from '#compute/providers';
import { defaultLeaseTimes, leaseAttempts, sweepOrphans, type LeaseTimes } from '#compute/leases';
import { composeBroker, type Broker } from '#broker';
import { cpuSku, MemoryObjects, plainSecrets } from '#testing/world';
import type { FaultList, ProcessFault } from './faults.js';
import { Kernel, Process } from './kernel.js';

const WORKERS = 2;
export const HORIZON_MS = 2_400_000;

const skus: readonly Sku[] = [
  cpuSku,
  { ...cpuSku, name: 'cpu-4x-far', region: 'us-test-1', country: 'US', priceUsdPerHour: '0.55' },
];

/** Shorter than in production, so that a history of forty minutes holds whole lives. */
export const simTimes: LeaseTimes = {
  ...defaultLeaseTimes,
  callDeadlineMs: 20_000,
  bootTimeoutMs: 300_000,
  agentSilenceMs: 60_000,
};

/** Ways in which a mutant makes the world wrong where prototypes cannot reach. */
export interface Wrongness {
  readonly sweeper?: false;
  readonly orphans?: false;
  readonly wakes?: false;
  readonly leaseTimes?: Partial<LeaseTimes>;
  readonly port?: (port: ProviderPort) => ProviderPort;
}

interface Armed {
  readonly kind: ProcessFault['kind'];
  readonly arg: number;
}

/** One simulated history: a tenant, a vendor, two workers, an API, and the agents of all machines. */
export class History {
  readonly kernel: Kernel;
  readonly store: MemoryStore;
  readonly cloud: SandboxCloud;
  readonly repairs: { net: string; id: string }[] = [];
  readonly failures: string[] = [];
  readonly alarms: string[] = [];
  readonly struck = new Set<string>();
  organizationId = '';
  projectId = '';
  private providerId = '';
  private readonly installId: string;
  private readonly objects = new MemoryObjects();
  private readonly armed = new Map<string, Armed[]>();
  private queueGeneration = 0;
  private lostWakes = 0;
  private doubledWakes = 0;
  private readonly workers: { process: Process; broker: Broker | null; n: number }[] = [];
  private readonly fleet: Fleet;

  constructor(
    readonly seed: number,
    readonly faults: FaultList,
    private readonly wrong: Wrongness = {},
  ) {
    this.kernel = new Kernel(seed);
    const { clock } = this.kernel;
    this.store = new MemoryStore(clock);
    this.cloud = new SandboxCloud({
      clock,
      seed,
      skus,
      settings: { windowMs: 3_000, pageSize: 2, billing: { minimumS: 1, incrementS: 1 } },
      faults: faults.vendor,
    });
    this.installId = newId('install', clock.now(), this.kernel.random('install'));
    this.fleet = new Fleet(this);
  }

  async run(check: (history: History) => void): Promise<void> {
    await this.prepare();
    const api = new Process(this.kernel, 'api');
    const apiBroker = this.compose(api, 'api');
    for (let n = 0; n < WORKERS; n++) this.startWorker(n);
    const tenant = new Tenant(this, apiBroker);
    tenant.plan();
    this.fleet.start(api, apiBroker);
    for (const fault of this.faults.processes)
      this.kernel.at(this.kernel.startMs + fault.atMs, `fault ${fault.kind}`, () => this.strike(fault));
    await this.kernel.run(HORIZON_MS, () => check(this));
  }

  /** The world before the first event: no points, nothing can fail. */
  private async prepare(): Promise<void> {
    const { clock } = this.kernel;
    const random = this.kernel.random('setup');
    this.organizationId = newId('organization', clock.now(), random);
    this.projectId = newId('project', clock.now(), random);
    const broker = this.compose(null, 'setup');
    await this.store.transaction(WORKER, async (tx) => {
      const createdAt = clock.now();
      await tx.insert(organizations, {
        id: this.organizationId,
        name: 'tenant',
        kind: 'tenant',
        state: 'active',
        createdAt,
      });
      await tx.insert(projects, {
        id: this.projectId,
        organizationId: this.organizationId,
        name: 'default',
        createdAt,
      });
      await broker.ledger.openOwn(tx);
      const provider = await broker.providers.ensure(tx, {
        organizationId: this.organizationId,
        name: 'sandbox',
        kind: 'hyperscaler',
        adapter: 'sandbox',
        marginBps: 1_000,
      });
      this.providerId = provider.id;
      await broker.ledger.credit(tx, this.organizationId, usd('25'), 'grant', 'start');
    });
    const list: Offer[] = [];
    for await (const offer of sandboxPort(this.cloud, { providerId: this.providerId, clock }).listOffers())
      list.push(offer);
    // Offers are synced every few minutes in production; here one observation holds for the whole history.
    await this.store.transaction(WORKER, (tx) =>
      broker.catalog.publish(
        tx,
        list.map((o) => ({ ...o, observedAtMs: clock.now() + HORIZON_MS / 2 })),
      ),
    );
  }

  compose(process: Process | null, name: string): Broker {
    const { clock } = this.kernel;
    const vendors = new Vendors();
    const random = new SeededRandom(`${this.seed}/${name}/${this.kernel.events}`);
    const broker = composeBroker({
      store: process === null ? this.store : new SimStore(this, process),
      clock,
      random,
      objects: this.objects,
      secrets: plainSecrets(random),
      wake: { wake: (kind, id) => Promise.resolve(this.wake(kind, id)) },
      ring: () => undefined,
      report: {
        repaired: (net, _kind, id) => void this.repairs.push({ net, id }),
        failed: (_kind, id, error) =>
          void this.failures.push(`${id}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
      },
      vendors,
      installId: this.installId,
      brokerUrl: 'http://broker.sim',
      leaseTimes: { ...simTimes, ...this.wrong.leaseTimes },
      placementTimes: { rentableTtlMs: 0 },
    });
    if (process !== null) {
      const plain = sandboxPort(this.cloud, { providerId: this.providerId, clock });
      const port = new SimVendor(this, process, this.wrong.port?.(plain) ?? plain);
      vendors.bind(this.providerId, { port, acceptance: 'enrolled', residentAgent: false });
    }
    return broker;
  }

  private startWorker(n: number): void {
    const process = new Process(this.kernel, `worker${n}`);
    const broker = this.compose(process, process.name);
    this.workers[n] = { process, broker, n };
    if (this.wrong.sweeper !== false) process.every(2_000, 'sweep', () => broker.loop.sweep());
    if (this.wrong.orphans !== false) {
      process.every(20_000, 'orphans', () =>
        sweepOrphans(
          {
            store: broker.store,
            vendors: broker.vendors,
            clock: this.kernel.clock,
            installId: this.installId,
            times: broker.leaseTimes,
            report: {
              repaired: (net, _kind, id) => void this.repairs.push({ net, id }),
              alarm: (message) => void this.alarms.push(message),
            },
          },
          this.providerId,
        ),
      );
    }
  }

  crashWorker(process: Process): void {
    const worker = this.workers.find((w) => w.process === process);
    if (!worker?.broker) return;
    process.crash();
    worker.broker = null;
    this.kernel.after(this.kernel.random('restart').int(500, 20_000), `restart ${process.name}`, () =>
      this.startWorker(worker.n),
    );
  }

  private wake(kind: string, id: string): void {
    if (this.wrong.wakes === false) return;
    if (this.lostWakes > 0) {
      this.lostWakes--;
      return;
    }
    let copies = 1;
    if (this.doubledWakes > 0) {
      this.doubledWakes--;
      copies = 2;
    }
    const generation = this.queueGeneration;
    const random = this.kernel.random('queue');
    for (let n = 0; n < copies; n++) {
      this.kernel.after(random.int(2, 60), `queue ${kind} ${id.slice(-4)}`, () => {
        if (generation !== this.queueGeneration) return;
        const up = this.workers.filter((w) => w.broker !== null);
        const worker = up[random.int(0, Math.max(0, up.length - 1))];
        // Nobody there: the wake-up is lost, and the sweeper finds the row.
        void worker?.broker?.loop.reconcile(kind, id).catch((error: unknown) => this.failures.push(String(error)));
      });
    }
  }

  private strike(fault: ProcessFault): void {
    this.struck.add(fault.kind);
    const worker = this.workers[fault.target % WORKERS];
    switch (fault.kind) {
      case 'crash-worker':
        if (worker) this.crashWorker(worker.process);
        break;
      case 'queue-emptied':
        this.queueGeneration++;
        break;
      case 'wake-lost':
        this.lostWakes += 3;
        break;
      case 'wake-doubled':
        this.doubledWakes += 3;
        break;
      case 'agent-frozen':
        this.fleet.freeze(fault.target, fault.arg);
        break;
      case 'agent-restarted':
        this.fleet.restart(fault.target);
        break;
      case 'report-doubled':
        this.fleet.double(fault.target);
        break;
      default:
        if (worker)
          this.armed.set(worker.process.name, [
            ...(this.armed.get(worker.process.name) ?? []),
            { kind: fault.kind, arg: fault.arg },
          ]);
    }
  }

  /** Takes an armed fault of this kind off the worker's list, if there is one. */
  takeArmed(process: Process, kind: ProcessFault['kind']): Armed | null {
    const list = this.armed.get(process.name) ?? [];
    const at = list.findIndex((a) => a.kind === kind);
    if (at === -1) return null;
    this.armed.set(process.name, list.toSpliced(at, 1));
    return list[at] ?? null;
  }
}

/** The store as one process sees it: time passes around each transaction, and a process may die between commit and reply. */
class SimStore implements Store {
  constructor(
    private readonly history: History,
    private readonly process: Process,
  ) {}

  async transaction<T>(actor: Actor, work: (tx: Tx) => Promise<T>): Promise<T> {
    const random = this.history.kernel.random(`${this.process.name}/tx`);
    await this.process.point('tx', random.int(1, 5));
    const result = await this.history.store.transaction(actor, work);
    // The wait begins before the crash: what waits then is never resumed.
    const reply = this.process.point('committed', random.int(1, 3));
    if (this.history.takeArmed(this.process, 'crash-after-commit')) this.history.crashWorker(this.process);
    await reply;
    return result;
  }
}

/** The vendor as one process sees it: calls take time, and the process may stall or die before sending or after the effect. */
class SimVendor implements ProviderPort {
  constructor(
    private readonly history: History,
    private readonly process: Process,
    private readonly port: ProviderPort,
  ) {}

  describe(): ReturnType<ProviderPort['describe']> {
    return this.port.describe();
  }

  listOffers(): AsyncIterable<Offer> {
    return this.port.listOffers();
  }

  private async call<T>(label: string, effect: () => Promise<T>): Promise<T> {
    const { history, process } = this;
    const random = history.kernel.random(`${process.name}/vendor`);
    const create = label === 'create';
    const stalled = create ? history.takeArmed(process, 'stall-before-send') : null;
    if (stalled) await process.point('stalled', stalled.arg);
    const sent = process.point(`send ${label}`, random.int(20, 300));
    if (create && history.takeArmed(process, 'crash-before-send')) history.crashWorker(process);
    await sent;
    // The effect and its error are decided now; both reach the caller later.
    const outcome = await effect().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    const late = create ? history.takeArmed(process, 'stall-after-answer') : null;
    const answered = process.point(`answer ${label}`, (late?.arg ?? 0) + random.int(10, 100));
    if (create && history.takeArmed(process, 'crash-after-send')) history.crashWorker(process);
    await answered;
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  }

  async create(request: Parameters<ProviderPort['create']>[0]): ReturnType<ProviderPort['create']> {
    const outcome = await this.call('create', async () => {
      const before = this.history.cloud.machines().length;
      const answer = await this.port.create(request);
      if (this.history.cloud.machines().length > before) this.noteSent(request.attemptId);
      return answer;
    });
    // An answer that never comes is known as such when the deadline is over.
    if (outcome.kind === 'unknown') await this.process.point('deadline', request.deadlineMs);
    return outcome;
  }

  /** A create that takes effect although somebody has taken the attempt over: the one thing that makes two machines. */
  private noteSent(attemptId: string): void {
    const { history } = this;
    const attempt = history.store.rows(leaseAttempts).find((a) => a.id === attemptId);
    if (attempt?.state !== 'calling')
      history.failures.push(`a create was sent for attempt ${attemptId}, which is ${attempt?.state ?? 'unknown'}`);
  }

  get(vendorId: string): ReturnType<ProviderPort['get']> {
    return this.call('get', () => this.port.get(vendorId));
  }

  async *list(
    installId: string,
  ): ReturnType<ProviderPort['list']> extends AsyncIterable<infer M> ? AsyncGenerator<M> : never {
    const found = await this.call('list', async () => {
      const machines = [];
      for await (const machine of this.port.list(installId)) machines.push(machine);
      return machines;
    });
    yield* found;
  }

  terminate(vendorId: string): Promise<void> {
    return this.call('terminate', () => this.port.terminate(vendorId));
  }

  probe(): Promise<void> {
    return this.port.probe();
  }
}

/** What the tenant does: a few jobs in the first minutes, some of them cancelled, some with too small a cap. */
class Tenant {
  constructor(
    private readonly history: History,
    private readonly broker: Broker,
  ) {}

  plan(): void {
    const { kernel } = this.history;
    const random = kernel.random('tenant');
    for (let n = random.int(2, 4); n > 0; n--) {
      const atMs = random.int(500, 120_000);
      const lines = random.int(5, 60);
      const command = random.float() < 0.3;
      const keepWarmS = random.float() < 0.4 ? random.int(30, 200) : 0;
      const tiny = random.float() < 0.15;
      const cancelMs = random.float() < 0.2 ? random.int(1_000, 90_000) : null;
      kernel.at(
        kernel.startMs + atMs,
        `tenant submits ${n}`,
        () =>
          void this.submit(n, { lines, command, keepWarmS, tiny, cancelMs }).catch((error: unknown) =>
            this.history.failures.push(`submit: ${String(error)}`),
          ),
      );
    }
  }

  private async submit(
    n: number,
    of: { lines: number; command: boolean; keepWarmS: number; tiny: boolean; cancelMs: number | null },
  ): Promise<void> {
    const { history, broker } = this;
    const { organizationId, projectId } = history;
    const input: CreateJobInput = of.command
      ? { spec: { kind: 'command', command: ['true'] } }
      : {
          spec: {
            kind: 'batch-inference',
            model: 'universal-sentence-encoder',
            inputArtifactId: (await this.upload(of.lines)) as `art_${string}`,
            linesPerShard: 7,
          },
        };
    const request = createJobSchema.parse({
      ...input,
      name: `job ${n}`,
      keepWarmS: of.keepWarmS,
      timeoutS: 1_200,
      ...(of.tiny ? { maxCost: '9000000' } : { maxCost: '300000000' }),
    });
    const job = await broker.jobs.submit({ organizationId, projectId, actor: WORKER, request });
    if (of.cancelMs !== null)
      history.kernel.after(
        of.cancelMs,
        `tenant cancels ${n}`,
        () =>
          void broker.jobs
            .cancel(WORKER, job.id)
            .catch((error: unknown) => history.failures.push(`cancel: ${String(error)}`)),
      );
  }

  private async upload(lines: number): Promise<string> {
    const { organizationId, projectId } = this.history;
    const text = Array.from({ length: lines }, (_, i) =>
      JSON.stringify({
        custom_id: `r${i}`,
        method: 'POST',
        url: '/v1/embeddings',
        body: { model: 'universal-sentence-encoder', input: `text ${i}` },
      }),
    ).join('\n');
    const row = await this.broker.artifacts.put(
      WORKER,
      { organizationId, projectId, name: 'in', mediaType: 'application/x-ndjson' },
      Buffer.from(text),
    );
    return row.id;
  }
}

interface Mate {
  credential: string | null;
  seq: number;
  holds: Map<string, WorkItem>;
  last: SyncRequest | null;
  /** Work that it reported as failed; a late report of it as done must count for nothing. */
  gaveUp: WorkItem | null;
  frozenUntilMs: number;
  busy: boolean;
  refused: boolean;
}

/** The agents of all running machines: each sync finishes what the last one handed out. */
class Fleet {
  private readonly mates = new Map<string, Mate>();
  private readonly doubled = new Set<string>();

  constructor(private readonly history: History) {}

  start(api: Process, broker: Broker): void {
    api.every(900, 'agents', () => {
      for (const machine of this.history.cloud.machines()) {
        if (machine.state !== 'running' || machine.agentDead) continue;
        let mate = this.mates.get(machine.id);
        if (!mate)
          this.mates.set(
            machine.id,
            (mate = {
              credential: null,
              seq: 0,
              holds: new Map(),
              last: null,
              gaveUp: null,
              frozenUntilMs: 0,
              busy: false,
              refused: false,
            }),
          );
        if (mate.busy || mate.refused || mate.frozenUntilMs > this.history.kernel.clock.now()) continue;
        const own = mate;
        own.busy = true;
        void this.turn(broker, machine.id, machine.request.bootstrap?.enrolToken ?? '', own)
          .catch((error: unknown) => {
            if (!(error instanceof Error && error.name === 'DomainError'))
              this.history.failures.push(`agent: ${String(error)}`);
          })
          .finally(() => (own.busy = false));
      }
      return Promise.resolve();
    });
  }

  private nth(target: number): Mate | undefined {
    const all = [...this.mates.values()];
    return all[target % Math.max(1, all.length)];
  }

  freeze(target: number, ms: number): void {
    const mate = this.nth(target);
    if (mate) mate.frozenUntilMs = this.history.kernel.clock.now() + ms;
  }

  /** Its unfinished work is gone; the broker tells it again. */
  restart(target: number): void {
    this.nth(target)?.holds.clear();
  }

  double(target: number): void {
    const id = [...this.mates.keys()][target % Math.max(1, this.mates.size)];
    if (id !== undefined) this.doubled.add(id);
  }

  private async turn(broker: Broker, id: string, token: string, mate: Mate): Promise<void> {
    if (mate.credential === null) {
      const answer = await broker.agents
        .enrol(
          token,
          {
            hostname: id,
            os: 'linux',
            arch: 'x64',
            vcpus: 4,
            cpuModel: 'sim',
            ramGiB: 16,
            diskFreeGiB: 10,
            gpus: [],
            gpuLink: 'none',
            agentVersion: '0',
            engines: [],
          },
          (tx, row) => broker.onEnrolled(tx, row),
        )
        .catch(() => null);
      if (answer === null) mate.refused = true;
      else mate.credential = answer.credential;
      return;
    }
    const agent = await broker.agents.authenticate(mate.credential);
    if (!agent) {
      mate.refused = true;
      return;
    }
    const random = this.history.kernel.random('agents/work');
    const late = mate.gaveUp;
    mate.gaveUp = null;
    const reports: WorkReport[] = [...mate.holds.values()].map((w) => {
      if (random.float() < 0.05) {
        mate.gaveUp = w;
        return {
          workId: w.workId,
          fence: w.fence,
          state: 'failed',
          code: 'engine_error',
          message: 'simulated',
          exitCode: null,
        };
      }
      return done(w);
    });
    const stale: WorkReport[] = this.doubled.delete(id) ? [...(mate.last?.reports ?? [])] : [];
    if (late && random.float() < 0.7) stale.push(done(late));
    const request: SyncRequest = {
      seq: mate.seq++,
      reports: [...stale, ...reports],
      logs: [],
      capacity: 2,
      waitMs: 0,
      knownWork: [...mate.holds.values()].map(({ workId, fence }) => ({ workId, fence })),
      draining: false,
    };
    mate.last = request;
    const answer = await broker.agents.sync(agent, request, broker.work, { wait: () => Promise.resolve() });
    mate.holds = new Map(answer.work.map((w) => [w.workId, w]));
  }
}

/** The work done, as its agent reports it; the result is named after the fence that it was done under. */
function done(w: WorkItem): WorkReport {
  return {
    workId: w.workId,
    fence: w.fence,
    state: 'done',
    resultSha256: `${w.workId}-${w.fence}`,
    counts: {
      ok: w.spec.kind === 'batch-inference' ? w.spec.lineTo - w.spec.lineFrom : 1,
      failed: 0,
      inputTokens: 3,
      outputTokens: 0,
    },
    exitCode: w.spec.kind === 'command' ? 0 : null,
    busyMs: 1,
  };
}

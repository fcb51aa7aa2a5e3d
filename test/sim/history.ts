import { newId, SeededRandom, usd, type Clock } from '#kernel';
import { VendorError, type Offer, type ProviderPort } from '#contracts';
import { MemoryStore, WORKER } from '#platform/database';
import { organizations, projects } from '#identity/tenancy';
import { failureMemory } from '#market/reliability';
import { SandboxCloud, sandboxPort, type Sku } from '#adapters/sandbox-cloud';
import { Vendors } from '#compute/providers';
import { defaultLeaseTimes, leaseAttempts, leases, type LeaseTimes } from '#compute/leases';
import { jobs } from '#work/jobs';
import { composeBroker, type Broker } from '#broker';
import { cpuSku, MemoryObjects, plainSecrets } from '#testing/world';
import { Agent } from './actors/agent.js';
import { Api } from './actors/api.js';
import { Tenant } from './actors/tenant.js';
import { Worker } from './actors/worker.js';
import { Causes } from './causes.js';
import { CommitChecks } from './checks/commit.js';
import { checkMachines } from './checks/machines.js';
import { explainsRepair } from './checks/repairs.js';
import { FaultBook, faultName, vendorRules, WINDOW_MS, type Fault } from './faults.js';
import { Injected } from './injected.js';
import { Kernel } from './kernel.js';
import { SimQueue } from './ports/queue.js';
import { SimStore, type Change } from './ports/store.js';
import { SimVendor } from './ports/vendor.js';
import type { Process } from './process.js';
import { Reached } from './reached.js';
import { Restored } from './restored.js';
import type { Scenario } from './scenario.js';

/** No history lasts longer: every job has timed out long before. */
const HORIZON_MS = 5_400_000;
/** After the last disturbance everything is at rest within: deadline, window, boot timeout, silence, grace and a few sweeps. */
export const SETTLES_WITHIN_MS = 600_000;
/** At rest for so long, over: every safety net has had a turn. */
const REST_MS = 90_000;
const LOOK_EVERY_MS = 5_000;

const skus: readonly Sku[] = [
  cpuSku,
  { ...cpuSku, name: 'cpu-4x-far', region: 'us-test-1', country: 'US', priceUsdPerHour: '0.55' },
];

/** Shorter than in production, so that a history holds whole lives. */
const simTimes: LeaseTimes = {
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

/** A history in which something that must hold does not. */
export class Broken extends Error {}

/** One simulated history: a tenant, a vendor, workers, an API, and the agents of all machines. */
export class History {
  readonly kernel: Kernel;
  readonly store: MemoryStore;
  readonly cloud: SandboxCloud;
  readonly causes = new Causes();
  readonly reached = new Reached();
  readonly repairs: { net: string; id: string }[] = [];
  readonly failures: string[] = [];
  /** What agents have really told: `shard/fence/state`. */
  readonly reported = new Set<string>();
  workers: Worker[] = [];
  organizationId = '';
  projectId = '';
  providerId = '';
  readonly installId: string;
  /** Transactions under way: a call to the vendor inside one is a fault of ours. */
  openTransactions = 0;
  private commits: CommitChecks;
  /** The part that a restored database plays, where it plays one. */
  readonly restored: Restored | null;
  private readonly book: FaultBook;
  private readonly queue: SimQueue;
  private readonly objects = new MemoryObjects();
  private readonly starts = new Map<string, number>();
  private readonly agents = new Map<string, Agent>();
  private living: { api: Api; tenant: Tenant } | null = null;
  private cloudRead = 0;
  private partialUntilMs = 0;
  /** Until when things may still be out of order because of something from outside. */
  private disturbedUntilMs: number;
  private restSinceMs: number | null = null;
  private over = false;

  constructor(
    readonly scenario: Scenario,
    readonly wrong: Wrongness = {},
  ) {
    this.kernel = new Kernel(scenario.seed);
    const { clock } = this.kernel;
    this.store = new MemoryStore(clock);
    this.commits = new CommitChecks(this);
    this.cloud = new SandboxCloud({
      clock,
      seed: scenario.seed,
      skus,
      settings: { windowMs: WINDOW_MS, pageSize: 2, billing: { minimumS: 1, incrementS: 1 } },
    });
    this.restored = scenario.restore ? new Restored(this, scenario.restore) : null;
    this.book = new FaultBook(scenario.faults);
    this.queue = new SimQueue(this);
    this.installId = newId('install', clock.now(), this.kernel.random('install'));
    this.disturbedUntilMs = clock.now();
  }

  get api(): Api {
    if (!this.living) throw new Error('the history has not begun');
    return this.living.api;
  }

  /** Lives the history; throws Broken at the first event after which something does not hold. */
  async run(): Promise<void> {
    await this.prepare();
    const api = new Api(this);
    this.living = { api, tenant: new Tenant(this) };
    for (let n = 0; n < this.scenario.workers; n++) this.startWorker(n);
    this.look();
    await this.kernel.run(HORIZON_MS, () => this.afterEvent());
    if (!this.over) throw new Broken(`never came to rest: ${this.restless()}`);
  }

  /** The world before the first event: no points, nothing can fail. */
  private async prepare(): Promise<void> {
    const { clock } = this.kernel;
    const random = this.kernel.random('setup');
    const broker = this.compose(null, clock);
    this.organizationId = newId('organization', clock.now(), random);
    this.projectId = newId('project', clock.now(), random);
    const { organizationId } = this;
    const createdAt = clock.now();
    await this.store.transaction(WORKER, async (tx) => {
      await tx.insert(organizations, {
        id: organizationId,
        name: 'tenant',
        kind: 'tenant',
        state: 'active',
        createdAt,
      });
      await tx.insert(projects, { id: this.projectId, organizationId, name: 'default', createdAt });
      await broker.ledger.openOwn(tx);
      const provider = await broker.providers.ensure(tx, {
        organizationId,
        name: 'sandbox',
        kind: 'hyperscaler',
        adapter: 'sandbox',
        marginBps: 1_000,
      });
      this.providerId = provider.id;
      await broker.ledger.credit(tx, organizationId, usd(random.float() < 0.1 ? '0.4' : '25'), 'grant', 'start');
    });
    const list: Offer[] = [];
    for await (const offer of sandboxPort(this.cloud, { providerId: this.providerId, clock }).listOffers())
      list.push(offer);
    await this.store.transaction(WORKER, (tx) => broker.catalog.replace(tx, this.providerId, list));
    // The first look at the offers was ours: what strikes is counted from here.
    this.cloud.setFaults(vendorRules(this.scenario.faults));
  }

  compose(process: Process | null, clock: Clock): Broker {
    const name = process?.name ?? 'setup';
    const starts = (this.starts.get(name) ?? 0) + 1;
    this.starts.set(name, starts);
    const random = new SeededRandom(`${this.scenario.seed}/${name}/${starts}`);
    const vendors = new Vendors();
    const broker = composeBroker({
      store: process === null ? this.store : new SimStore(this, process),
      clock,
      random,
      objects: this.objects,
      secrets: plainSecrets(random),
      wake: this.queue,
      ring: () => undefined,
      report: {
        repaired: (net, _kind, id) => this.repaired(net, id),
        failed: (_kind, id, error) => this.threw(`${name}, ${id}`, error),
      },
      vendors,
      installId: this.installId,
      brokerUrl: 'http://broker.sim',
      leaseTimes: { ...simTimes, ...this.wrong.leaseTimes },
    });
    if (process !== null && this.providerId !== '') {
      const port = new SimVendor(this, process, clock);
      vendors.bind(this.providerId, { port, acceptance: 'enrolled', residentAgent: false });
    }
    return broker;
  }

  private startWorker(n: number): void {
    const worker = new Worker(this, n);
    this.workers[n] = worker;
    worker.process.whenDead(() => {
      const restart = this.kernel.random(`restart/worker${n}`).int(300, 20_000);
      this.disturb(restart);
      this.kernel.after(restart, `restart worker${n}`, () => this.startWorker(n));
    });
  }

  /** What strikes at this point now; blamed on all that the process is busy with. */
  strike(point: string, process: Process | null): readonly Fault[] {
    const faults = this.book.strike(point);
    for (const fault of faults) {
      this.kernel.note(`FAULT ${fault.point} ${fault.kind}${fault.arg === undefined ? '' : ` ${fault.arg}`}`);
      this.reached.struck(faultName(fault), this.store);
      if (process) this.causes.blame(process.doing.keys(), fault.kind);
      this.disturb(Math.abs(fault.arg ?? 0));
      if (fault.kind === 'list-partial') this.partialUntilMs = this.kernel.clock.now() + (fault.arg ?? 0);
    }
    return faults;
  }

  /** Whether the vendor's lists lack machines now; blamed on the attempts that are looked for in one. */
  partialList(): boolean {
    const partial = this.kernel.clock.now() < this.partialUntilMs;
    if (partial) this.causes.blame(this.openAttempts(), 'list-partial');
    return partial;
  }

  atStep(process: Process): void {
    for (const fault of this.strike(`${process.name}/step`, process)) {
      if (fault.kind === 'crash') this.crash(process);
      else process.freeze(fault.arg ?? 0);
    }
  }

  crash(process: Process): void {
    this.causes.blame(process.doing.keys(), 'crash');
    process.die();
  }

  /** From now on for `ms` (and for as long as settling takes) things may be out of order. */
  disturb(ms: number): void {
    this.disturbedUntilMs = Math.max(this.disturbedUntilMs, this.kernel.clock.now() + ms);
  }

  /** Machines that wait for an administrator. */
  kept(machines: number): void {
    if (machines > 0 && !this.restored?.happened)
      this.failures.push(`${machines} machines wait for an administrator, and nothing was restored`);
  }

  /** The database is another one: all of ours start anew, and what was known of rows counts no more. */
  begunAnew(): void {
    this.commits = new CommitChecks(this);
    for (const { process } of this.workers) this.crash(process);
    this.api.stop();
    this.disturb(0);
  }

  repaired(net: string, id: string): void {
    this.repairs.push({ net, id });
    this.reached.saw(`repair ${net}`);
    this.kernel.note(`REPAIR ${net} ${id.slice(-6)}`);
    if (!explainsRepair(this, net, id)) this.failures.push(`${net} had to act for ${id} without a cause`);
  }

  threw(where: string, error: unknown): void {
    if (error instanceof Injected) return;
    this.failures.push(`${where}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }

  /** An error of the vendor's is no failure of ours. */
  vendorSaid(error: unknown): void {
    if (!(error instanceof VendorError)) throw error;
  }

  committed(changes: readonly Change[]): void {
    this.commits.check(changes);
  }

  /** Attempts of which nobody knows yet what came of them. */
  openAttempts(): string[] {
    return this.store
      .rows(leaseAttempts)
      .filter((a) => a.state === 'calling' || a.state === 'unknown')
      .map((a) => a.id);
  }

  /** Takes in what happened at the vendor since the last look; what struck in a call is blamed on what the call was about. */
  readCloudLog(subjects: readonly string[]): void {
    const { log } = this.cloud;
    for (; this.cloudRead < log.length; this.cloudRead++) {
      const entry = log[this.cloudRead];
      if (!entry) continue;
      const { machineId, event, facts } = entry;
      if (event === 'fault') {
        const kind = String(facts['kind']);
        const about = machineId === null ? subjects : [machineId, ...subjects];
        this.causes.blame(about, kind);
        this.reached.struck(`vendor/${facts['point']} ${kind}`, this.store);
        this.kernel.note(`FAULT vendor/${facts['point']} ${kind}`);
        const late = this.scenario.faults.find((f) => f.point === `vendor/${facts['point']}` && f.kind === kind);
        this.disturb(late?.arg ?? 0);
      } else if (event === 'notice') {
        this.reached.struck('vendor/machine preemption-with-notice', this.store);
      } else if (event !== 'created' && event !== 'create-refused' && event !== 'billed') this.disturb(0);
    }
  }

  private afterEvent(): boolean {
    const before = this.cloudRead;
    this.readCloudLog([]);
    if (this.cloudRead !== before) {
      checkMachines(this);
      this.startAgents();
    }
    const [failure] = this.failures;
    if (failure !== undefined) throw new Broken(failure);
    return this.over;
  }

  private startAgents(): void {
    for (const machine of this.cloud.machines()) {
      if (machine.state !== 'running' || this.agents.has(machine.id)) continue;
      this.agents.set(machine.id, new Agent(this, machine, `agent${this.agents.size + 1}`));
    }
  }

  /** Every few seconds: has everything come to rest, and if not, should it have? */
  private look(): void {
    this.kernel.after(LOOK_EVERY_MS, 'look', () => this.look());
    const now = this.kernel.clock.now();
    const restless = this.restless();
    if (restless === null) {
      this.restSinceMs ??= now;
      this.over = now - this.restSinceMs >= REST_MS;
      return;
    }
    this.restSinceMs = null;
    const settledBy = Math.max(this.disturbedUntilMs, this.waitsUntilMs()) + SETTLES_WITHIN_MS;
    if (now > settledBy)
      this.failures.push(`not at rest ${SETTLES_WITHIN_MS / 1_000} s after the last disturbance: ${restless}`);
  }

  /** What is not at rest. */
  private restless(): string | null {
    if (this.living && !this.living.tenant.done) return 'the tenant has plans';
    const job = this.store.rows(jobs).find((j) => j.endedAt === null);
    if (job) return `job ${job.id} is ${job.state}: ${job.reason}`;
    const lease = this.store.rows(leases).find((l) => l.state !== 'ended');
    if (lease) return `lease ${lease.id} is ${lease.state}: ${lease.message}`;
    const machine = this.cloud.machines().find((m) => m.endedAtMs === null);
    if (machine) return `machine ${machine.id} of attempt ${machine.request.name} is ${machine.state}`;
    return this.cloud.nextChangeAtMs() === null ? null : 'the vendor has something ahead';
  }

  /** Waiting by design: until an offer that failed may be tried again, and while a machine is kept warm. */
  private waitsUntilMs(): number {
    const blocked = this.store.rows(failureMemory).map((f) => f.blockedUntil);
    const kept = this.store
      .rows(leases)
      .flatMap((l) => (l.keepUntil === null || l.state === 'ended' ? [] : [l.keepUntil]));
    return Math.max(0, ...blocked, ...kept);
  }
}

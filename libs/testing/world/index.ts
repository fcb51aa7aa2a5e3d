import { createHash } from 'node:crypto';
import { ManualClock, newId, SeededRandom, usd, type Random } from '#kernel';
import type { Offer, SyncRequest, WorkItem, WorkReport } from '#contracts';
import { MemoryStore, WORKER, type Store } from '#platform/database';
import { organizations, projects } from '#identity/tenancy';
import { SandboxCloud, sandboxPort, type CloudSettings, type FaultRule, type Sku } from '#adapters/sandbox-cloud';
import { Vendors, type ProviderRow } from '#compute/providers';
import type { LeaseTimes } from '#compute/leases';
import type { ObjectBytes } from '#compute/artifacts';
import { composeBroker, type Broker } from '#broker';

/** A plain CPU machine that the specs' cloud sells. */
export const cpuSku: Sku = {
  name: 'cpu-4x',
  region: 'eu-test-1',
  zone: null,
  country: 'FI',
  accelerator: 'CPU',
  acceleratorVendor: 'cpu',
  count: 0,
  vramGiB: 0,
  interconnect: { intraNode: 'none', intraNodeGBps: null, interNode: 'ethernet', interNodeGbps: 25 },
  vcpus: 4,
  ramGiB: 16,
  pricing: 'on-demand',
  priceUsdPerHour: '0.40',
  stock: null,
  bootMs: [20_000, 40_000],
  preemptionsPerHour: 0,
};

export interface WorldOptions {
  readonly store?: Store;
  readonly clock?: ManualClock;
  readonly seed?: number;
  readonly skus?: readonly Sku[];
  readonly settings?: Partial<CloudSettings>;
  readonly faults?: readonly FaultRule[];
  readonly leaseTimes?: Partial<LeaseTimes>;
  /** What machines tell of the tokens of a shard; three of input where nothing is said. */
  readonly tokensOf?: (work: WorkItem) => { readonly inputTokens: number; readonly outputTokens: number };
}

/** One tenant, one sandbox vendor and the whole broker in one thread, for specs: time moves only when told. */
export interface World {
  readonly clock: ManualClock;
  readonly store: Store;
  readonly cloud: SandboxCloud;
  readonly broker: Broker;
  readonly organizationId: string;
  readonly projectId: string;
  readonly provider: ProviderRow;
  readonly repairs: { net: string; id: string }[];
  readonly failures: { id: string; error: unknown }[];
  /** Lets `ms` pass in steps: sweeps, reconciles what was woken, and lets every live machine's agent sync. */
  run(ms: number, stepMs?: number): Promise<void>;
  /** Gives the tenant credit. */
  credit(dollars: string): Promise<void>;
  /** A JSONL upload of `n` embedding requests. */
  upload(n: number): Promise<string>;
}

/** Objects in memory. */
export class MemoryObjects implements ObjectBytes {
  readonly all = new Map<string, Uint8Array>();
  async put(key: string, body: Uint8Array | AsyncIterable<Uint8Array>): Promise<{ sha256: string; bytes: number }> {
    const parts: Uint8Array[] = [];
    if (body instanceof Uint8Array) parts.push(body);
    else for await (const part of body) parts.push(part);
    const bytes = Buffer.concat(parts);
    this.all.set(key, bytes);
    return { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
  }
  async get(key: string): Promise<AsyncIterable<Uint8Array>> {
    return this.getRange(key, 0, Infinity);
  }
  async delete(key: string): Promise<void> {
    this.all.delete(key);
  }
  async getRange(key: string, from: number, to: number): Promise<AsyncIterable<Uint8Array>> {
    const bytes = this.all.get(key);
    if (!bytes) throw new Error(`no object ${key}`);
    return (async function* () {
      yield bytes.subarray(from, Math.min(to, bytes.length));
    })();
  }
}

/** Agents' secrets without cryptography: fast, and readable in a trace. */
export function plainSecrets(random: Random): { issue(kind: string): string; hash(secret: string): string } {
  return { issue: (kind) => `${kind}-${Buffer.from(random.bytes(8)).toString('hex')}`, hash: (secret) => `#${secret}` };
}

export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const clock = options.clock ?? new ManualClock(Date.UTC(2026, 10, 21));
  const store = options.store ?? new MemoryStore(clock);
  const random = new SeededRandom(options.seed ?? 1);
  const cloud = new SandboxCloud({
    clock,
    seed: options.seed ?? 1,
    skus: options.skus ?? [cpuSku],
    settings: options.settings ?? {},
    faults: options.faults ?? [],
  });
  const woken = new Set<string>();
  const repairs: World['repairs'] = [];
  const failures: World['failures'] = [];
  const vendors = new Vendors();
  const installId = newId('install', clock.now(), random);
  const broker = composeBroker({
    store,
    clock,
    random,
    objects: new MemoryObjects(),
    secrets: plainSecrets(random),
    wake: { wake: (kind, id) => Promise.resolve(void woken.add(`${kind}:${id}`)) },
    ring: () => undefined,
    report: {
      repaired: (net, _kind, id) => repairs.push({ net, id }),
      failed: (_kind, id, error) => failures.push({ id, error }),
    },
    vendors,
    installId,
    brokerUrl: 'http://broker.test',
    leaseTimes: { pollMs: 1_000, ...options.leaseTimes },
    placementTimes: { rentableTtlMs: 0 },
  });
  const organizationId = newId('organization', clock.now(), random);
  const projectId = newId('project', clock.now(), random);
  const provider = await store.transaction(WORKER, async (tx) => {
    const createdAt = clock.now();
    await tx.insert(organizations, {
      id: organizationId,
      name: `tenant ${organizationId}`,
      kind: 'tenant',
      state: 'active',
      createdAt,
    });
    await tx.insert(projects, { id: projectId, organizationId, name: 'default', createdAt });
    await broker.ledger.openOwn(tx);
    return broker.providers.ensure(tx, {
      organizationId,
      name: 'sandbox',
      kind: 'hyperscaler',
      adapter: 'sandbox',
      marginBps: 1_000,
    });
  });
  const port = sandboxPort(cloud, { providerId: provider.id, clock });
  vendors.bind(provider.id, { port, acceptance: 'enrolled', residentAgent: false });
  await syncOffers();

  async function syncOffers(): Promise<void> {
    const offers: Offer[] = [];
    for await (const offer of port.listOffers()) offers.push(offer);
    await store.transaction(WORKER, (tx) => broker.catalog.replace(tx, provider.id, offers));
  }

  const fleet = new AgentFleet(broker, cloud, options.tokensOf);
  const drain = async (): Promise<void> => {
    for (let n = 0; woken.size > 0 && n < 200; n++) {
      const [next] = woken;
      if (next === undefined) return;
      woken.delete(next);
      const [kind = '', id = ''] = next.split(':');
      await broker.loop.reconcile(kind, id);
    }
  };
  return {
    clock,
    store,
    cloud,
    broker,
    organizationId,
    projectId,
    provider,
    repairs,
    failures,
    async run(ms, stepMs = 1_000) {
      for (let t = 0; t < ms; t += stepMs) {
        clock.advance(stepMs);
        if (t % 600_000 < stepMs) await syncOffers();
        await broker.loop.sweep();
        await drain();
        await fleet.tick();
        await drain();
      }
    },
    async credit(dollars) {
      await store.transaction(WORKER, (tx) =>
        broker.ledger.credit(
          tx,
          organizationId,
          usd(dollars),
          'grant',
          `grant:${organizationId}:${clock.now()}:${dollars}`,
        ),
      );
    },
    async upload(n) {
      const lines = Array.from({ length: n }, (_, i) =>
        JSON.stringify({
          custom_id: `r${i}`,
          method: 'POST',
          url: '/v1/embeddings',
          body: { model: 'universal-sentence-encoder', input: `text ${i}` },
        }),
      );
      const row = await broker.artifacts.put(
        WORKER,
        { organizationId, projectId, name: 'in.jsonl', mediaType: 'application/x-ndjson' },
        Buffer.from(lines.join('\n')),
      );
      return row.id;
    },
  };
}

interface FleetAgent {
  credential: string;
  seq: number;
  holds: Map<string, WorkItem>;
}

/** The agents of all running machines, played: each sync finishes what the last one handed out. */
class AgentFleet {
  private readonly agents = new Map<string, FleetAgent | 'refused'>();

  constructor(
    private readonly broker: Broker,
    private readonly cloud: SandboxCloud,
    private readonly tokensOf: NonNullable<WorldOptions['tokensOf']> = () => ({ inputTokens: 3, outputTokens: 0 }),
  ) {}

  async tick(): Promise<void> {
    this.cloud.advance();
    for (const machine of this.cloud.machines()) {
      if (machine.state !== 'running' || machine.agentDead) continue;
      const agent =
        this.agents.get(machine.id) ?? (await this.enrol(machine.id, machine.request.bootstrap?.enrolToken ?? ''));
      if (agent !== 'refused') await this.sync(agent);
    }
  }

  private async enrol(id: string, token: string): Promise<FleetAgent | 'refused'> {
    const answer = await this.broker.agents
      .enrol(
        token,
        {
          hostname: id,
          os: 'linux',
          arch: 'x64',
          vcpus: 4,
          cpuModel: 'test',
          ramGiB: 16,
          diskFreeGiB: 10,
          gpus: [],
          gpuLink: 'none',
          agentVersion: '0',
          engines: [],
        },
        (tx, row) => this.broker.onEnrolled(tx, row),
      )
      .then((a): FleetAgent => ({ credential: a.credential, seq: 0, holds: new Map() }))
      .catch(() => 'refused' as const);
    this.agents.set(id, answer);
    return answer;
  }

  private async sync(agent: FleetAgent): Promise<void> {
    const row = await this.broker.agents.authenticate(agent.credential);
    if (!row) return;
    const reports: WorkReport[] = [...agent.holds.values()].map((w) => ({
      workId: w.workId,
      fence: w.fence,
      state: 'done',
      resultSha256: '00',
      counts: {
        ok: w.spec.kind === 'batch-inference' ? w.spec.lineTo - w.spec.lineFrom : 1,
        failed: 0,
        ...this.tokensOf(w),
      },
      exitCode: w.spec.kind === 'command' ? 0 : null,
      busyMs: 1,
    }));
    const request: SyncRequest = {
      seq: agent.seq++,
      reports,
      logs: [],
      capacity: 2,
      waitMs: 0,
      knownWork: [],
      draining: false,
    };
    const answer = await this.broker.agents.sync(row, request, this.broker.work, {
      wait: () => Promise.resolve('look'),
    });
    for (const done of answer.acknowledged) agent.holds.delete(done.workId);
    agent.holds = new Map(answer.work.map((w) => [w.workId, w]));
  }
}

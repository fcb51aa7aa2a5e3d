import { DomainError } from '#kernel';
import type { HostFacts, SyncRequest, SyncResponse, WorkItem, WorkReport } from '#contracts';
import type { Broker } from '#broker';
import type { AgentRow } from '#compute/agents';
import type { CloudMachine } from '#adapters/sandbox-cloud';
import type { Fault } from '../faults.js';
import type { History } from '../history.js';
import { Injected } from '../injected.js';
import { Process } from '../process.js';

const SLOTS = 2;
const SYNC_MS = 900;

interface Held {
  readonly item: WorkItem;
  doneAtMs: number;
  report: WorkReport | null;
  acknowledged: boolean;
}

const keyOf = (w: { workId: string; fence: number }): string => `${w.workId}/${w.fence}`;

/** The agent of one machine, after the rules of apps/agent: what it holds, what it has journalled, what it tells. */
export class Agent {
  private readonly process: Process;
  private credential: string | null = null;
  private seq = 0;
  private held = new Map<string, Held>();
  private ended = false;
  private lastReports: WorkReport[] = [];
  /** Work that it reported as failed, and will report as done. */
  private gaveUp: WorkItem | null = null;

  constructor(
    private readonly history: History,
    private readonly machine: CloudMachine,
    private readonly name: string,
  ) {
    this.process = new Process(history.kernel, name);
    this.live();
  }

  private get alive(): boolean {
    return !this.ended && this.machine.state === 'running' && !this.machine.agentDead;
  }

  private live(): void {
    const jitter = this.history.kernel.random(`${this.name}/poll`);
    void this.process
      .point('turn', SYNC_MS * (0.8 + 0.4 * jitter.float()))
      .then(() => (this.alive ? this.turn() : undefined))
      .catch((error: unknown) => {
        if (error instanceof Injected) return;
        // Unauthenticated, stale sequence: the agent stops its work and is no more.
        if (error instanceof DomainError) this.ended = true;
        else this.history.threw(this.name, error);
      })
      .then(() => {
        if (this.alive) this.live();
      });
  }

  private async turn(): Promise<void> {
    if (this.credential === null) return this.enrol();
    const faults = this.history.strike(`${this.name}/sync`, null);
    const struck = (kind: string): Fault | undefined => faults.find((f) => f.kind === kind);
    const frozen = struck('frozen');
    if (frozen) this.process.freeze(frozen.arg ?? 0);
    if (struck('restarted'))
      for (const h of this.held.values()) if (h.report === null) h.doneAtMs = this.doneAt(h.item);
    if (struck('cloned')) this.clone();
    const late = this.gaveUp;
    this.gaveUp = null;
    if (struck('failed-then-done')) this.gaveUp = await this.finishWork(true);
    else await this.finishWork(struck('work-failed') !== undefined);
    const request = this.request(struck('replayed') !== undefined, late);
    await this.sync(request, faults);
  }

  private clone(): void {
    const twin = new Agent(this.history, this.machine, `${this.name}-twin`);
    twin.credential = this.credential;
    twin.seq = this.seq;
    twin.held = new Map([...this.held].map(([k, h]) => [k, { ...h }]));
  }

  private async enrol(): Promise<void> {
    const faults = this.history.strike(`${this.name}/enrol`, null);
    if (faults.some((f) => f.kind === 'request-lost')) throw new Injected('the request was lost');
    const token = this.machine.request.bootstrap?.enrolToken ?? '';
    const { credential } = await this.history.api.ask(this.process, 'enrol', (broker) =>
      broker.agents.enrol(token, FACTS, (tx, row) => broker.onEnrolled(tx, row)),
    );
    // The token is used up: it can never enrol again.
    if (faults.some((f) => f.kind === 'reply-lost')) throw new Injected('the reply was lost');
    this.credential = credential;
  }

  private doneAt(item: WorkItem): number {
    const random = this.history.kernel.random(`${this.name}/work`);
    const ms = item.spec.kind === 'command' ? random.int(1_000, 20_000) : random.int(200, 5_000);
    return this.history.kernel.clock.now() + ms;
  }

  /** Uploads the results of what is finished, under its fence; an old fence is dropped without a word. `fails`: the next one is given up and answered. */
  private async finishWork(fails: boolean): Promise<WorkItem | null> {
    const now = this.history.kernel.clock.now();
    let failing = fails;
    let gaveUp: WorkItem | null = null;
    for (const held of this.held.values()) {
      // What fails may fail at any time.
      if (held.report !== null || held.acknowledged || (held.doneAtMs > now && !failing)) continue;
      const { item } = held;
      if (failing) {
        failing = false;
        gaveUp = item;
        const { workId, fence } = item;
        held.report = { workId, fence, state: 'failed', code: 'engine', message: 'simulated', exitCode: null };
        continue;
      }
      try {
        await this.ask(
          'result',
          async (broker, agent) => void (await broker.work.authorize(agent, item.workId, item.fence)),
        );
        held.report = doneReport(item);
      } catch (error) {
        if (!(error instanceof DomainError) || error.kind !== 'conflict') throw error;
        held.acknowledged = true;
      }
    }
    return gaveUp;
  }

  private request(replay: boolean, late: WorkItem | null): SyncRequest {
    const reports = [...this.held.values()].flatMap((h) => (h.report && !h.acknowledged ? [h.report] : []));
    const old = [...(replay ? this.lastReports : []), ...(late ? [doneReport(late)] : [])];
    if (reports.length > 0) this.lastReports = reports;
    const busy = [...this.held.values()].filter((h) => h.report === null && !h.acknowledged).length;
    return {
      seq: this.seq++,
      reports: [...old, ...reports],
      logs: [],
      capacity: SLOTS - busy,
      waitMs: 0,
      knownWork: [...this.held.values()].map(({ item }) => ({ workId: item.workId, fence: item.fence })),
      draining: false,
    };
  }

  private async sync(request: SyncRequest, faults: readonly Fault[]): Promise<void> {
    const struck = (kind: string): boolean => faults.some((f) => f.kind === kind);
    for (const report of request.reports) this.history.reported.add(`${keyOf(report)}/${report.state}`);
    if (struck('request-lost')) throw new Injected('the request was lost');
    const send = (delayMs = 0): Promise<SyncResponse> =>
      this.ask(
        'sync',
        (b, agent) => b.agents.sync(agent, request, b.work, { wait: () => Promise.resolve('look') }),
        delayMs,
      );
    if (struck('reordered')) {
      // Its own poll, cut short: the request is still under way while the next one leaves.
      void send(this.history.kernel.random(`${this.name}/late`).int(500, 4_000)).catch((e: unknown) =>
        this.tolerate(e),
      );
      return;
    }
    if (struck('doubled')) void send(5).catch((e: unknown) => this.tolerate(e));
    const answer = await send();
    if (struck('reply-lost')) throw new Injected('the reply was lost');
    this.hear(request, answer);
  }

  private hear(request: SyncRequest, answer: SyncResponse): void {
    if (answer.goodbye) {
      this.ended = true;
      return;
    }
    const sent = new Set(request.reports.map(keyOf));
    for (const a of answer.acknowledged) {
      const held = this.held.get(keyOf(a));
      if (held && sent.has(keyOf(a))) held.acknowledged = true;
    }
    const wanted = new Map(answer.work.map((w) => [keyOf(w), w]));
    for (const [key, held] of this.held) {
      const over = held.report === null || held.acknowledged;
      if (!wanted.has(key) && over) this.held.delete(key);
    }
    for (const [key, item] of wanted) {
      if (!this.held.has(key))
        this.held.set(key, { item, doneAtMs: this.doneAt(item), report: null, acknowledged: false });
    }
  }

  private tolerate(error: unknown): void {
    if (!(error instanceof Injected) && !(error instanceof DomainError)) this.history.threw(this.name, error);
  }

  private ask<T>(label: string, handle: (broker: Broker, agent: AgentRow) => Promise<T>, delayMs = 0): Promise<T> {
    const { credential } = this;
    return this.history.api.ask(
      this.process,
      label,
      async (broker) => {
        const agent = credential === null ? null : await broker.agents.authenticate(credential);
        if (!agent) throw new DomainError('unauthenticated', 'credential-dead', 'no such agent', {});
        return handle(broker, agent);
      },
      delayMs,
    );
  }
}

/** The work done; the result is named after the fence that it was done under. */
function doneReport({ workId, fence, spec }: WorkItem): WorkReport {
  const ok = spec.kind === 'batch-inference' ? spec.lineTo - spec.lineFrom : 1;
  return {
    workId,
    fence,
    state: 'done',
    resultSha256: `${workId}-${fence}`,
    counts: { ok, failed: 0, inputTokens: 3, outputTokens: 0 },
    exitCode: spec.kind === 'command' ? 0 : null,
    busyMs: 1,
  };
}

const FACTS: HostFacts = {
  hostname: 'sim',
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
};

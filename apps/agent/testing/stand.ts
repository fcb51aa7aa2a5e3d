import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { HostFacts, WorkItem } from '#contracts';
import { systemRandom } from '#kernel';
import { assembleAgent } from '../assemble.js';
import { type Embedding, type Engine, type Refusal } from '../engines/engine.js';
import type { AgentEnd } from '../sync/agent.js';
import { pause } from '../sync/backoff.js';
import type { Fetch } from '../sync/broker-client.js';
import { obtainCredential } from '../sync/credential.js';
import { FakeBroker } from './fake-broker.js';

export const FACTS: HostFacts = {
  hostname: 'spec',
  os: 'Linux',
  arch: 'x64',
  vcpus: 1,
  cpuModel: 'spec',
  ramGiB: 1,
  diskFreeGiB: 1,
  gpus: [],
  gpuLink: 'none',
  agentVersion: '0',
  engines: [],
};

/** Embeds by counting characters; knows how often each text came, and waits where told. */
export class CountingEngine implements Engine {
  readonly name = 'counting';
  readonly seen: string[] = [];
  constructor(private readonly hold: (text: string) => Promise<void> | undefined = () => undefined) {}
  models() {
    return [{ id: 'counting', task: 'embeddings' as const, dimensions: 2 }];
  }
  async embed(_model: string, texts: readonly string[], signal: AbortSignal): Promise<(Embedding | Refusal)[]> {
    const out: Embedding[] = [];
    for (const text of texts) {
      const held = this.hold(text);
      if (held) await Promise.race([held, new Promise((resolve) => signal.addEventListener('abort', resolve))]);
      signal.throwIfAborted();
      this.seen.push(text);
      out.push({ vector: Float32Array.of(text.length, 1), tokens: 1 });
    }
    return out;
  }
  chat(): Promise<Refusal> {
    return Promise.resolve({ refused: { code: 'model_not_found', message: 'no chat' } });
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

export interface Running {
  readonly end: Promise<AgentEnd>;
  stop(): Promise<AgentEnd>;
  /** As kill -9 looks to the broker and the disk: nothing is sent any more, and nobody waits. */
  cutOff(): void;
}

/** A fake broker, a state folder, and agents over them; `close` ends it all. */
export class Stand {
  private readonly open: Running[] = [];
  private constructor(
    readonly broker: FakeBroker,
    readonly stateDir: string,
  ) {}

  static async start(): Promise<Stand> {
    const broker = await FakeBroker.start();
    broker.tokens.add('tok');
    return new Stand(broker, await mkdtemp(join(tmpdir(), 'berth-agent-')));
  }

  async agent(
    engines: readonly Engine[],
    options: { slots?: number; killGraceMs?: number; env?: Record<string, string> } = {},
  ): Promise<Running> {
    const controller = new AbortController();
    let dead = false;
    const fetch: Fetch = (url, init) => (dead ? untilAborted(controller.signal) : globalThis.fetch(url, init));
    const credential = await this.enrol();
    const agent = await assembleAgent({
      stateDir: this.stateDir,
      brokerUrl: this.broker.url,
      credential,
      machine: {
        facts: () => Promise.resolve(FACTS),
        telemetry: () => Promise.resolve({ cpuBusy: 0, ramUsedGiB: 0, gpus: [] }),
      },
      engines,
      slots: options.slots ?? 1,
      log: pino({ level: 'silent' }),
      environment: options.env ?? { PATH: process.env['PATH'] ?? '' },
      killGraceMs: options.killGraceMs ?? 200,
      drainMs: 50,
      fetch,
    });
    const end = agent.run(controller.signal);
    const running: Running = {
      end,
      stop: () => {
        controller.abort();
        return end;
      },
      cutOff: () => void (dead = true),
    };
    this.open.push(running);
    return running;
  }

  enrol(token = 'tok') {
    return obtainCredential({
      stateDir: this.stateDir,
      brokerUrl: this.broker.url,
      token,
      facts: () => Promise.resolve(FACTS),
      random: systemRandom,
      pause: (_ms, signal) => pause(1, signal),
      signal: new AbortController().signal,
      onRetry: () => undefined,
    });
  }

  /** A shard of embeddings; its input is put at the broker. */
  shard(workId: string, lines: readonly object[], fence = 1): WorkItem {
    const inputPath = `/agent/v1/inputs/${workId}`;
    this.broker.inputs.set(inputPath, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    return {
      ...this.base(workId, fence),
      spec: { kind: 'batch-inference', model: 'counting', inputPath, lineFrom: 0, lineTo: lines.length },
    };
  }

  command(
    workId: string,
    script: string,
    more: Partial<Extract<WorkItem['spec'], { kind: 'command' }>> = {},
  ): WorkItem {
    const spec = {
      kind: 'command' as const,
      command: ['sh', '-c', script],
      env: {},
      inputs: [],
      outputs: [],
      timeoutS: 30,
      ...more,
    };
    return { ...this.base(workId, 1), spec };
  }

  async close(): Promise<void> {
    await this.broker.down();
    await Promise.all(this.open.map((running) => running.stop()));
    await rm(this.stateDir, { recursive: true, force: true, maxRetries: 3 });
  }

  private base(workId: string, fence: number): Omit<WorkItem, 'spec'> {
    return {
      workId,
      jobId: 'job_1',
      leaseId: 'lease_1',
      fence,
      deadlineAt: new Date(Date.now() + 600_000).toISOString(),
    };
  }
}

function untilAborted(signal: AbortSignal): Promise<Response> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(new Error('cut off'));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail);
  });
}

export function embeddingLines(
  count: number,
  model = 'counting',
): { custom_id: string; body: { input: string } & object }[] {
  return Array.from({ length: count }, (_, i) => ({
    custom_id: `line-${i}`,
    method: 'POST',
    url: '/v1/embeddings',
    body: { model, input: `text ${i}` },
  }));
}

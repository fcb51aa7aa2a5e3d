import type { Logger } from 'pino';
import { systemClock, systemRandom, type Clock, type Random } from '#kernel';
import type { Engine } from './engines/engine.js';
import type { Machine } from './host/machine.js';
import { BatchRunner } from './runners/batch-runner.js';
import { CommandRunner } from './runners/command-runner.js';
import { LogBuffer } from './runners/log-buffer.js';
import { Transfers } from './runners/transfer.js';
import { Agent } from './sync/agent.js';
import { pause as realPause, type Pause } from './sync/backoff.js';
import { BrokerClient, type Fetch } from './sync/broker-client.js';
import type { StoredCredential } from './sync/credential.js';
import { Journal } from './sync/journal.js';
import { WorkSet } from './sync/work-set.js';

export interface AssembleOptions {
  readonly stateDir: string;
  readonly brokerUrl: string;
  readonly credential: StoredCredential;
  readonly machine: Pick<Machine, 'facts' | 'telemetry'>;
  readonly engines: readonly Engine[];
  readonly slots: number;
  readonly log: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly pause?: Pause;
  readonly fetch?: Fetch;
  readonly killGraceMs?: number;
  readonly drainMs?: number;
}

const DRAIN_MS = 2_000;

/** An agent over what its state folder holds, ready to `run`. */
export async function assembleAgent(options: AssembleOptions): Promise<Agent> {
  const { log, slots, machine } = options;
  const clock = options.clock ?? systemClock;
  const random = options.random ?? systemRandom;
  const pause = options.pause ?? realPause;
  const broker = new BrokerClient(options.brokerUrl, options.credential.credential, options.fetch);
  const journal = await Journal.open(options.stateDir);
  const logs = new LogBuffer(clock);
  const transfers = new Transfers(random, pause);
  const runners = [
    new BatchRunner(options.engines, transfers),
    new CommandRunner(transfers, options.environment, options.killGraceMs),
  ];
  const works = new WorkSet({ journal, files: broker, runners, logs, clock, log, slots });
  return new Agent({
    broker,
    works,
    logs,
    nextSeq: () => journal.nextSeq(),
    facts: () => machine.facts(),
    telemetry: () => machine.telemetry(),
    clock,
    random,
    pause,
    log,
    pollMs: options.credential.pollMs,
    drainMs: options.drainMs ?? DRAIN_MS,
  });
}

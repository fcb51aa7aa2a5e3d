import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brokerClient, type Client } from '#client';
import { readConfig } from '#platform/config';
import { startEmbedded, statusEmbedded, stopEmbedded, withFileLock } from '#platform/embedded';
import { KeptProgram, type Recipe } from './kept-program.js';
import { keyWorks } from './key-works.js';
import { endProcess, lives, markOf, type Mark } from './mark.js';
import { agentArguments, ownHostReady } from './own-host.js';
import { freePort, isHealthy, logFile, saidBy, trimLog, workerOpsUrl } from './programs.js';
import { PROGRAMS, readState, writeState, type LocalState, type ProgramName } from './state.js';

export interface SupervisorOptions {
  readonly home: string;
  readonly port: number;
  /** Offer this machine as a host. */
  readonly host: boolean;
  /** Told what is being done. */
  readonly say: (text: string) => void;
  /** Aborted while things start: what has started is stopped again. */
  readonly signal?: AbortSignal;
}

const READY_WITHIN_MS = 90_000;
const READY_LOOK_MS = 100;
/** A broker whose supervisor lives is given up when it has not answered for so long: it may only stand still for some seconds. */
const ANSWERS_WITHIN_MS = 30_000;
/** How often what runs is looked at. */
const LOOK_MS = 5_000;

/** Something did not start; `log` is where it says why. */
export class StartFailed extends Error {
  constructor(what: string, log: string) {
    super(`${what}\n  Its log: ${log}${lastLines(log)}`);
  }
}

function lastLines(file: string): string {
  if (!existsSync(file)) return '';
  const lines = readFileSync(file, 'utf8').trim().split('\n').slice(-3);
  return lines.map((line) => `\n    ${line.slice(0, 300)}`).join('');
}

/**
 * Keeps the broker of this machine running: brings up API, worker and agent, starts again what ends or hangs, and the
 * built-in PostgreSQL too. There is one supervisor per home; whoever comes later uses its broker.
 */
export class Supervisor {
  private readonly programs: KeptProgram[] = [];
  private watching: NodeJS.Timeout | undefined;
  private stopped: Promise<void> | undefined;
  private key = '';

  private constructor(
    private readonly options: SupervisorOptions,
    readonly url: string,
    /** Somebody else supervises; `stop` leaves it alone. */
    readonly adopted: boolean,
    private readonly builtInDatabase: boolean,
  ) {}

  get platformKey(): string {
    return this.key;
  }

  /** Brings everything up; of several at once one does it and the others wait for it. */
  static async open(options: SupervisorOptions): Promise<Supervisor> {
    const config = readConfig();
    mkdirSync(options.home, { recursive: true, mode: 0o700 });
    return withFileLock(join(options.home, 'supervisor.lock'), async () => {
      const before = readState(options.home);
      const running = await Supervisor.running(options, before);
      if (running) return running;
      await endLeftovers(before);
      const lastPort = before.url === undefined ? 0 : Number(new URL(before.url).port);
      const url = `http://127.0.0.1:${await freePort(lastPort || options.port)}`;
      const supervisor = new Supervisor(options, url, false, config.databaseUrl === null);
      try {
        await supervisor.bringUp();
      } catch (error) {
        await supervisor.stop();
        throw error;
      }
      return supervisor;
    });
  }

  private static async running(options: SupervisorOptions, before: LocalState): Promise<Supervisor | null> {
    const { url, platformKey, processes } = before;
    if (!lives(processes?.supervisor) || processes.supervisor.pid === process.pid) return null;
    if (url === undefined || platformKey === undefined || !(await answers(url, processes.supervisor))) {
      // Started under the same lock, so it is not on its way up: it is on its way down, or cannot bring the API back.
      await endProcess(processes.supervisor, 30_000);
      return null;
    }
    options.say(`a broker runs already at ${url}`);
    const supervisor = new Supervisor(options, url, true, false);
    supervisor.key = platformKey;
    return supervisor;
  }

  private async bringUp(): Promise<void> {
    const { home, say, host } = this.options;
    const own = markOf(process.pid);
    writeState(home, { url: this.url, ready: false, processes: own ? { supervisor: own } : {} });
    say(this.builtInDatabase ? 'starting PostgreSQL, the API and a worker' : 'starting the API and a worker');
    const api = await this.keep(this.recipe('api', () => this.url));
    const worker = await this.keep(this.recipe('worker', () => workerOpsUrl(home)));
    await this.ready(api, () => isHealthy(this.url));
    this.key = await findPlatformKey(home, this.url);
    writeState(home, { platformKey: this.key });
    await this.ready(worker, async () => saidBy(home, 'worker').some((line) => line['working'] === true));
    if (host) {
      say('offering this machine as a host');
      const client = brokerClient({ url: this.url, key: this.key });
      const agent = await this.keep(this.agentRecipe(client));
      await this.ready(agent, () => ownHostReady(client, home));
    }
    this.watch();
  }

  private async keep(recipe: Recipe): Promise<KeptProgram> {
    const program = new KeptProgram(this.options.home, recipe, this.options.say);
    this.programs.push(program);
    await program.start();
    return program;
  }

  private recipe(name: 'api' | 'worker', liveUrl: () => string | null): Recipe {
    const port = new URL(this.url).port;
    const env = {
      HOST: '127.0.0.1',
      PORT: port,
      PUBLIC_URL: this.url,
      ...(name === 'worker' ? { METRICS_PORT: '0' } : {}),
    };
    return { name, args: async () => [], env, liveUrl, over: () => null, mended: () => false };
  }

  private agentRecipe(client: Client): Recipe {
    // Exit codes of the agent: 0 dismissed, 3 its credential is dead, 5 it could not enrol.
    const isLost = (code: number | null): boolean => code === 3 || code === 5;
    let lost = false;
    return {
      name: 'agent',
      args: async () => {
        const args = await agentArguments(client, this.options.home, this.url, lost);
        lost = false;
        return args;
      },
      env: {},
      liveUrl: () => null,
      mended: isLost,
      over: (code) => {
        lost = isLost(code);
        return code === 0
          ? 'this machine was taken out or its token was issued anew; `berth down` and `berth up` offer it again'
          : null;
      },
    };
  }

  private async ready(program: KeptProgram, isReady: () => Promise<boolean>): Promise<void> {
    const log = logFile(this.options.home, program.name);
    for (const until = Date.now() + READY_WITHIN_MS; Date.now() < until;) {
      this.options.signal?.throwIfAborted();
      if (program.failed) throw new StartFailed(`The ${program.name} did not start.`, log);
      if (await isReady().catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, READY_LOOK_MS));
    }
    throw new StartFailed(`The ${program.name} was not ready within ${READY_WITHIN_MS / 1_000} s.`, log);
  }

  private watch(): void {
    this.watching = setTimeout(() => {
      this.look()
        .catch((error: unknown) => this.options.say(error instanceof Error ? error.message : String(error)))
        .finally(() => {
          if (!this.stopped) this.watch();
        });
    }, LOOK_MS);
  }

  private async look(): Promise<void> {
    const { home, say } = this.options;
    for (const name of PROGRAMS) trimLog(logFile(home, name));
    if (this.builtInDatabase && statusEmbedded({ home }).state !== 'running') {
      say('PostgreSQL has ended; starting it again');
      await startEmbedded({ home });
    }
    await Promise.all(this.programs.map((program) => program.look()));
  }

  /** Stops what this supervisor started, the built-in PostgreSQL too; leaves an adopted broker alone. */
  stop(): Promise<void> {
    this.stopped ??= this.adopted ? Promise.resolve() : this.bringDown();
    return this.stopped;
  }

  private async bringDown(): Promise<void> {
    const { home } = this.options;
    clearTimeout(this.watching);
    // The agent first: it hands its work back; the API last, because the others talk to it.
    for (const program of [...this.programs].reverse()) await program.stop();
    if (this.builtInDatabase) await stopEmbedded({ home });
    writeState(home, { ready: false, processes: {} });
  }
}

async function answers(url: string, supervisor: Mark): Promise<boolean> {
  for (const until = Date.now() + ANSWERS_WITHIN_MS; Date.now() < until && lives(supervisor);) {
    if (await isHealthy(url)) return true;
    await new Promise((resolve) => setTimeout(resolve, READY_LOOK_MS));
  }
  return false;
}

/** Ends programs of a supervisor that is gone: killed, or its terminal closed. */
export async function endLeftovers(state: LocalState): Promise<void> {
  const last: readonly ProgramName[] = ['agent', 'worker', 'api'];
  for (const name of last) {
    const mark = state.processes?.[name];
    if (lives(mark)) await endProcess(mark, 5_000);
  }
}

/** The key from the first boot, the one kept from an earlier run, or, when both are lost, a new one from the database itself. */
async function findPlatformKey(home: string, url: string): Promise<string> {
  const said = saidBy(home, 'api').find((line) => typeof line['platformKey'] === 'string')?.['platformKey'];
  for (const key of [said, readState(home).platformKey]) {
    if (typeof key === 'string' && (await keyWorks(url, key))) return key;
  }
  const { issueLocalKey } = await import('./local-key.js');
  return issueLocalKey(home);
}

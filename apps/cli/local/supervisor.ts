import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { addHost, answerOf, brokerClient, getMe, inviteHost, listHosts, type Client } from '#client';
import { endProcess, freePort, isHealthy, isOurs, logFile, saidBy, start } from './programs.js';
import { readState, writeState, type LocalState, type ProgramName } from './state.js';

export interface SupervisorOptions {
  readonly home: string;
  readonly port: number;
  /** Offer this machine as a host. */
  readonly host: boolean;
  /** Told what is being done. */
  readonly say: (text: string) => void;
}

const READY_WITHIN_MS = 90_000;
const LOOK_MS = 100;
/** A program that crashes is started again after this, doubled each time up to the longest. */
const RESTART_MS = 500;
const LONGEST_RESTART_MS = 30_000;
export const HOST_NAME = 'this-machine';
/** What this machine asks per slot and hour: $0.40. */
const HOST_PRICE = '400000000';

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

/** Keeps the broker of this machine running: starts or adopts API, worker and agent, and restarts what crashes. */
export class Supervisor {
  private readonly children = new Map<ProgramName, ChildProcess>();
  private readonly restarts = new Map<ProgramName, number>();
  private stopping = false;

  private constructor(
    private readonly options: SupervisorOptions,
    readonly url: string,
    readonly platformKey: string,
    readonly adopted: boolean,
  ) {}

  /** Brings everything up; a broker of this home that runs already is adopted and left to whoever watches it. */
  static async open(options: SupervisorOptions): Promise<Supervisor> {
    const { home, say } = options;
    const before = readState(home);
    if (
      isOurs(before.supervisorPid, 'cli/') &&
      before.supervisorPid !== process.pid &&
      before.url !== undefined &&
      before.platformKey !== undefined &&
      (await isHealthy(before.url))
    ) {
      say(`a broker runs already at ${before.url}`);
      return new Supervisor(options, before.url, before.platformKey, true);
    }
    await endLeftovers(before);
    const port = await freePort(
      before.url === undefined ? options.port : Number(new URL(before.url).port) || options.port,
    );
    const url = `http://127.0.0.1:${port}`;
    writeState(home, { url, supervisorPid: process.pid, pids: {} });
    say('starting PostgreSQL and the API');
    const api = start(home, 'api', [], environment(port));
    await ready(home, 'api', api, () => isHealthy(url));
    const key = await platformKey(home, url);
    writeState(home, { platformKey: key });
    const supervisor = new Supervisor(options, url, key, false);
    supervisor.watch('api', api);
    say('starting the worker');
    const worker = start(home, 'worker', [], environment(port));
    supervisor.watch('worker', worker);
    await ready(home, 'worker', worker, async () => saidBy(home, 'worker').some((line) => line['working'] === true));
    if (options.host) await supervisor.startHost();
    return supervisor;
  }

  private argsOf(name: ProgramName, token?: string): string[] {
    if (name !== 'agent') return [];
    return [
      '--broker',
      this.url,
      '--state-dir',
      join(this.options.home, 'agent'),
      ...(token === undefined ? [] : ['--token', token]),
    ];
  }

  /** Registers this machine once, and starts its agent; an agent that lost its credential gets a new token. */
  private async startHost(): Promise<void> {
    const { home, say } = this.options;
    const client = brokerClient({ url: this.url, key: this.platformKey });
    say('offering this machine as a host');
    const known = await hostNamed(client, HOST_NAME);
    const credential = existsSync(join(home, 'agent', 'credential.json'));
    let token: string | undefined;
    if (known === undefined || known.state === 'cordoned') {
      // A credential of a host that was removed is dead; the agent would hold on to it.
      rmSync(join(home, 'agent'), { recursive: true, force: true });
      const name = known === undefined ? HOST_NAME : `${HOST_NAME}-${Date.now().toString(36)}`;
      const added = await answerOf(
        addHost({ client, body: { name, slots: 1, pricePerSlotHour: HOST_PRICE, region: 'local' } }),
      );
      token = added.enrolToken;
      writeState(home, { hostId: added.host.id });
    } else {
      writeState(home, { hostId: known.id });
      if (!credential || known.state === 'enrolling')
        token = (await answerOf(inviteHost({ client, path: { id: known.id } }))).enrolToken;
    }
    const agent = start(home, 'agent', this.argsOf('agent', token), { LOG_LEVEL: 'info' });
    this.watch('agent', agent);
    await ready(home, 'agent', agent, async () => {
      const { items } = await answerOf(listHosts({ client, query: { limit: 200 } }));
      return items.some((h) => h.id === readState(home).hostId && h.state === 'ready');
    });
  }

  private watch(name: ProgramName, child: ChildProcess): void {
    this.children.set(name, child);
    writeState(this.options.home, { pids: { ...readState(this.options.home).pids, [name]: child.pid ?? 0 } });
    child.once('exit', (code, signal) => {
      if (this.stopping || this.children.get(name) !== child) return;
      const tries = this.restarts.get(name) ?? 0;
      const pauseMs = Math.min(RESTART_MS * 2 ** tries, LONGEST_RESTART_MS);
      this.restarts.set(name, tries + 1);
      this.options.say(
        `the ${name} ended (${signal ?? code}); starting it again. Its log: ${logFile(this.options.home, name)}`,
      );
      setTimeout(() => {
        if (this.stopping) return;
        this.watch(
          name,
          start(
            this.options.home,
            name,
            this.argsOf(name),
            name === 'agent' ? {} : environment(Number(new URL(this.url).port)),
          ),
        );
      }, pauseMs);
    });
  }

  /** Stops what this supervisor started; with `database` also PostgreSQL. Leaves an adopted broker alone. */
  async stop(): Promise<void> {
    if (this.adopted || this.stopping) return;
    this.stopping = true;
    // The agent first: it hands its work back; the API last, because the others talk to it.
    for (const name of ['agent', 'worker', 'api'] as const) {
      const pid = this.children.get(name)?.pid;
      if (pid !== undefined) await endProcess(pid);
    }
    const { stopEmbedded } = await import('#platform/embedded');
    await stopEmbedded({ home: this.options.home });
    writeState(this.options.home, { supervisorPid: 0, pids: {} });
  }
}

const environment = (port: number): Record<string, string> => ({
  PORT: String(port),
  PUBLIC_URL: `http://127.0.0.1:${port}`,
  HOST: '127.0.0.1',
});

async function hostNamed(client: Client, name: string) {
  let cursor: string | undefined;
  do {
    const page = await answerOf(
      listHosts({ client, query: { limit: 200, ...(cursor === undefined ? {} : { cursor }) } }),
    );
    const found = page.items.find((h) => h.name === name);
    if (found) return found;
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return undefined;
}

/** Programs of a supervisor that is gone: killed with -9, or the machine was switched off. */
export async function endLeftovers(state: LocalState): Promise<void> {
  for (const name of ['agent', 'worker', 'api'] as const) {
    const pid = state.pids?.[name];
    if (isOurs(pid, `apps/${name}/main.js`)) await endProcess(pid, 5_000);
  }
}

async function ready(
  home: string,
  name: ProgramName,
  child: ChildProcess,
  isReady: () => Promise<boolean>,
): Promise<void> {
  const until = Date.now() + READY_WITHIN_MS;
  while (Date.now() < until) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new StartFailed(`The ${name} did not start.`, logFile(home, name));
    if (await isReady().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  throw new StartFailed(`The ${name} was not ready within ${READY_WITHIN_MS / 1_000} s.`, logFile(home, name));
}

/** The key from the first boot, the one kept from an earlier run, or, when both are lost, a new one from the database itself. */
async function platformKey(home: string, url: string): Promise<string> {
  const said = saidBy(home, 'api').find((line) => typeof line['platformKey'] === 'string')?.['platformKey'];
  const kept = typeof said === 'string' ? said : readState(home).platformKey;
  if (kept !== undefined) {
    const works = await answerOf(getMe({ client: brokerClient({ url, key: kept }) })).then(
      () => true,
      () => false,
    );
    if (works) return kept;
  }
  const { issueLocalKey } = await import('./local-key.js');
  return issueLocalKey(home);
}

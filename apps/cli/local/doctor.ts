import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { answerOf, brokerClient, getMe, listHosts } from '#client';
import { readConfig, type Config } from '#platform/config';
import { statusEmbedded } from '#platform/embedded';
import { Ended, EXIT } from '../exit.js';
import { print, rowsText, type Output } from '../output.js';
import { lives } from './mark.js';
import { isHealthy, logFile, nodeBinary, tryPort, workerOpsUrl } from './programs.js';
import { homeOf, PROGRAMS, readState, type LocalState } from './state.js';

export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What to do; empty when nothing has to be done. */
  readonly fix: string;
}

const ok = (check: string, found: string): Finding => ({ check, state: 'ok', found, fix: '' });
const warn = (check: string, found: string, fix: string): Finding => ({ check, state: 'warn', found, fix });
const fail = (check: string, found: string, fix: string): Finding => ({ check, state: 'fail', found, fix });

/** Clocks further apart than this make signed links and expiring tokens fail. */
const CLOCK_MS = 5_000;
const ENOUGH_GIB = 2;
const TOO_LITTLE_GIB = 0.5;

/** `berth doctor`: each check with what was found and what to do; fails when something must be mended. */
export async function doctor(output: Output): Promise<void> {
  const findings = await examine(homeOf());
  print(
    rowsText(
      findings,
      [
        { title: 'check', of: (f) => f.check },
        { title: 'state', of: (f) => f.state },
        { title: 'found', of: (f) => f.found },
        { title: 'what to do', of: (f) => f.fix },
      ],
      output,
    ),
  );
  const failed = findings.filter((f) => f.state === 'fail').length;
  if (failed > 0) throw new Ended(EXIT.failed, `${failed} ${failed === 1 ? 'check' : 'checks'} failed.`);
}

export async function examine(home: string): Promise<Finding[]> {
  const state = readState(home);
  const { config, finding } = configuration();
  const supervised = lives(state.processes?.supervisor);
  return [
    node(),
    disk(home),
    finding,
    ...(config === null || config.databaseUrl !== null ? [] : [postgres(home, supervised)]),
    ...(await programs(home, state, supervised)),
    ...(await broker(state, supervised, config?.port ?? 7070)),
  ];
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19))
    return ok('node', `${process.version}; programs run on ${nodeBinary()}`);
  return fail('node', process.version, 'install Node 20.19 or newer');
}

function disk(home: string): Finding {
  let folder = home;
  while (!existsSync(folder)) folder = dirname(folder);
  const { bavail, bsize } = statfsSync(folder);
  const freeGiB = (bavail * bsize) / 2 ** 30;
  const found = `${freeGiB.toFixed(1)} GiB free for ${home}`;
  if (freeGiB >= ENOUGH_GIB) return ok('disk', found);
  return (freeGiB < TOO_LITTLE_GIB ? fail : warn)('disk', found, 'free some space, or set BERTH_HOME to another disk');
}

function configuration(): { config: Config | null; finding: Finding } {
  try {
    const config = readConfig();
    const database = config.databaseUrl === null ? 'built in' : 'given';
    const queue = config.redisUrl === null ? 'PostgreSQL' : 'Redis';
    return { config, finding: ok('configuration', `database ${database}, queue on ${queue}`) };
  } catch (error) {
    const found = error instanceof Error ? error.message.replace(/\s+/g, ' ') : 'unreadable';
    return { config: null, finding: fail('configuration', found, 'correct what it names') };
  }
}

function postgres(home: string, supervised: boolean): Finding {
  const status = statusEmbedded({ home });
  if (status.state === 'running') return ok('postgresql', `runs on port ${status.port}`);
  if (supervised)
    return fail('postgresql', 'has ended; it is started again within seconds', `see ${home}/postgres.log`);
  return warn('postgresql', status.state === 'absent' ? 'was never started' : 'is stopped', 'berth up');
}

async function programs(home: string, { processes = {} }: LocalState, supervised: boolean): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const name of PROGRAMS) {
    const mark = processes[name];
    if (!lives(mark)) {
      findings.push(
        supervised && mark !== undefined
          ? fail(name, 'has ended and is about to be started again', `see ${logFile(home, name)}`)
          : warn(
              name,
              'does not run',
              name === 'agent' && supervised ? 'to offer this machine again: berth down, then berth up' : 'berth up',
            ),
      );
      continue;
    }
    const url = name === 'worker' ? workerOpsUrl(home) : null;
    findings.push(
      url === null || (await isHealthy(url))
        ? ok(name, `runs as process ${mark.pid}`)
        : fail(name, `runs as process ${mark.pid} but is not ready`, `see ${logFile(home, name)}`),
    );
  }
  if (!supervised && PROGRAMS.some((name) => lives(processes[name])))
    findings.push(warn('supervisor', 'was killed; what runs is not watched', 'berth up'));
  return findings;
}

async function broker(state: LocalState, supervised: boolean, wantedPort: number): Promise<Finding[]> {
  const { url, platformKey } = state;
  if (!supervised) {
    const port = url === undefined ? wantedPort : Number(new URL(url).port);
    const free = (await tryPort(port)) !== null;
    if (url === undefined || !(await isHealthy(url, '/health/live'))) {
      return [
        free
          ? ok('port', `${port} is free`)
          : warn('port', `${port} is taken by another program`, 'berth up takes another one'),
        warn('broker', url === undefined ? 'was never started here' : `does not answer at ${url}`, 'berth up'),
      ];
    }
  }
  if (url === undefined) return [fail('broker', 'is not up yet', 'wait, then ask again')];
  return answering(url, platformKey);
}

async function answering(url: string, platformKey: string | undefined): Promise<Finding[]> {
  let health: Response;
  const askedAt = Date.now();
  try {
    health = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(5_000) });
  } catch {
    return [fail('broker', `does not answer at ${url}`, 'berth down, then berth up')];
  }
  const findings = [
    health.ok
      ? ok('broker', `answers at ${url}; database, queue and objects are well`)
      : fail('broker', await detailOf(health), 'see the log of the api'),
  ];
  const apartMs = Math.abs(Date.parse(health.headers.get('date') ?? new Date(askedAt).toUTCString()) - askedAt);
  findings.push(
    apartMs < CLOCK_MS
      ? ok('clock', 'agrees with the broker')
      : fail('clock', `${Math.round(apartMs / 1_000)} s apart from the broker`, 'set the clock'),
  );
  if (platformKey === undefined) return findings;
  const client = brokerClient({ url, key: platformKey });
  try {
    await answerOf(getMe({ client }));
    findings.push(ok('key', 'the local platform key works'));
    const { items } = await answerOf(listHosts({ client, query: { limit: 200 } }));
    const ready = items.filter((h) => h.state === 'ready').length;
    findings.push(
      ready > 0
        ? ok('hosts', `${ready} ready`)
        : warn('hosts', 'none is ready', 'berth hosts add, or berth down and berth up without --no-host'),
    );
  } catch (error) {
    const refused = error instanceof Error && 'status' in error && error.status === 401;
    findings.push(
      refused
        ? fail('key', 'the local platform key is refused', 'berth down, then berth up, which issues a new one')
        : warn('key', 'could not be checked', 'mend the rest first'),
    );
  }
  return findings;
}

/** The sentence of a problem document. */
async function detailOf(response: Response): Promise<string> {
  const body = (await response.json().catch(() => null)) as { detail?: unknown } | null;
  return typeof body?.detail === 'string' ? body.detail : `answers ${response.status}`;
}

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, renameSync, statSync, closeSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { repoRoot } from '#hardware';
import type { ProgramName } from './state.js';

const LOG_BYTES = 10 << 20;

/** The Node that the checkout brings along; the one that runs us when there is none. */
export function nodeBinary(): string {
  const own = join(repoRoot(), 'node_modules', '.bin', 'node');
  return existsSync(own) ? own : process.execPath;
}

export function logFile(home: string, name: string): string {
  return join(home, 'logs', `${name}.log`);
}

/** Opens a log for appending; a big one is put aside first. */
function openLog(file: string): number {
  mkdirSync(join(file, '..'), { recursive: true, mode: 0o700 });
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES) renameSync(file, `${file}.1`);
  return openSync(file, 'a', 0o600);
}

/**
 * Starts one of our programs in a process group of its own, so that Ctrl-C reaches the supervisor only. What it says on
 * standard output goes to `<name>.out`, its log to `<name>.log`.
 */
export function start(
  home: string,
  name: ProgramName,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): ChildProcess {
  const outFile = join(home, 'logs', `${name}.out`);
  mkdirSync(join(home, 'logs'), { recursive: true, mode: 0o700 });
  const out = openSync(outFile, 'w', 0o600);
  const log = openLog(logFile(home, name));
  const child = spawn(nodeBinary(), [join(repoRoot(), 'dist', 'apps', name, 'main.js'), ...args], {
    stdio: ['ignore', out, log],
    detached: true,
    env: { ...process.env, ...env, BERTH_HOME: home },
  });
  closeSync(out);
  closeSync(log);
  return child;
}

/** The JSON lines that a program has said since its start. */
export function saidBy(home: string, name: ProgramName): Record<string, unknown>[] {
  const file = join(home, 'logs', `${name}.out`);
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return line.startsWith('{') ? [JSON.parse(line) as Record<string, unknown>] : [];
      } catch {
        return [];
      }
    });
}

/** True when the process runs and is one of ours: process numbers are used again. */
export function isOurs(pid: number | undefined, mark: string): pid is number {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return execFileSync('ps', ['-p', String(pid), '-o', 'args='], { encoding: 'utf8' }).includes(mark);
  } catch {
    return false;
  }
}

export async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(3_000) })).ok;
  } catch {
    return false;
  }
}

/** The wanted port when it is free, else any other. */
export async function freePort(wanted: number): Promise<number> {
  const tryPort = (port: number): Promise<number | null> =>
    new Promise((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(null));
      server.listen(port, '127.0.0.1', () => {
        const address = server.address();
        server.close(() => resolve(typeof address === 'object' && address ? address.port : null));
      });
    });
  const port = (await tryPort(wanted)) ?? (await tryPort(0));
  if (port === null) throw new Error('there is no free port on 127.0.0.1');
  return port;
}

/** Ends a process and its group: politely, then not. Resolves when it is gone. */
export async function endProcess(pid: number, politeMs = 10_000): Promise<void> {
  const alive = (): boolean => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };
  const signal = (name: NodeJS.Signals): void => {
    try {
      process.kill(pid, name);
    } catch {
      // It is gone already.
    }
  };
  signal('SIGTERM');
  for (const until = Date.now() + politeMs; alive() && Date.now() < until;)
    await new Promise((resolve) => setTimeout(resolve, 50));
  if (!alive()) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    signal('SIGKILL');
  }
}

import { spawn, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
} from 'node:fs';
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
export function openLog(file: string): number {
  mkdirSync(join(file, '..'), { recursive: true, mode: 0o700 });
  if (sizeOf(file) > LOG_BYTES) renameSync(file, `${file}.1`);
  return openSync(file, 'a', 0o600);
}

/** Puts a big log aside while its program goes on writing: it appends, so it goes on at the new end. */
export function trimLog(file: string): void {
  if (sizeOf(file) <= LOG_BYTES) return;
  copyFileSync(file, `${file}.1`);
  truncateSync(file);
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/**
 * Starts one of our programs in a process group of its own, so that Ctrl-C reaches the supervisor only. What it says goes to
 * files and not to us, so that it lives on when we are killed: standard output to `<name>.out`, the log to `<name>.log`.
 */
export function start(
  home: string,
  name: ProgramName,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): ChildProcess {
  const log = openLog(logFile(home, name));
  const out = openSync(join(home, 'logs', `${name}.out`), 'w', 0o600);
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

/** The address of a worker's own /health and /metrics, once it has said it. */
export function workerOpsUrl(home: string): string | null {
  const ops = saidBy(home, 'worker').find((line) => typeof line['ops'] === 'string')?.['ops'];
  return typeof ops === 'string' ? ops : null;
}

export async function isHealthy(url: string, path = '/health/ready'): Promise<boolean> {
  try {
    return (await fetch(`${url}${path}`, { signal: AbortSignal.timeout(3_000) })).ok;
  } catch {
    return false;
  }
}

/** Whether a port of 127.0.0.1 can be had; 0 stands for any. Null: it is taken. */
export function tryPort(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : null));
    });
  });
}

/** The wanted port when it is free, else any other. */
export async function freePort(wanted: number): Promise<number> {
  const port = (await tryPort(wanted)) ?? (await tryPort(0));
  if (port === null) throw new Error('there is no free port on 127.0.0.1');
  return port;
}

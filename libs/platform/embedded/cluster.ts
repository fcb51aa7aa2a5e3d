import { execFileSync, spawn } from 'node:child_process';
import {
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { ServerAccount } from './account.js';
import { embeddedFailure, errorCode, unlessMissing } from './failure.js';
import { isAlive, procFile } from './file-lock.js';
import { SUPERUSER } from './state.js';

/** One data folder, the programs that serve it, and the account they run under (null: ours). */
export interface Cluster {
  readonly dataDir: string;
  readonly programs: string;
  readonly account: ServerAccount | null;
  /** Everything that PostgreSQL and its tools say is appended here. */
  readonly logFile: string;
}

const LOG_LIMIT_BYTES = 16 * 1024 * 1024;

/** For a small machine that other programs share; postgresql.conf may be edited afterwards. */
const SETTINGS = {
  shared_buffers: '128MB',
  max_connections: '100',
  // Parallel plans need shared memory segments that small containers do not have, and win nothing on few cores.
  max_parallel_workers_per_gather: '0',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
  log_line_prefix: '%m [%p] %q%u@%d ',
};

/** Makes a new cluster in `dataDir`, which appears complete or not at all. */
export async function initialise(cluster: Cluster, superuserPassword: string, durable: boolean): Promise<void> {
  const staging = `${cluster.dataDir}.staging`;
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { mode: 0o700 });
  const passwordFile = join(staging, 'password');
  writeFileSync(passwordFile, superuserPassword, { mode: 0o600 });
  if (cluster.account) {
    chownSync(passwordFile, cluster.account.uid, cluster.account.gid);
    chownSync(staging, cluster.account.uid, cluster.account.gid);
  }
  const data = join(staging, 'data');
  await runProgram(cluster, 'initdb', [
    `--pgdata=${data}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
    '--no-instructions',
    ...(durable ? [] : ['--no-sync']),
    ...Object.entries(SETTINGS).map(([name, value]) => `--set=${name}=${value}`),
  ]);
  renameSync(data, cluster.dataDir);
  rmSync(staging, { recursive: true, force: true });
}

/** Starts the server in its own session, so that it outlives us and our terminal; resolves when it takes connections. */
export async function launch(cluster: Cluster, port: number, fsync: boolean): Promise<void> {
  const size = unlessMissing(() => statSync(cluster.logFile).size) ?? 0;
  if (size > LOG_LIMIT_BYTES) renameSync(cluster.logFile, `${cluster.logFile}.1`);
  const settings = ["listen_addresses='127.0.0.1'", "unix_socket_directories=''", `port=${port}`];
  if (!fsync) settings.push('fsync=off', 'synchronous_commit=off', 'full_page_writes=off');
  const options = settings.map((setting) => `-c ${setting}`).join(' ');
  await runProgram(cluster, 'pg_ctl', ['start', '-s', '-w', '-t', '120', '-D', cluster.dataDir, '-o', options]);
}

/** Ends all sessions, writes everything out and stops; falls back to an immediate stop, which recovery mends. */
export async function halt(cluster: Cluster): Promise<void> {
  try {
    await runProgram(cluster, 'pg_ctl', ['stop', '-s', '-w', '-t', '60', '-m', 'fast', '-D', cluster.dataDir]);
  } catch (error) {
    if (!findServer(cluster.dataDir).running) return;
    await runProgram(cluster, 'pg_ctl', ['stop', '-s', '-w', '-t', '30', '-m', 'immediate', '-D', cluster.dataDir]);
    if (findServer(cluster.dataDir).running) throw error;
  }
}

export type ServerTrace =
  | { readonly running: true; readonly pid: number; readonly port: number }
  | { readonly running: false; readonly leftover: boolean };

/** Reads postmaster.pid and asks the system whether that process is still this server; a killed one leaves the file. */
export function findServer(dataDir: string): ServerTrace {
  const text = unlessMissing(() => readFileSync(join(dataDir, 'postmaster.pid'), 'utf8'));
  if (text === undefined) return { running: false, leftover: false };
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  const port = Number(lines[3]);
  if (!Number.isInteger(pid) || pid <= 0 || !isServer(pid, dataDir)) return { running: false, leftover: true };
  return { running: true, pid, port };
}

/** Removes the trace of a dead server: its number may by now belong to an innocent process, which stops a start. */
export function clearLeftover(dataDir: string): void {
  if (!findServer(dataDir).running) rmSync(join(dataDir, 'postmaster.pid'), { force: true });
}

function isServer(pid: number, dataDir: string): boolean {
  if (!isAlive(pid)) return false;
  const command = procFile(pid, 'cmdline') ?? (process.platform === 'linux' ? '' : psCommand(pid));
  return command.includes('postgres') && command.includes(dataDir);
}

function psCommand(pid: number): string {
  try {
    return execFileSync('ps', ['-o', 'command=', '-ww', '-p', String(pid)], { encoding: 'utf8' });
  } catch {
    return '';
  }
}

async function runProgram(cluster: Cluster, name: string, args: readonly string[]): Promise<void> {
  const { account, logFile } = cluster;
  // Opened by us and inherited, so the server may log into a home that its account cannot enter.
  const log = openSync(logFile, 'a', 0o600);
  const before = statSync(logFile).size;
  try {
    const exit = await new Promise<number | string>((resolve) => {
      const child = spawn(join(cluster.programs, 'bin', name), args, {
        stdio: ['ignore', log, log],
        cwd: dirname(cluster.programs),
        env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
        ...(account ? { uid: account.uid, gid: account.gid } : {}),
      });
      child.once('error', (error) => resolve(errorCode(error) ?? error.message));
      child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'));
    });
    if (exit !== 0) throw programFailure(cluster, name, exit, before);
  } finally {
    closeSync(log);
  }
}

function programFailure(cluster: Cluster, name: string, exit: number | string, logFrom: number): Error {
  const said = readFileSync(cluster.logFile).subarray(logFrom).toString('utf8');
  const reason =
    reasonIn(said) ?? (exit === 'EPERM' ? 'switching to its account is not permitted here' : `exit ${exit}`);
  const as = cluster.account ? ` as ${cluster.account.name}` : '';
  return embeddedFailure(
    `The built-in PostgreSQL failed (${name}${as}): ${reason}. Its log is ${cluster.logFile}.`,
    exit === 'ENOENT' ? 'Its programs need a Linux with glibc (not Alpine) or macOS.' : undefined,
  );
}

/** The line of a log that names the cause. */
export function reasonIn(log: string): string | undefined {
  const lines = log.split('\n').map((line) => line.trim());
  const telling =
    lines.find((line) => /\b(FATAL|PANIC):/.test(line)) ??
    lines.find((line) => /\berror\b|could not|cannot/i.test(line));
  return telling
    ?.replace(/^.*?\b(?:FATAL|PANIC):\s*/, '')
    .replace(/\.$/, '')
    .slice(0, 300);
}

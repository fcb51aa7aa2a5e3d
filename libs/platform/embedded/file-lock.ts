import { closeSync, linkSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { MINUTE, SECOND, systemClock } from '#kernel';
import { embeddedFailure, errorCode, unlessMissing } from './failure.js';

const POLL_MS = 25;
const WAIT_MS = 3 * MINUTE;
/** A holder on another machine cannot be asked whether it lives; no start takes this long. */
const FOREIGN_STALE_MS = 5 * MINUTE;

let drafts = 0;

/** Runs `work` while holding the lock file at `path`; a lock whose process has died is broken. */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const mine = `${process.pid} ${processBirth(process.pid)} ${hostname()}`;
  const giveUpAt = systemClock.now() + WAIT_MS;
  while (!acquire(path, mine)) {
    breakIfStale(path);
    if (systemClock.now() > giveUpAt) {
      throw embeddedFailure(
        `Another process (${readHolder(path) ?? 'unknown'}) has held ${path} for more than three minutes.`,
        'Stop that process, or delete the lock file if there is none.',
      );
    }
    await pause(POLL_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

/** Written aside and linked into place, so a lock file is never seen half written. */
function acquire(path: string, holder: string): boolean {
  drafts += 1;
  const draft = `${path}.${process.pid}-${drafts}`;
  writeFileSync(draft, holder, { mode: 0o600, flag: 'wx' });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Only the process that makes `<path>.break` may judge and remove a lock, so that nobody removes its successor. */
function breakIfStale(path: string): void {
  if (!isStale(path)) return;
  const breaker = `${path}.break`;
  const since = unlessMissing(() => statSync(breaker).mtimeMs);
  if (since !== undefined && systemClock.now() - since > 30 * SECOND) rmSync(breaker, { force: true });
  try {
    const handle = openSync(breaker, 'wx', 0o600);
    writeSync(handle, String(process.pid));
    closeSync(handle);
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return;
    throw error;
  }
  try {
    if (isStale(path)) rmSync(path, { force: true });
  } finally {
    rmSync(breaker, { force: true });
  }
}

function readHolder(path: string): string | undefined {
  return unlessMissing(() => readFileSync(path, 'utf8'));
}

function isStale(path: string): boolean {
  const holder = readHolder(path);
  if (holder === undefined) return false;
  const [pid, birth, host] = holder.split(' ');
  if (host !== hostname()) {
    const since = unlessMissing(() => statSync(path).mtimeMs);
    return since !== undefined && systemClock.now() - since > FOREIGN_STALE_MS;
  }
  return !isAlive(Number(pid)) || processBirth(Number(pid)) !== birth;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/** A file of /proc/<pid>, or undefined when the process is gone or the system has no /proc. */
export function procFile(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return undefined;
  }
}

/** Tells a process from a later one with the same number: its start tick on Linux, '-' where there is no /proc. */
function processBirth(pid: number): string {
  const stat = procFile(pid, 'stat');
  // Field 22; the command name (field 2) may hold spaces and ends at the last ')'.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '-';
}

import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';

const PREFIX = 'berth-test-';

/** Makes the folder of one jest run. The database starts in it when a spec first asks for one. */
export function openRun() {
  for (const name of readdirSync(tmpdir())) {
    if (name.startsWith(PREFIX) && isAbandoned(join(tmpdir(), name))) closeRun(join(tmpdir(), name));
  }
  const run = mkdtempSync(join(tmpdir(), PREFIX));
  // The server may run under another account, which must be able to pass.
  chmodSync(run, 0o755);
  writeFileSync(join(run, 'owner'), `${process.pid} ${hostname()}`);
  writeFileSync(join(run, 'secret'), randomBytes(24).toString('base64url'), { mode: 0o600 });
  return run;
}

/** Stops the database of a run, if one was started, and deletes all of it. */
export function closeRun(run) {
  try {
    const { dataDir, programs, account, place } = JSON.parse(readFileSync(join(run, 'postgres.json'), 'utf8'));
    spawnSync(join(programs, 'bin', 'pg_ctl'), ['stop', '-s', '-w', '-m', 'immediate', '-D', dataDir], {
      cwd: '/',
      ...(account ? { uid: account.uid, gid: account.gid } : {}),
    });
    if (place) rmSync(place, { recursive: true, force: true });
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  rmSync(run, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** A run whose jest was killed before it could clean up. */
function isAbandoned(run) {
  try {
    const [pid, host] = readFileSync(join(run, 'owner'), 'utf8').split(' ');
    if (host !== hostname()) return false;
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

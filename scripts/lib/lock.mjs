import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { scratch } from './paths.mjs';

/** Lets one process of this checkout at a time run `work`; the lock of a dead process is removed. */
export async function alone(name, work, onWait = () => undefined) {
  mkdirSync(scratch, { recursive: true });
  const lock = join(scratch, `${name}.lock`);
  const draft = `${lock}.${process.pid}`;
  let told = false;
  for (;;) {
    writeFileSync(draft, String(process.pid));
    try {
      // Linked into place whole, so nobody reads a lock without its pid.
      linkSync(draft, lock);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    } finally {
      rmSync(draft, { force: true });
    }
    const holder = holderOf(lock);
    if (holder !== undefined && !isAlive(holder)) {
      discard(lock, holder, `${draft}.dead`);
      continue;
    }
    if (!told && holder !== undefined) onWait(holder);
    told = true;
    await pause(100);
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** Taken away first and looked at again: meanwhile somebody else may have removed it and taken the lock. */
function discard(lock, holder, aside) {
  try {
    renameSync(lock, aside);
    if (holderOf(aside) !== holder) linkSync(aside, lock);
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function holderOf(lock) {
  try {
    return Number(readFileSync(lock, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

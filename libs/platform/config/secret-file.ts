import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from './errors.js';
import { SECRET_MIN_LENGTH } from './variables.js';

/**
 * The installation's secret out of `<home>/secret` (mode 0600), made on the first call. Many processes may call it at once:
 * the file appears whole or not at all, and all of them get the same one.
 */
export function loadOrCreateSecret(home: string): string {
  const file = join(home, 'secret');
  return read(file) ?? create(home, file);
}

function read(file: string): string | undefined {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (!stat) return undefined;
  if ((stat.mode & 0o077) !== 0) {
    throw refused(`${file} can be read by other users of this machine. Run "chmod 600 ${file}" and start again.`);
  }
  const secret = readFileSync(file, 'utf8').trim();
  if (secret.length < SECRET_MIN_LENGTH) {
    const fix = 'Put it back from a backup: without it what was encrypted cannot be read.';
    throw refused(`${file} holds fewer than ${SECRET_MIN_LENGTH} characters, so it is damaged. ${fix}`);
  }
  return secret;
}

function create(home: string, file: string): string {
  mkdirSync(home, { recursive: true });
  const secret = randomBytes(36).toString('base64url');
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  const handle = openSync(draft, 'wx', 0o600);
  try {
    writeSync(handle, `${secret}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  try {
    // A link fails when the file is there, where a rename would replace the secret of a faster process.
    linkSync(draft, file);
    return secret;
  } catch (error) {
    const winner = read(file);
    if (winner === undefined) throw error;
    return winner;
  } finally {
    rmSync(draft, { force: true });
  }
}

function refused(sentence: string): ConfigError {
  return new ConfigError([{ variable: 'BERTH_SECRET', sentence }]);
}

import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ServerAccount } from './account.js';
import { embeddedFailure, errorCode } from './failure.js';

interface Modes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Whether the classic permission bits give `account` all of `wanted` (4 read, 2 write, 1 execute or traverse). */
export function permits(file: Modes, account: Pick<ServerAccount, 'uid' | 'gid'>, wanted: number): boolean {
  const shift = file.uid === account.uid ? 6 : file.gid === account.gid ? 3 : 0;
  return ((file.mode >> shift) & wanted) === wanted;
}

/**
 * The first folder on the way to (and including) `path` that `account` cannot pass, or undefined when all are open.
 * Looks at permission bits only: an access list can make this too strict, which costs a copy and nothing else.
 */
export function closedFolder(
  path: string,
  account: Pick<ServerAccount, 'uid' | 'gid'>,
  stat: (path: string) => Modes = statSync,
): string | undefined {
  const chain: string[] = [];
  for (let at = realpathSync(path); ; at = dirname(at)) {
    chain.unshift(at);
    if (at === dirname(at)) break;
  }
  return chain.find((folder) => !permits(stat(folder), account, 1));
}

/**
 * Opens (and makes, if needed) the folder outside the home that holds what the server account cannot reach there.
 * Everybody may pass through it and only we may write to it; a folder that somebody else prepared is refused.
 */
export function openPlace(home: string, bases: readonly string[] = ['/var/lib', tmpdir()]): string {
  const name = `berth-${createHash('sha256').update(realpathSync(home)).digest('hex').slice(0, 12)}`;
  const refused: string[] = [];
  for (const base of bases) {
    const place = join(base, name);
    try {
      mkdirSync(place, { mode: 0o711 });
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') {
        refused.push(`${place}: ${errorCode(error)}`);
        continue;
      }
    }
    const found = lstatSync(place);
    if (found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o022) === 0) return place;
    refused.push(`${place}: not a folder that only we can write to`);
  }
  throw embeddedFailure(
    `There is no place for the database that its account can reach (${refused.join('; ')}).`,
    'Remove these, or put the Berth home where other users may pass through.',
  );
}

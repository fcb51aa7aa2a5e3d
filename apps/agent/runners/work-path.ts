import { constants } from 'node:fs';
import { mkdir, open, realpath, type FileHandle } from 'node:fs/promises';
import { dirname, isAbsolute, join, sep } from 'node:path';
import { WorkFailure } from './runner.js';

/** Longest path a work may name. */
const PATH_CHARS_MAX = 1_024;

/** The place of a work's path inside its folder. Refuses what could lead out of it: absolute paths, `..`, NUL, backslashes. */
export function insideFolder(folder: string, path: string): string {
  const parts = path.split('/');
  const leadsOut =
    path.length === 0 ||
    path.length > PATH_CHARS_MAX ||
    isAbsolute(path) ||
    /[\0\\]/.test(path) ||
    parts.some((part) => part === '..' || part === '.' || part === '');
  if (leadsOut)
    throw new WorkFailure('path-refused', `"${path.slice(0, 200)}" is not a relative path inside the work's folder.`);
  return join(folder, ...parts);
}

/** Makes the folders above an input file. Nothing of the work has run yet, so there are no links to follow. */
export async function placeForInput(folder: string, path: string): Promise<string> {
  const place = insideFolder(folder, path);
  await mkdir(dirname(place), { recursive: true });
  return place;
}

/**
 * Opens an output that the work has written. The work may have put links anywhere: the file that is really opened must be a
 * regular file inside the folder, or a command could have the agent upload any file it can read.
 */
export async function openOutput(folder: string, path: string): Promise<FileHandle> {
  const place = insideFolder(folder, path);
  const refused = new WorkFailure(
    'path-refused',
    `The output "${path}" is not a regular file inside the work's folder.`,
  );
  let file: FileHandle;
  try {
    const [root, real] = await Promise.all([realpath(folder), realpath(place)]);
    if (!real.startsWith(root + sep)) throw refused;
    // Never waits for the other end of a pipe, never follows a link that was put there since.
    file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof WorkFailure) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new WorkFailure('output-missing', `The command did not write "${path}".`);
    throw refused;
  }
  const stat = await file.stat();
  // A second name could belong to a file outside; an output has no need of one.
  if (stat.isFile() && stat.nlink === 1) return file;
  await file.close();
  throw refused;
}

import { open, type FileHandle } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { tell, UsageError } from './exit.js';

/** Opens a file that was named on the command line; what cannot be opened is the line's mistake. */
export async function openInput(file: string): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(file);
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${whyNot(error)}`);
  }
  if ((await handle.stat()).isDirectory()) {
    await handle.close();
    throw new UsageError(`${file} is a folder, not a file`);
  }
  return handle;
}

/** All of a file, or of standard input when it is `-`. */
export async function readInput(file: string): Promise<string> {
  if (file === '-') return readStdin();
  const handle = await openInput(file);
  try {
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

/** Says that it waits only where somebody sits who could wonder. */
export async function readStdin(): Promise<string> {
  if (process.stdin.isTTY) tell('Reading from the terminal; end with Enter and Ctrl-D.');
  return text(process.stdin);
}

export function whyNot(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  const known: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file or folder',
    EACCES: 'you may not',
    EISDIR: 'it is a folder',
    ENOSPC: 'the disk is full',
  };
  return (
    (typeof code === 'string' ? known[code] : undefined) ?? (error instanceof Error ? error.message : String(error))
  );
}

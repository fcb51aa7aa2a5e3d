import { open, type FileHandle } from 'node:fs/promises';
import { buffer, text } from 'node:stream/consumers';
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

/** The bytes of a file, or of standard input when it is `-`, and when the file was changed last. */
export async function readBytes(file: string): Promise<{ bytes: Buffer; changedAtMs: number | null }> {
  if (file === '-') {
    sayWaiting();
    return { bytes: await buffer(process.stdin), changedAtMs: null };
  }
  const handle = await openInput(file);
  try {
    return { bytes: await handle.readFile(), changedAtMs: Math.floor((await handle.stat()).mtimeMs) };
  } finally {
    await handle.close();
  }
}

/** Says that it waits only where somebody sits who could wonder. */
export async function readStdin(): Promise<string> {
  sayWaiting();
  return text(process.stdin);
}

function sayWaiting(): void {
  if (process.stdin.isTTY) tell('Reading from the terminal; end with Enter and Ctrl-D.');
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

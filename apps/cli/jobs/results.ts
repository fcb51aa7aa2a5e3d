import { createWriteStream, lstatSync, openSync, renameSync, rmSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Run } from '../command.js';
import { Ended, EXIT, INTERRUPTED, tell, UsageError } from '../exit.js';
import { whyNot } from '../input.js';
import { rawRequest } from '../session.js';
import { plain } from '../text.js';

/** Streams bytes to standard output, or into a file that appears whole or not at all. */
export async function saveResults(run: Run, path: string, file: string | undefined): Promise<void> {
  const response = await rawRequest(run.login, 'GET', path);
  const source = whole(response.body);
  if (file === undefined || file === '-') {
    const safe = process.stdout.isTTY ? forTerminal(source) : source;
    for await (const chunk of safe)
      if (!process.stdout.write(chunk)) await new Promise((resolve) => process.stdout.once('drain', resolve));
    return;
  }
  // A device, a pipe or a link is written to as it is: a draft would take its place.
  const special = lstatSync(file, { throwIfNoEntry: false })?.isFile() === false;
  const draft = special ? file : `${file}.${process.pid}.part`;
  const discard = (): void => {
    if (!special) rmSync(draft, { force: true });
  };
  const interrupted = (): void => {
    discard();
    process.exit(INTERRUPTED);
  };
  // From before the draft is there until it has its name: a signal in between would leave it behind.
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    const fd = await opened(draft, special).catch((error: unknown) => {
      throw new UsageError(`${file} cannot be written: ${whyNot(error)}`);
    });
    await pipeline(Readable.from(source), createWriteStream(draft, { fd }));
    if (!special) renameSync(draft, file);
  } catch (error) {
    discard();
    if (error instanceof Ended || error instanceof UsageError) throw error;
    throw new Ended(EXIT.failed, `${file} cannot be written: ${whyNot(error)}`);
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  }
  if (!run.output.quiet) tell(`Written to ${file}`);
}

/** A draft in one step, so that no signal comes between its making and its removal; a pipe waits for its reader, interruptibly. */
async function opened(path: string, special: boolean): Promise<number | FileHandle> {
  return special ? open(path, 'w') : openSync(path, 'w');
}

/** The bytes of an answer; one that breaks off is said to be broken off. */
async function* whole(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  try {
    yield* body;
  } catch {
    throw new Ended(EXIT.retryLater, 'the connection broke off; what came is not all.\n  Run the same command again.');
  }
}

/** On a terminal, text from elsewhere without what the terminal would obey. */
export async function* forTerminal(source: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const chunk of source) yield plain(decoder.decode(chunk, { stream: true }));
}

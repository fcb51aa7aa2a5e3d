import { createWriteStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Run } from '../command.js';
import { tell } from '../exit.js';
import { rawRequest } from '../session.js';

/** Streams bytes to standard output, or into a file that appears whole or not at all. */
export async function saveResults(run: Run, path: string, file: string | undefined): Promise<void> {
  const response = await rawRequest(run.login, 'GET', path);
  const source = response.body ? Readable.fromWeb(response.body as never) : Readable.from([]);
  if (file === undefined) {
    for await (const chunk of source)
      if (!process.stdout.write(chunk as Uint8Array))
        await new Promise((resolve) => process.stdout.once('drain', resolve));
    return;
  }
  const draft = `${file}.part`;
  await pipeline(source, createWriteStream(draft));
  await rename(draft, file);
  if (!run.output.quiet) tell(`Written to ${file}`);
}

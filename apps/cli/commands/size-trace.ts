import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { createGunzip } from 'node:zlib';
import { TraceReader, TraceRefused, type TraceReport } from '#hardware';
import type { SizingView } from '#contracts';
import { UsageError } from '../exit.js';
import { openInput } from '../input.js';

interface TraceFlags {
  readonly lengths?: string;
  readonly strict?: boolean;
  readonly input?: number;
  readonly output?: number;
}

/** Reads a trace of any size line by line, and the lengths beside it; gzip is known by its first bytes. */
export async function readTrace(file: string, o: TraceFlags): Promise<TraceReport> {
  const reader = new TraceReader({ strict: o.strict === true });
  let at = file;
  try {
    await readLines(file, reader);
    if (o.lengths !== undefined) {
      at = o.lengths;
      reader.nextFile();
      await readLines(o.lengths, reader);
    }
    at = file;
    return reader.end(
      o.input !== undefined && o.output !== undefined ? { inputTokens: o.input, outputTokens: o.output } : undefined,
    );
  } catch (error) {
    if (error instanceof TraceRefused) throw new UsageError(`${at}: ${error.message}`);
    if (isZlib(error)) throw new UsageError(`${at} cannot be unpacked: ${error.message}`);
    throw error;
  }
}

/** What a trace was like, in the words of the answer. */
export function told(report: TraceReport): Pick<SizingView, 'findings' | 'findingsFound' | 'skipped'> {
  return { findings: [...report.findings], findingsFound: report.found, skipped: report.skipped };
}

/** No request is told in so many characters: a file without line ends must not fill the memory. */
const LINE_MOST = 16 * 1_048_576;

async function readLines(file: string, reader: TraceReader): Promise<void> {
  const decoder = new StringDecoder('utf8');
  // A long line is put together once, not again with every part of the file.
  let begun: string[] = [];
  let length = 0;
  let line = 1;
  for await (const part of (await unpacked(file)) as AsyncIterable<Buffer>) {
    const [first = '', ...others] = decoder.write(part).split('\n');
    begun.push(first);
    length += first.length;
    if (length > LINE_MOST) throw new TraceRefused(line, `is longer than ${LINE_MOST} characters`);
    for (const next of others) {
      reader.push(begun.join(''));
      line++;
      begun = [next];
      length = next.length;
    }
  }
  if (length > 0) reader.push(begun.join(''));
}

async function unpacked(file: string): Promise<Readable> {
  const source: Readable = file === '-' ? process.stdin : await opened(file);
  const parts = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const first = await parts.next();
  const head = first.done === true ? Buffer.alloc(0) : first.value;
  async function* all(): AsyncGenerator<Buffer> {
    if (head.length > 0) yield head;
    for (let part = await parts.next(); part.done !== true; part = await parts.next()) yield part.value;
  }
  const whole = Readable.from(all());
  if (head[0] !== 0x1f || head[1] !== 0x8b) return whole;
  const gunzip = createGunzip();
  whole.on('error', (error) => gunzip.destroy(error));
  return whole.pipe(gunzip);
}

/** Opened first by its handle, so that a missing file or a folder is the line's mistake. */
async function opened(file: string): Promise<Readable> {
  await (await openInput(file)).close();
  return createReadStream(file);
}

function isZlib(error: unknown): error is { readonly code: string; readonly message: string } {
  return (
    typeof error === 'object' &&
    error !== null &&
    'message' in error &&
    'code' in error &&
    typeof error.code === 'string' &&
    error.code.startsWith('Z_')
  );
}

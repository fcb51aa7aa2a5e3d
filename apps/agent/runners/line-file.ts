import type { FileHandle } from 'node:fs/promises';

const CHUNK_BYTES = 256 * 1024;
const NEWLINE = 10;

export interface FileLine {
  readonly text: string;
  /** Byte position right after the line. */
  readonly end: number;
  /** False for a last line that no newline ends. */
  readonly whole: boolean;
}

/**
 * Lines of a file as JSONL means them: only a newline separates. (node:readline also splits at U+2028 and U+2029, which may
 * stand unescaped inside JSON strings.)
 */
export async function* linesOf(file: FileHandle): AsyncGenerator<FileLine> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let rest: Buffer = Buffer.alloc(0);
  let read = 0;
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, read);
    if (bytesRead === 0) break;
    const start = read - rest.length;
    read += bytesRead;
    rest = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
    let from = 0;
    for (let at = rest.indexOf(NEWLINE); at >= 0; at = rest.indexOf(NEWLINE, from)) {
      yield { text: rest.toString('utf8', from, at), end: start + at + 1, whole: true };
      from = at + 1;
    }
    rest = rest.subarray(from);
  }
  if (rest.length > 0) yield { text: rest.toString('utf8'), end: read, whole: false };
}

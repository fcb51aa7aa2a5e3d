import { DomainError } from '#kernel';
import { batchLine, type BatchLine } from '#contracts';
import { mostTokens, type MostTokens } from './most-tokens.js';

export interface ShardSlice {
  readonly lineFrom: number;
  readonly lineTo: number;
  readonly byteFrom: number;
  readonly byteTo: number;
  /** No more tokens are charged for its lines than these; a machine that tells of more is not believed. */
  readonly inputTokensMost: number;
  readonly outputTokensMost: number;
}

export interface BatchPlan {
  readonly lines: number;
  readonly slices: readonly ShardSlice[];
  /** Characters of input over all lines: a first measure of the work. */
  readonly characters: number;
}

export const MAX_BATCH_LINES = 50_000;
export const MAX_LINE_BYTES = 1 << 20;

/** Lines per shard when the tenant does not say: about forty shards, so that losing a machine loses little and progress shows. */
export function defaultLinesPerShard(lines: number): number {
  return Math.max(1, Math.min(1_000, Math.ceil(lines / 40)));
}

/**
 * Checks a whole JSONL input before anything is rented and cuts it into shards by byte range. Errors name the line (from 1).
 * `model` must be the one every line asks for.
 */
export function planBatch(input: Uint8Array, model: string, linesPerShard: number | undefined): BatchPlan {
  const text = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const starts: number[] = [];
  const ends: number[] = [];
  const most: MostTokens[] = [];
  const seen = new Map<string, number>();
  let characters = 0;
  // Left out of the first shard: a byte order mark is no JSON.
  const first = text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf ? 3 : 0;
  for (let at = first, number = 1; at < text.length; number++) {
    const newline = text.indexOf(10, at);
    const end = newline === -1 ? text.length : newline;
    if (end - at > MAX_LINE_BYTES) throw lineError(number, `is longer than ${MAX_LINE_BYTES} bytes`);
    // Not trimmed before it is parsed: agents get these very bytes.
    const raw = text.toString('utf8', at, end);
    const next = newline === -1 ? text.length : newline + 1;
    if (raw.trim() !== '') {
      if (starts.length >= MAX_BATCH_LINES)
        throw lineError(
          number,
          `is beyond the limit of ${MAX_BATCH_LINES} requests`,
          'Split the input into several jobs.',
        );
      most.push(mostTokens(checkLine(raw, number, model, seen)));
      characters += raw.length;
      starts.push(at);
      ends.push(next);
    }
    at = next;
  }
  const lines = starts.length;
  if (lines === 0)
    throw new DomainError('invalid', 'empty-input', 'The input has no requests.', {
      field: 'spec.inputArtifactId',
      fix: 'Upload a JSONL file with one request per line.',
    });
  const per = linesPerShard ?? defaultLinesPerShard(lines);
  const slices: ShardSlice[] = [];
  for (let from = 0; from < lines; from += per) {
    const to = Math.min(lines, from + per);
    const own = most.slice(from, to);
    slices.push({
      lineFrom: from,
      lineTo: to,
      byteFrom: starts[from] ?? 0,
      byteTo: ends[to - 1] ?? text.length,
      inputTokensMost: own.reduce((n, m) => n + m.input, 0),
      outputTokensMost: own.reduce((n, m) => n + m.output, 0),
    });
  }
  return { lines, slices, characters };
}

function checkLine(raw: string, number: number, model: string, seen: Map<string, number>): BatchLine {
  let value: unknown;
  try {
    value = JSON.parse(raw);
  } catch (error) {
    throw lineError(number, `is not JSON: ${error instanceof Error ? error.message : 'unreadable'}`);
  }
  const parsed = batchLine.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw lineError(number, `${issue?.path.join('.') || 'request'}: ${issue?.message ?? 'is wrong'}`);
  }
  const line = parsed.data;
  const before = seen.get(line.custom_id);
  if (before !== undefined)
    throw lineError(
      number,
      `custom_id "${line.custom_id}" was used on line ${before} already`,
      'Give every request its own custom_id.',
    );
  seen.set(line.custom_id, number);
  if (line.body.model !== model)
    throw lineError(number, `asks for model "${line.body.model}" in a job for "${model}"`, 'Use one model per job.');
  return line;
}

function lineError(
  line: number,
  what: string,
  fix = 'Correct this line and submit again; nothing was rented.',
): DomainError {
  return new DomainError('invalid', 'invalid-batch-line', `Line ${line} ${what}`, {
    field: `line ${line}`,
    fix,
    facts: { line },
  });
}

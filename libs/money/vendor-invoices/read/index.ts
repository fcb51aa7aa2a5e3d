import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { CsvError, parse } from 'csv-parse';
import { DomainError } from '#kernel';
import { awsCur, columnName } from './aws-cur.js';
import { gcp } from './gcp.js';
import { BadLine, LineKeys, type Cell, type LineFormat, type VendorLine } from './line.js';
import { plainCsv } from './plain-csv.js';

export { type VendorLine } from './line.js';

export const vendorFormats = ['aws-cur', 'gcp', 'csv'] as const;
export type VendorFormat = (typeof vendorFormats)[number];
const FORMATS: Readonly<Record<VendorFormat, LineFormat>> = { 'aws-cur': awsCur, gcp, csv: plainCsv };

/** A line of the file that could not be read. */
export interface LineProblem {
  readonly line: number;
  readonly message: string;
  readonly fix: string;
}

export interface ReadInvoice {
  readonly lines: readonly VendorLine[];
  /** Of the file's content; packed or not, it is the same. */
  readonly fileHash: string;
  readonly skipped: number;
  /** The first of those that were skipped. */
  readonly problems: readonly LineProblem[];
}

export interface ReadLimits {
  readonly lines: number;
  readonly bytes: number;
}

/** A month of hourly lines of 600 machines; a line takes some 1.5 kB of memory until it is compared. */
const LIMITS: ReadLimits = { lines: 500_000, bytes: 2 ** 31 };
/** So many are told of at once. */
const TOLD = 20;
const KEPT = 100;
const LONGEST_LINE = 1_048_576;

/** Reads a vendor's invoice line by line; gzip is seen by its first bytes. Lines that cannot be read stop it, or are skipped and counted. */
export async function readVendorInvoice(
  bytes: AsyncIterable<Uint8Array>,
  of: { readonly format: VendorFormat; readonly badLines: 'stop' | 'skip' },
  limits: ReadLimits = LIMITS,
): Promise<ReadInvoice> {
  const format = FORMATS[of.format];
  const hash = createHash('sha256');
  const plain = unpacked(bytes, hash, limits.bytes);
  const lines: VendorLine[] = [];
  const problems: LineProblem[] = [];
  const keys = new LineKeys();
  let skipped = 0;
  for await (const { n, cell, broken } of recordsOf(plain, format, of.format)) {
    if (lines.length >= limits.lines)
      throw tooLarge(`The file has more than ${limits.lines} lines.`, 'Split it by days, or leave out other services.');
    try {
      if (broken !== null) throw broken;
      lines.push(keys.line(n, format.read(cell)));
    } catch (error) {
      if (!(error instanceof BadLine)) throw error;
      skipped++;
      if (problems.length < KEPT) problems.push({ line: n, message: error.message, fix: error.fix });
      if (of.badLines === 'stop' && problems.length >= TOLD) break;
    }
  }
  if (of.badLines === 'stop' && problems.length > 0) throw badLines(problems);
  if (lines.length === 0)
    throw invalid('vendor-invoice-empty', 'The file has no line that can be read.', 'Check file and --format.');
  return { lines, fileHash: hash.digest('hex'), skipped, problems };
}

/** The content, unpacked where it is packed, hashed and counted on its way. */
async function* unpacked(
  bytes: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
  mostBytes: number,
): AsyncGenerator<Buffer> {
  const { head, all } = await peeked(bytes, 2);
  const packed = head[0] === 0x1f && head[1] === 0x8b;
  let count = 0;
  for await (const chunk of packed ? unzipped(all) : all) {
    count += chunk.length;
    if (count > mostBytes) throw tooLarge('The file is too large.', 'Split it by days.');
    hash.update(chunk);
    yield Buffer.from(chunk);
  }
}

async function* unzipped(all: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip();
  const source = Readable.from(all, { objectMode: false });
  source.once('error', (error) => gunzip.destroy(error));
  try {
    for await (const chunk of source.pipe(gunzip)) yield chunk as Buffer;
  } catch (error) {
    if (typeof error !== 'object' || error === null || !('code' in error) || !/^Z_/.test(String(error.code)))
      throw error;
    throw invalid('vendor-invoice-broken', 'The file is not whole: it cannot be unpacked.', 'Download it again.');
  } finally {
    source.destroy();
  }
}

/** The first bytes, and all of them. */
async function peeked(
  bytes: AsyncIterable<Uint8Array>,
  least: number,
): Promise<{ head: Buffer; all: AsyncIterable<Uint8Array> }> {
  const source = bytes[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  while (head.length < least) {
    const next = await source.next();
    if (next.done) break;
    head = Buffer.concat([head, next.value]);
  }
  const all = async function* (): AsyncGenerator<Uint8Array> {
    yield head;
    for (let next = await source.next(); !next.done; next = await source.next()) yield next.value;
  };
  return { head, all: all() };
}

interface FileRecord {
  readonly n: number;
  readonly cell: Cell;
  readonly broken: BadLine | null;
}

async function* recordsOf(
  plain: AsyncIterable<Uint8Array>,
  format: LineFormat,
  name: VendorFormat,
): AsyncGenerator<FileRecord> {
  const { head, all } = await peeked(plain, 16);
  const content = Readable.from(all, { objectMode: false });
  if (name === 'gcp' && /^\uFEFF?\s*\{/.test(head.toString())) yield* jsonRecords(content);
  else yield* csvRecords(content, format);
}

async function* csvRecords(plain: Readable, format: LineFormat): AsyncGenerator<FileRecord> {
  const parser = plain.pipe(
    parse({ bom: true, skip_empty_lines: true, relax_column_count: true, info: true, max_record_size: LONGEST_LINE }),
  );
  plain.once('error', (error) => parser.destroy(error));
  let columns: Map<string, number> | null = null;
  let n = 0;
  try {
    for await (const item of parser) {
      const { record, info } = item as { record: string[]; info: { lines: number } };
      n = info.lines;
      if (columns === null) {
        columns = new Map(record.map((title, i) => [columnName(title), i]));
        checkColumns(columns, format);
        continue;
      }
      const at = columns;
      const short = record.length < at.size;
      yield {
        n,
        cell: (column) => record[at.get(column) ?? -1]?.trim() ?? '',
        broken: short
          ? new BadLine(`it has ${record.length} fields of ${at.size}`, 'The file may be cut off: download it again.')
          : null,
      };
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const fix = 'Export the file again as CSV, with quotes around fields that have commas or quotes.';
    throw badLines([{ line: n + 1, message: 'it is not CSV: a quote is not closed or stands alone', fix }]);
  }
}

async function* jsonRecords(plain: Readable): AsyncGenerator<FileRecord> {
  let n = 0;
  for await (const text of textLines(plain)) {
    n++;
    if (text.trim() === '') continue;
    let value: unknown = null;
    try {
      value = JSON.parse(text);
    } catch {
      // Said below: not an object.
    }
    const broken =
      typeof value !== 'object' || value === null || Array.isArray(value)
        ? new BadLine('it is not a JSON object', 'Export the table as newline-delimited JSON.')
        : null;
    yield { n, cell: (column) => fieldOf(value, column), broken };
  }
}

async function* textLines(plain: Readable): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of plain.setEncoding('utf8')) {
    const parts = (rest + String(chunk)).split('\n');
    rest = parts.pop() ?? '';
    if (rest.length > LONGEST_LINE) throw tooLarge('A line is longer than a megabyte.', 'Check --format.');
    yield* parts.map((text) => text.replace(/^\uFEFF/, ''));
  }
  yield rest;
}

/** `resource_name` of `{resource: {name}}`, or of a flat `{resource_name}`. */
function fieldOf(value: unknown, column: string): string {
  if (typeof value !== 'object' || value === null) return '';
  const flat = Object.entries(value);
  for (const [key, found] of flat) {
    if (columnName(key) === column) return textOf(found);
    const isParent = column.startsWith(`${columnName(key)}_`) && typeof found === 'object' && found !== null;
    if (isParent && !Array.isArray(found)) {
      const inner = fieldOf(found, column.slice(columnName(key).length + 1));
      if (inner !== '') return inner;
    }
  }
  return '';
}

const textOf = (found: unknown): string =>
  found === null || found === undefined
    ? ''
    : typeof found === 'string'
      ? found.trim()
      : Array.isArray(found)
        ? found.length === 0
          ? ''
          : JSON.stringify(found)
        : String(found as number | boolean);

function checkColumns(columns: ReadonlyMap<string, number>, format: LineFormat): void {
  const missing = format.needs.find((need) => !need.anyOf.some((name) => columns.has(name)));
  if (missing)
    throw badLines([{ line: 1, message: `there is no column ${missing.anyOf.join(' or ')}`, fix: missing.fix }]);
}

/** Stops an import: the first of the lines that are wrong, and all of them beside it. */
export function badLines(problems: readonly LineProblem[]): DomainError {
  const [first] = problems;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  return new DomainError('invalid', 'vendor-line-invalid', `Line ${first?.line}: ${first?.message}${more}.`, {
    field: `line ${first?.line}`,
    ...(first
      ? { fix: first.line === 1 ? first.fix : `${first.fix} Or skip such lines, which are then counted.` }
      : {}),
    problems: problems.map((p) => ({ field: `line ${p.line}`, message: p.message })),
  });
}

const invalid = (code: string, message: string, fix: string): DomainError =>
  new DomainError('invalid', code, message, { fix });
const tooLarge = (message: string, fix: string): DomainError =>
  new DomainError('too-large', 'vendor-invoice-too-large', message, { fix });

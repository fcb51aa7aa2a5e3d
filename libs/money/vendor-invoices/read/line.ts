import { createHash } from 'node:crypto';
import { HOUR, usd } from '#kernel';

/** One line of a vendor's invoice. */
export interface VendorLine {
  /** Line of the file, the first is 1. */
  readonly n: number;
  /** The vendor's own id of the line, or a digest of what it says with its number among lines that say the same. */
  readonly key: string;
  /** Digest of what it says: the same key with another digest is another bill for the same thing. */
  readonly digest: string;
  /** Names that the machine may have with us, the likeliest first; empty where the line is about no machine. */
  readonly machineIds: readonly string[];
  /** What was bought, for people. */
  readonly what: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly amountNano: bigint;
  /** Machine time that the vendor states; null where it says only in which window the time lies. */
  readonly statedMs: number | null;
}

/** A line that cannot be read: what is wrong and what to do. */
export class BadLine extends Error {
  constructor(
    message: string,
    readonly fix: string,
  ) {
    super(message);
    this.name = 'BadLine';
  }
}

/** What a format finds in a line; key and digest are worked out from it. */
export interface LineFacts extends Omit<VendorLine, 'n' | 'key' | 'digest'> {
  readonly id: string | null;
}

/** Looks a field up by its name; '' where it is absent or empty. */
export type Cell = (name: string) => string;

export interface LineFormat {
  /** Columns without which a line says nothing, each with how to get it; one of the names in a set is enough. */
  readonly needs: readonly { readonly anyOf: readonly string[]; readonly fix: string }[];
  readonly read: (cell: Cell) => LineFacts;
}

/** "1.2E-7", "-0.5" and "3" to nano-dollars; more than nine decimals round half away from zero. */
export function amountOf(text: string, column: string): bigint {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/.exec(text);
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match ?? [];
  if (!match || whole + fraction === '')
    throw new BadLine(`${column} is ${shown(text)}, not an amount`, 'Export it as a plain number such as 1.25.');
  const digits = `${whole}${fraction}`;
  const point = whole.length + Number(exponent);
  const padded = point < 0 ? '0'.repeat(-point) + digits : digits.padEnd(point, '0');
  const at = Math.max(point, 0);
  return usd(`${sign === '-' ? '-' : ''}${padded.slice(0, at) || '0'}.${padded.slice(at) || '0'}`);
}

/** "2026-11-01T00:00:00Z", "2026-11-01 00:00:00 UTC", "2026-11-01 00:00:00+00" and "2026-11-01"; UTC where no zone is said. */
export function timeOf(text: string, column: string): number {
  const match = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?))?\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)?$/.exec(
    text,
  );
  const [, day = '', clock = '00:00:00', zone = 'Z'] = match ?? [];
  const hours = /^[+-]\d\d$/.test(zone)
    ? `${zone}:00`
    : zone.replace('UTC', 'Z').replace(/^([+-]\d\d)(\d\d)$/, '$1:$2');
  const ms = match ? Date.parse(`${day}T${clock.slice(0, 12)}${hours}`) : NaN;
  if (Number.isNaN(ms))
    throw new BadLine(
      `${column} is ${shown(text)}, not a time`,
      'Export it in ISO 8601, such as 2026-11-01T00:00:00Z.',
    );
  return ms;
}

/** A start and an end in order. */
export function windowOf(cell: Cell, from: string, to: string): { fromMs: number; toMs: number } {
  const [fromMs, toMs] = [timeOf(cell(from), from), timeOf(cell(to), to)];
  if (toMs < fromMs)
    throw new BadLine(`${to} (${cell(to)}) is before ${from} (${cell(from)})`, 'Swap the two or correct the line.');
  return { fromMs, toMs };
}

/** Hours or seconds as text to milliseconds. */
export function spanOf(text: string, unit: 'hours' | 'seconds', column: string): number {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value) || value < 0)
    throw new BadLine(`${column} is ${shown(text)}, not a length of time`, 'It is a number of zero or more.');
  return Math.round(value * (unit === 'hours' ? HOUR : 1_000));
}

/** Only dollars are compared. */
export function checkDollars(text: string, column: string): void {
  if (text !== '' && text !== 'USD')
    throw new BadLine(`${column} is ${shown(text)}, not USD`, 'Export the invoice in US dollars.');
}

export const shown = (text: string): string => (text === '' ? 'empty' : `"${text.slice(0, 60)}"`);

/** Gives lines their keys; lines without an id of the vendor that say the same are told apart by their number. */
export class LineKeys {
  private readonly seen = new Map<string, number>();

  line(n: number, { id, ...facts }: LineFacts): VendorLine {
    const { machineIds, what, fromMs, toMs, amountNano, statedMs } = facts;
    const says = JSON.stringify([machineIds, what, fromMs, toMs, String(amountNano), statedMs]);
    const digest = createHash('sha256').update(says).digest('hex').slice(0, 32);
    const key = id ?? this.numbered(digest);
    return { n, key, digest, ...facts };
  }

  private numbered(digest: string): string {
    const n = (this.seen.get(digest) ?? 0) + 1;
    this.seen.set(digest, n);
    return `${digest}:${n}`;
  }
}

/** One request of a trace. */
export interface TraceRequest {
  readonly kind: 'request';
  /** Seconds from any fixed moment. */
  readonly atS: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Names of the blocks of the prompt, first to last; equal prefixes have equal names. */
  readonly blocks: readonly number[] | null;
}

/** The rate of one client over a window (ServeGen). */
export interface TraceRate {
  readonly kind: 'rate';
  readonly client: string;
  readonly atS: number;
  readonly perS: number;
}

/** Token lengths of one client over a window, by their quantiles (ServeGen). */
export interface TraceLengths {
  readonly kind: 'lengths';
  readonly client: string;
  readonly of: 'input' | 'output';
  readonly mean: number;
  /** Values with their share of the requests. */
  readonly points: readonly (readonly [tokens: number, share: number])[];
}

/** A line that tells nothing of use here, such as a media field. */
export interface TraceOther {
  readonly kind: 'other';
}

export type TraceLine = TraceRequest | TraceRate | TraceLengths | TraceOther;

export const traceForms = ['azure', 'mooncake', 'servegen-rates', 'servegen-lengths', 'plain'] as const;
export type TraceForm = (typeof traceForms)[number];

/** A line as one of the forms; text = what is wrong with it. */
export type ReadLine = (line: string) => TraceLine | string;

export interface OpenForm {
  readonly form: TraceForm;
  readonly read: ReadLine;
  /** The first line was a heading, no request. */
  readonly heading: boolean;
}

export const FORMS_TEXT =
  'CSV headed TIMESTAMP,ContextTokens,GeneratedTokens; arrival_s,input_tokens,output_tokens; or client,timestamp,rate,...; or JSON lines with timestamp (ms), input_length, output_length, hash_ids';

const MOST_TOKENS = 10_000_000;
/** Beyond it seconds tell no fractions, and minutes no order; about the year 5100, or 100 years from any start. */
const MOST_S = 1e11;
const MOST_PER_S = 1e9;
/** Tokens of a block of Mooncake's prefixes. */
export const BLOCK_TOKENS = 512;

/** Tells the form by the first line; null when it is none that is known. */
export function openForm(first: string): OpenForm | null {
  const line = first.replace(/^\uFEFF/, '').trim();
  if (line.startsWith('{')) {
    const row = jsonOf(line);
    const plain = row !== null && 'arrival_s' in row;
    return { form: plain ? 'plain' : 'mooncake', read: plain ? plainJson : mooncake, heading: false };
  }
  const names = cells(line).map((c) => c.toLowerCase());
  const at = (...options: readonly string[]): number => names.findIndex((n) => options.includes(n));
  const input = at('contexttokens', 'input_tokens', 'prompt_tokens', 'input_length');
  const output = at('generatedtokens', 'output_tokens', 'completion_tokens', 'output_length');
  const arrival = at('arrival_s');
  const stamp = at('timestamp');
  if (at('client') >= 0 && stamp >= 0 && at('rate') >= 0)
    return { form: 'servegen-rates', read: rates(at('client'), stamp, at('rate')), heading: true };
  if (at('client') >= 0 && at('field') >= 0 && at('mean') >= 0)
    return { form: 'servegen-lengths', read: lengths(names), heading: true };
  if (input < 0 || output < 0) return null;
  if (arrival >= 0) return { form: 'plain', read: csv(arrival, input, output, secondsOf), heading: true };
  return stamp >= 0 ? { form: 'azure', read: csv(stamp, input, output, utcOf), heading: true } : null;
}

function cells(line: string): string[] {
  return line.split(',').map((c) => c.trim().replace(/^"(.*)"$/, '$1'));
}

function csv(at: number, input: number, output: number, time: (text: string) => number | null): ReadLine {
  return (line) => {
    const row = cells(line);
    return request(time(row[at] ?? ''), row[at], numberOf(row[input]), numberOf(row[output]), null);
  };
}

function plainJson(line: string): TraceLine | string {
  const row = jsonOf(line);
  if (row === null) return 'is not a JSON object';
  return request(
    finite(row['arrival_s']),
    row['arrival_s'],
    finite(row['input_tokens']),
    finite(row['output_tokens']),
    null,
  );
}

function mooncake(line: string): TraceLine | string {
  const row = jsonOf(line);
  if (row === null) return 'is not a JSON object';
  const ms = finite(row['timestamp']);
  const ids = row['hash_ids'];
  const blocks = Array.isArray(ids) && ids.every((id) => typeof id === 'number') ? (ids as number[]) : null;
  if (ids !== undefined && blocks === null) return 'hash_ids must be a list of numbers';
  return request(
    ms === null ? null : ms / 1_000,
    row['timestamp'],
    finite(row['input_length']),
    finite(row['output_length']),
    blocks,
  );
}

function request(
  atS: number | null,
  saidAt: unknown,
  inputTokens: number | null,
  outputTokens: number | null,
  blocks: readonly number[] | null,
): TraceLine | string {
  if (atS === null || Math.abs(atS) > MOST_S) return `has no time that can be read: ${shown(saidAt)}`;
  for (const [what, n] of [
    ['prompt', inputTokens],
    ['answer', outputTokens],
  ] as const) {
    if (n === null) return `the tokens of the ${what} are no number`;
    if (!Number.isInteger(n) || n < 0 || n > MOST_TOKENS)
      return `the tokens of the ${what} are ${n}: must be a whole number from 0 to ${MOST_TOKENS}`;
  }
  if (inputTokens === 0 && outputTokens === 0) return 'has neither prompt nor answer';
  return { kind: 'request', atS, inputTokens: inputTokens ?? 0, outputTokens: outputTokens ?? 0, blocks };
}

function rates(client: number, stamp: number, rate: number): ReadLine {
  return (line) => {
    const row = cells(line);
    const atS = numberOf(row[stamp]);
    const perS = numberOf(row[rate]);
    if (atS === null || Math.abs(atS) > MOST_S) return `has no time that can be read: ${shown(row[stamp])}`;
    if (perS === null || perS < 0 || perS > MOST_PER_S)
      return `the rate is ${shown(row[rate])}: must be a number of requests per second`;
    return { kind: 'rate', client: row[client] ?? '', atS, perS };
  };
}

/** Shares of the requests that the published quantiles stand for: each reaches halfway to its neighbours. */
const quantileShares = [
  ['p5', 0.15],
  ['p25', 0.225],
  ['p50', 0.25],
  ['p75', 0.225],
  ['p95', 0.12],
  ['p99', 0.03],
] as const;

function lengths(names: readonly string[]): ReadLine {
  const at = (name: string): number => names.indexOf(name);
  return (line) => {
    const row = cells(line);
    const field = row[at('field')];
    if (field !== 'input_tokens' && field !== 'output_tokens') return { kind: 'other' };
    const mean = numberOf(row[at('mean')]);
    if (mean === null || mean < 0 || mean > MOST_TOKENS) return `the mean of ${field} is ${shown(row[at('mean')])}`;
    const points: (readonly [number, number])[] = [];
    for (const [name, share] of quantileShares) {
      const tokens = numberOf(row[at(name)]);
      if (tokens === null || tokens < 0 || tokens > MOST_TOKENS)
        return `${name} of ${field} is ${shown(row[at(name)])}`;
      points.push([Math.round(tokens), share]);
    }
    return {
      kind: 'lengths',
      client: row[at('client')] ?? '',
      of: field === 'input_tokens' ? 'input' : 'output',
      mean,
      points,
    };
  };
}

const stampPattern = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?$/;

/** UTC time with any number of decimals, in seconds. */
function utcOf(text: string): number | null {
  const match = stampPattern.exec(text);
  if (!match) return null;
  const ms = Date.parse(`${match[1]}T${match[2]}${match[4] ?? 'Z'}`);
  return Number.isNaN(ms) ? null : ms / 1_000 + Number(match[3] ?? 0);
}

function secondsOf(text: string): number | null {
  return numberOf(text);
}

function numberOf(text: string | undefined): number | null {
  if (text === undefined || text === '') return null;
  return finite(Number(text));
}

function finite(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function jsonOf(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}

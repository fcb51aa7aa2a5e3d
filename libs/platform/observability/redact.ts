import { types } from 'node:util';

/** What stands in place of a secret. */
export const REDACTED = '[redacted]';

const DEPTH_LIMIT = 10;
const ITEM_LIMIT = 200;

/** Any of these words in a field's name makes every text below it a secret. */
const SECRET_WORDS = new Set([
  'authorization',
  'bearer',
  'cookie',
  'cookies',
  'credential',
  'credentials',
  'jwt',
  'passphrase',
  'passwd',
  'password',
  'passwords',
  'pepper',
  'secret',
  'secrets',
  'signature',
  'token',
  'tokens',
  'apikey',
  'apikeys',
  'accesskey',
  'privatekey',
  'secretkey',
]);
/** Last words that say the field only names a secret or counts it: `keyId`, `tokenPrefix`. */
const HARMLESS_ENDINGS = new Set(['id', 'ids', 'prefix', 'kind', 'type', 'count', 'at', 'ms']);
/** Keys that open nothing. */
const HARMLESS_KEYS = new Set([
  'idempotency',
  'object',
  'deduplication',
  'cache',
  'sort',
  'public',
  'primary',
  'routing',
  'error',
]);

function wordsOf(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');
}

const verdicts = new Map<string, boolean>();

/** True when text under a field of that name must not be shown. */
export function namesSecret(name: string): boolean {
  const known = verdicts.get(name);
  if (known !== undefined) return known;
  const words = wordsOf(name);
  const last = words.at(-1) ?? '';
  const isKey = (last === 'key' || last === 'keys') && !HARMLESS_KEYS.has(words.at(-2) ?? '');
  const verdict = !HARMLESS_ENDINGS.has(last) && (isKey || words.some((word) => SECRET_WORDS.has(word)));
  // Field names come from our own code; the bound only guards against names made of outside data.
  if (verdicts.size < 5_000) verdicts.set(name, verdict);
  return verdict;
}

/** Secrets that are known by their looks, wherever in a text they stand. None matches a quote, so JSON stays JSON. */
const LOOKS = new RegExp(
  [
    // Our own keys and one-time tokens: the kind is kept, it helps to find the leak.
    String.raw`(?<own>\bberth_[a-z]+_)[0-9A-Za-z]{16,}`,
    String.raw`(?<scheme>\b(?:Bearer|Basic|AWS4-HMAC-SHA256)\s+)[^\s"\\]{8}[^"\\]*`,
    String.raw`(?<url>:\/\/)[^\s"@/\\]*:[^\s"@/\\]*(?=@)`,
    String.raw`\b(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{8,}`,
    String.raw`\bwhsec_[0-9A-Za-z+/=_-]{8,}`,
    String.raw`-----BEGIN [A-Z ]*PRIVATE KEY-----[^"]*?-----END [A-Z ]*PRIVATE KEY-----`,
    String.raw`(?<query>[?&][\w-]*(?:token|secret|signature|password|key)=)[^&\s"\\]+`,
  ].join('|'),
  'gi',
);

/** The text without the secrets that can be told by their looks. */
export function redactText(text: string): string {
  return text.replace(LOOKS, (...match: unknown[]) => {
    const groups = match.at(-1) as Record<string, string | undefined>;
    return `${groups.own ?? groups.scheme ?? groups.url ?? groups.query ?? ''}${REDACTED}`;
  });
}

/** A copy fit for a log line: secrets by field name gone at any depth, errors and cycles made plain, size bounded. */
export function redactFields(fields: object): Record<string, unknown> {
  return plainObject(fields, false, 0, []);
}

function plain(value: unknown, secret: boolean, depth: number, path: readonly object[]): unknown {
  switch (typeof value) {
    case 'string':
      return secret && value !== '' ? REDACTED : value;
    case 'bigint':
      return value.toString();
    case 'function':
    case 'symbol':
      return undefined;
    case 'object':
      return value === null ? null : plainReference(value, secret, depth, path);
    default:
      return value;
  }
}

function plainReference(value: object, secret: boolean, depth: number, path: readonly object[]): unknown {
  if (path.includes(value)) return '[circular]';
  if (depth >= DEPTH_LIMIT) return '[too deep]';
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? '[invalid date]' : value.toISOString();
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer)
    return secret ? REDACTED : `[${value.byteLength} bytes]`;
  if (value instanceof URL) return secret ? REDACTED : value.href;
  const inner = [...path, value];
  if (isError(value)) return plainError(value, secret, depth, inner);
  if (value instanceof Map) return plainObject(Object.fromEntries(value) as object, secret, depth, inner);
  if (Array.isArray(value) || value instanceof Set) {
    const items: unknown[] = [...value];
    const shown = items.slice(0, ITEM_LIMIT).map((item) => plain(item, secret, depth + 1, inner));
    return items.length > ITEM_LIMIT ? [...shown, `[${items.length - ITEM_LIMIT} more]`] : shown;
  }
  return plainObject(value, secret, depth, inner);
}

function plainObject(value: object, secret: boolean, depth: number, path: readonly object[]): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value).slice(0, ITEM_LIMIT)) {
    // Assigning a field of this name would set the copy's prototype instead.
    if (name !== '__proto__') out[name] = plain(item, secret || namesSecret(name), depth + 1, path);
  }
  return out;
}

/** Also for errors of another realm (a worker's, or of a test runner's sandbox), which are no `instanceof Error`. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}

function plainError(error: Error, secret: boolean, depth: number, path: readonly object[]): Record<string, unknown> {
  const rest = plainObject(error, secret, depth, path);
  return {
    ...rest,
    type: error.name,
    message: error.message,
    stack: error.stack,
    ...(error.cause === undefined ? {} : { cause: plain(error.cause, secret, depth + 1, path) }),
    ...(error instanceof AggregateError ? { errors: plain(error.errors, secret, depth + 1, path) } : {}),
  };
}

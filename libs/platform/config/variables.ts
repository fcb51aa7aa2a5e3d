import { isIP } from 'node:net';
import { z } from 'zod';

/** What a person is told about a variable; kept beside its check so that documents and messages cannot drift from it. */
interface Meaning {
  readonly about: string;
  /** Shown as the default; the words behind it when it is not a plain value. */
  readonly fallback: string;
  /** "all": never shown. "password": a URL whose password is hidden. */
  readonly secret?: 'all' | 'password';
}

const meanings = z.registry<Meaning>();

/** A variable that may be left out: `read` gets the trimmed, non-empty text and answers a value or says what it must be. */
function variable<T, F>(
  meaning: Meaning & { readonly mustBe: string },
  absent: F,
  read: (text: string) => T | undefined,
): z.ZodType<T | F, string | undefined> {
  const { mustBe, ...shown } = meaning;
  const schema = z
    .string()
    .optional()
    .transform((text, context): T | F => {
      if (text === undefined) return absent;
      const value = read(text);
      if (value !== undefined) return value;
      context.addIssue({ code: 'custom', message: mustBe });
      return z.NEVER;
    });
  schema.register(meanings, shown);
  return schema;
}

function wholeNumber(
  about: string,
  fallback: number,
  low: number,
  high: number,
  unit = '',
): z.ZodType<number, string | undefined> {
  const mustBe = `must be a whole number${unit && ` of ${unit}`} from ${low} to ${high}`;
  return variable({ about, fallback: String(fallback), mustBe }, fallback, (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    return value >= low && value <= high ? value : undefined;
  });
}

function oneOf<const T extends string>(
  about: string,
  fallback: T,
  choices: readonly T[],
): z.ZodType<T, string | undefined> {
  const mustBe = `must be one of ${choices.join(', ')}`;
  return variable({ about, fallback, mustBe }, fallback, (text) => choices.find((choice) => choice === text));
}

/** Text for people, on one line. */
function oneLine<F extends string | null>(about: string, fallback: F): z.ZodType<string | F, string | undefined> {
  const mustBe = 'must be one line of at most 200 visible characters';
  return variable({ about, fallback: fallback ?? 'none', mustBe }, fallback, (text) =>
    /^[^\p{Cc}\p{Zl}\p{Zp}]{1,200}$/u.test(text) ? text : undefined,
  );
}

/** The URL when it parses, has one of the schemes and names a host. */
function urlWith(text: string, schemes: readonly string[]): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url && schemes.includes(url.protocol) && url.hostname !== '' ? url : undefined;
}

/** An address, a range or a word for one. A range of everybody would let each client name itself. */
function isProxy(text: string): boolean {
  if (text === 'loopback' || text === 'private') return true;
  const [address = '', bits, ...more] = text.split('/');
  const kind = isIP(address);
  if (kind === 0 || more.length > 0) return false;
  return bits === undefined || (/^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= (kind === 4 ? 32 : 128));
}

const timesSchema = z.record(z.string(), z.int().nonnegative());

function timesIn(text: string): Readonly<Record<string, number>> | undefined {
  try {
    return timesSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

export const WORKER_ROLES = ['reconcile', 'sweep', 'billing'] as const;
export type WorkerRole = (typeof WORKER_ROLES)[number];

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Shorter secrets can be guessed; 32 characters of base 16 are still 128 bits. */
export const SECRET_MIN_LENGTH = 32;

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/i;
const IP_V6 = /^[0-9a-f:.]*:[0-9a-f:.]*$/i;

/** Every variable of the environment that Berth reads: the one schema. */
export const environmentSchema = z.object({
  BERTH_HOME: variable(
    {
      about: "Folder of Berth's own files: built-in database, artifacts, secret.",
      fallback: '.berth in the checkout, else in the current folder',
      mustBe: 'must be the path of a folder',
    },
    null,
    (text) => (text.includes('\0') ? undefined : text),
  ),
  BERTH_SECRET: variable(
    {
      about: 'Secret that all keys are derived from. The same in every process of one installation.',
      fallback: 'generated once and kept in BERTH_HOME/secret',
      mustBe: `must have at least ${SECRET_MIN_LENGTH} characters, for example the output of "openssl rand -base64 48"`,
      secret: 'all',
    },
    null,
    (text) => (text.length >= SECRET_MIN_LENGTH ? text : undefined),
  ),
  DATABASE_URL: variable(
    {
      about: 'PostgreSQL to use, connecting as the owner of the database.',
      fallback: 'the built-in PostgreSQL in BERTH_HOME',
      mustBe: 'must be a URL such as postgres://user:password@host:5432/berth',
      secret: 'password',
    },
    null,
    (text) => urlWith(text, ['postgres:', 'postgresql:']) && text,
  ),
  DATABASE_POOL_SIZE: wholeNumber('Connections that one process may hold per database role.', 10, 2, 500),
  REDIS_URL: variable(
    {
      about: 'Redis for the wake-up queue.',
      fallback: 'the queue lives in PostgreSQL',
      mustBe: 'must be a URL such as redis://host:6379 or rediss://user:password@host:6379/0',
      secret: 'password',
    },
    null,
    (text) => urlWith(text, ['redis:', 'rediss:']) && text,
  ),
  HOST: variable(
    {
      about: 'Address to listen on. Anything but this machine itself needs BERTH_SECRET.',
      fallback: '127.0.0.1',
      mustBe: 'must be an IP address or a host name, without a port',
    },
    '127.0.0.1',
    (text) => (HOST_NAME.test(text) || IP_V6.test(text) ? text : undefined),
  ),
  PORT: wholeNumber('Port of the API; 0 takes any free one.', 7070, 0, 65_535),
  METRICS_PORT: variable(
    {
      about: 'Port of /metrics and /health in processes without an API; 0 takes any free one.',
      fallback: 'none is opened',
      mustBe: 'must be a whole number from 0 to 65535',
    },
    null,
    (text) => (/^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined),
  ),
  PUBLIC_URL: variable(
    {
      about: 'Address under which machines and people reach the API; agents on rented machines call it.',
      fallback: 'http://HOST:PORT',
      mustBe: 'must be a URL such as https://berth.example.com, without a query',
    },
    null,
    (text) => {
      const url = urlWith(text, ['http:', 'https:']);
      return url && url.search === '' && url.hash === '' && url.username === '' ? text.replace(/\/+$/, '') : undefined;
    },
  ),
  TRUST_PROXY: variable(
    {
      about:
        'Reverse proxies whose X-Forwarded-For names the client: addresses, ranges (10.0.0.0/8), loopback, private; separated by commas.',
      fallback: 'none: the client is who connects',
      mustBe:
        'must be addresses of reverse proxies: IP addresses, ranges such as 10.0.0.0/8, loopback or private, separated by commas',
    },
    null,
    (text): readonly string[] | undefined => {
      const proxies = text.split(',').map((proxy) => proxy.trim());
      return proxies.every(isProxy) ? proxies : undefined;
    },
  ),
  OBJECTS_URL: variable(
    {
      about: 'Where artifacts lie: a folder, or a bucket of an S3-compatible store.',
      fallback: 'file: BERTH_HOME/objects',
      mustBe: 'must be file:/a/folder or s3://bucket?region=eu-west-1&endpoint=https://host&forcePathStyle=true',
      secret: 'password',
    },
    null,
    (text) => (/^file:.+/.test(text) || urlWith(text, ['s3:']) ? text : undefined),
  ),
  ROLES: variable(
    {
      about: `What this worker does, separated by commas: ${WORKER_ROLES.join(', ')}.`,
      fallback: WORKER_ROLES.join(','),
      mustBe: `must be one or more of ${WORKER_ROLES.join(', ')}, separated by commas`,
    },
    WORKER_ROLES,
    (text): readonly WorkerRole[] | undefined => {
      const asked = text.split(',').map((role) => role.trim());
      return asked.every((role) => (WORKER_ROLES as readonly string[]).includes(role))
        ? WORKER_ROLES.filter((role) => asked.includes(role))
        : undefined;
    },
  ),
  SWEEP_INTERVAL_MS: wholeNumber('How often rows that are due are woken again.', 1_000, 50, 3_600_000, 'milliseconds'),
  AGENT_POLL_MS: wholeNumber(
    "How long an agent's poll waits for work before it is answered empty.",
    25_000,
    100,
    120_000,
    'milliseconds',
  ),
  RATE_LIMIT_PER_MINUTE: wholeNumber('Requests that one key may make in a minute.', 600, 1, 10_000_000),
  BODY_LIMIT_BYTES: wholeNumber('Largest request body.', 67_108_864, 1_024, 5_368_709_120, 'bytes'),
  DEFAULT_MARGIN_BPS: wholeNumber(
    "Berth's margin on new providers, in hundredths of a percent.",
    1_000,
    0,
    100_000,
    'basis points',
  ),
  PRICE_HISTORY_DAYS: wholeNumber('How long what offers cost is kept.', 400, 1, 36_500, 'days'),
  INVOICE_GRACE_HOURS: wholeNumber('How long usage of a month is waited for before its invoice.', 48, 0, 672, 'hours'),
  INVOICE_NET_DAYS: wholeNumber('Days from an invoice to its due date, where nothing else was agreed.', 14, 0, 365),
  INVOICE_SELLER: oneLine('Name of the seller on invoices.', 'Berth'),
  INVOICE_SELLER_ADDRESS: variable(
    {
      about: "The seller's address on invoices: lines separated by semicolons.",
      fallback: 'none',
      mustBe: 'must be at most 8 lines separated by semicolons',
    },
    [],
    (text): readonly string[] | undefined => {
      const lines = text.split(';').map((line) => line.trim());
      return lines.length <= 8 && lines.every((line) => line !== '') ? lines : undefined;
    },
  ),
  INVOICE_SELLER_TAX_ID: oneLine("The seller's tax id on invoices.", null),
  INVOICE_SELLER_EMAIL: oneLine("The seller's email on invoices.", null),
  INVOICE_FOOTER: oneLine('A line at the foot of each invoice: where to pay.', null),
  DUNNING_REMIND_DAYS: variable(
    {
      about: 'Days after the due date on which a tenant is reminded of an unpaid invoice, separated by commas.',
      fallback: '0,3,7',
      mustBe: 'must be whole numbers of days from 0 to 365, separated by commas',
    },
    [0, 3, 7],
    (text): readonly number[] | undefined => {
      const days = text.split(',').map((day) => (/^\s*\d{1,3}\s*$/.test(day) ? Number(day) : Number.NaN));
      return days.every((day) => day <= 365) ? days.toSorted((a, b) => a - b) : undefined;
    },
  ),
  DUNNING_PAUSE_DAYS: wholeNumber('Days after the due date from which new work is refused.', 7, 0, 365),
  DUNNING_STOP_DAYS: wholeNumber('Days after the due date after which running work is ended.', 14, 0, 365),
  BILLING: oneOf('How tenants pay: by hand (an administrator confirms), or with cards through Stripe.', 'manual', [
    'manual',
    'stripe',
  ]),
  STRIPE_SECRET_KEY: variable(
    {
      about: "Stripe's secret key, for BILLING=stripe.",
      fallback: 'none',
      mustBe: 'must be a secret or restricted key of Stripe, which begins with sk_ or rk_',
      secret: 'all',
    },
    null,
    (text) => (/^(sk|rk)_\w+$/.test(text) ? text : undefined),
  ),
  STRIPE_WEBHOOK_SECRET: variable(
    {
      about: 'Signing secret of the webhook endpoint at Stripe; two, separated by a comma, while it is being changed.',
      fallback: 'none',
      mustBe: 'must be what Stripe shows for the endpoint, which begins with whsec_',
      secret: 'all',
    },
    null,
    (text) => (/^whsec_\w+(\s*,\s*whsec_\w+)*$/.test(text) ? text : undefined),
  ),
  STRIPE_API_BASE: variable(
    {
      about: "Another address than Stripe's own, for tests with a stand-in.",
      fallback: "Stripe's",
      mustBe: 'must be a URL such as http://127.0.0.1:12111, without a path',
    },
    null,
    (text) => {
      const url = urlWith(text, ['http:', 'https:']);
      return url && url.pathname === '/' && url.search === '' ? url.origin : undefined;
    },
  ),
  SANDBOX_URL: variable(
    {
      about: 'The sandbox cloud, for demonstrations and tests.',
      fallback: 'none',
      mustBe: 'must be a URL such as http://127.0.0.1:7071',
    },
    null,
    (text) => urlWith(text, ['http:', 'https:']) && text.replace(/\/+$/, ''),
  ),
  SANDBOX_KEY: variable(
    {
      about: 'Key for the sandbox cloud.',
      fallback: 'none',
      mustBe: 'must be the key that the sandbox printed',
      secret: 'all',
    },
    null,
    (text) => text,
  ),
  LOG_LEVEL: oneOf('Least serious log line that is written.', 'info', LOG_LEVELS),
  BERTH_TEST_LEASE_TIMES: variable(
    {
      about:
        'Other times of a lease than the built-in ones, for tests: a JSON object in milliseconds. Needs NODE_ENV=test.',
      fallback: 'the built-in times',
      mustBe: 'must be a JSON object of whole numbers, such as {"pollMs":200}',
    },
    null,
    (text) => timesIn(text),
  ),
  BERTH_TEST_PATIENCE_MS: variable(
    {
      about:
        'How long the queue, the database and frozen processes are waited for, for tests on a machine that may stand still. Needs NODE_ENV=test.',
      fallback: 'the built-in times',
      mustBe: 'must be a whole number of milliseconds',
    },
    null,
    (text) => (/^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined),
  ),
  NODE_ENV: oneOf('Kind of run; nothing but test helpers look at it.', 'production', [
    'production',
    'development',
    'test',
  ]),
});

export type VariableName = keyof typeof environmentSchema.shape;
export const VARIABLE_NAMES = Object.keys(environmentSchema.shape) as VariableName[];

export function meaningOf(name: VariableName): Meaning {
  const meaning = meanings.get(environmentSchema.shape[name]);
  if (!meaning) throw new Error(`${name} has no meaning`);
  return meaning;
}

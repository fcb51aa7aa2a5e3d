import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import type { z } from 'zod';
import { ConfigError, type ConfigProblem } from './errors.js';
import { shownValue } from './mask.js';
import { nearestName } from './nearest.js';
import { environmentSchema, VARIABLE_NAMES, type LogLevel, type VariableName, type WorkerRole } from './variables.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What the environment says, checked; null means "not given". Secrets are in here: never log it whole. */
export interface Config {
  readonly nodeEnv: 'production' | 'development' | 'test';
  /** Absolute path. */
  readonly home: string;
  /** Null: use `loadOrCreateSecret(home)`. */
  readonly secret: string | null;
  /** Null: start the built-in PostgreSQL. */
  readonly databaseUrl: string | null;
  /** Connections per process and role. */
  readonly databasePoolSize: number;
  /** Null: the queue lives in PostgreSQL. */
  readonly redisUrl: string | null;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Null: no port for /metrics and /health in a process without an API. */
  readonly metricsPort: number | null;
  /** Null: the address that the API listens on. No trailing slash. */
  readonly publicUrl: string | null;
  /** Addresses and ranges of the reverse proxies that are believed; `loopback` and `private` stand for theirs. Null: none. */
  readonly trustProxy: readonly string[] | null;
  /** `file:/absolute/folder` or `s3://bucket?...`. */
  readonly objectsUrl: string;
  readonly roles: readonly WorkerRole[];
  readonly sweepIntervalMs: number;
  readonly agentPollMs: number;
  readonly rateLimitPerMinute: number;
  readonly bodyLimitBytes: number;
  /** Hundredths of a percent. */
  readonly defaultMarginBps: number;
  /** Price events older than this are forgotten. */
  readonly priceHistoryDays: number;
  readonly invoices: {
    readonly graceHours: number;
    readonly netDays: number;
    readonly seller: {
      readonly name: string;
      readonly address: readonly string[];
      readonly taxId: string | null;
      readonly email: string | null;
    };
    readonly footer: string;
    /** Days after the due date. */
    readonly remindDays: readonly number[];
    readonly pauseDays: number;
    readonly stopDays: number;
  };
  /** Null: invoices are paid by hand. */
  readonly stripe: {
    readonly secretKey: string;
    readonly webhookSecret: string;
    /** Null: Stripe's own address. */
    readonly apiBase: string | null;
  } | null;
  readonly sandbox: { readonly url: string; readonly key: string | null } | null;
  readonly logLevel: LogLevel;
  /** By name, milliseconds; what the names are is the leases' business. Null outside tests. */
  readonly testLeaseTimes: Readonly<Record<string, number>> | null;
  /** How long the queue, the database and frozen processes are waited for. Null outside tests: each has its own time. */
  readonly testPatienceMs: number | null;
}

/** Read by other programs of this product (the agent, the sandbox, the command line), so not a mistake when they are seen here. */
const OF_OTHER_PROGRAMS = /^BERTH_(AGENT|SANDBOX|CLI|API|TEST)_[A-Z0-9_]+$/;

/** Reads and checks the whole environment. Throws one ConfigError with everything that is wrong. */
export function readConfig(env: Environment = process.env): Config {
  const given = givenVariables(env);
  const parsed = environmentSchema.safeParse(given);
  const problems: ConfigProblem[] = [
    ...unknownVariables(env),
    ...(parsed.error?.issues ?? []).map((issue) => {
      const name = issue.path[0] as VariableName;
      return problem(name, given[name] ?? '', issue.message, 'Correct it, or leave it out to get the default.');
    }),
    ...contradictions(given),
  ];
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);
  const v = parsed.data;
  const home = v.BERTH_HOME === null ? join(checkoutOf(process.cwd()), '.berth') : resolve(v.BERTH_HOME);
  return {
    nodeEnv: v.NODE_ENV,
    home,
    secret: v.BERTH_SECRET,
    databaseUrl: v.DATABASE_URL,
    databasePoolSize: v.DATABASE_POOL_SIZE,
    redisUrl: v.REDIS_URL,
    host: v.HOST,
    port: v.PORT,
    metricsPort: v.METRICS_PORT,
    publicUrl: v.PUBLIC_URL,
    trustProxy: v.TRUST_PROXY,
    objectsUrl: v.OBJECTS_URL ?? `file:${join(home, 'objects')}`,
    roles: v.ROLES,
    sweepIntervalMs: v.SWEEP_INTERVAL_MS,
    agentPollMs: v.AGENT_POLL_MS,
    rateLimitPerMinute: v.RATE_LIMIT_PER_MINUTE,
    bodyLimitBytes: v.BODY_LIMIT_BYTES,
    defaultMarginBps: v.DEFAULT_MARGIN_BPS,
    priceHistoryDays: v.PRICE_HISTORY_DAYS,
    invoices: {
      graceHours: v.INVOICE_GRACE_HOURS,
      netDays: v.INVOICE_NET_DAYS,
      seller: {
        name: v.INVOICE_SELLER,
        address: v.INVOICE_SELLER_ADDRESS,
        taxId: v.INVOICE_SELLER_TAX_ID,
        email: v.INVOICE_SELLER_EMAIL,
      },
      footer: v.INVOICE_FOOTER ?? '',
      remindDays: v.DUNNING_REMIND_DAYS,
      pauseDays: v.DUNNING_PAUSE_DAYS,
      stopDays: v.DUNNING_STOP_DAYS,
    },
    stripe: stripeOf(v),
    sandbox: v.SANDBOX_URL === null ? null : { url: v.SANDBOX_URL, key: v.SANDBOX_KEY },
    logLevel: v.LOG_LEVEL,
    testLeaseTimes: v.BERTH_TEST_LEASE_TIMES,
    testPatienceMs: v.BERTH_TEST_PATIENCE_MS,
  };
}

/** Known variables that carry something; an empty one counts as left out, because compose files write `NAME=` for that. */
export function givenVariables(env: Environment): Partial<Record<VariableName, string>> {
  const given: Partial<Record<VariableName, string>> = {};
  for (const name of VARIABLE_NAMES) {
    const text = env[name]?.trim();
    if (text) given[name] = text;
  }
  return given;
}

/** True for an address that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function problem(variable: VariableName, value: string, mustBe: string, fix: string): ConfigProblem {
  return { variable, sentence: `${variable} is "${shownValue(variable, value)}" but it ${mustBe}. ${fix}` };
}

function unknownVariables(env: Environment): ConfigProblem[] {
  const [first, ...others] = VARIABLE_NAMES;
  if (first === undefined) return [];
  return Object.keys(env)
    .filter((name) => name.startsWith('BERTH_') && !(name in environmentSchema.shape) && !OF_OTHER_PROGRAMS.test(name))
    .sort()
    .map((variable) => ({
      variable,
      sentence: `${variable} is not a variable that Berth knows. Rename it to ${nearestName(variable, [first, ...others])} if you meant that, else remove it.`,
    }));
}

/** Rules between variables. They read the text, so that they speak up beside other problems too. */
function contradictions(given: Partial<Record<VariableName, string>>): ConfigProblem[] {
  const found: ConfigProblem[] = [];
  if (given.HOST !== undefined && !isLoopback(given.HOST) && given.BERTH_SECRET === undefined) {
    const fix = 'Set BERTH_SECRET to at least 32 random characters, or listen on 127.0.0.1.';
    found.push(problem('HOST', given.HOST, 'can be reached from other machines, which needs BERTH_SECRET', fix));
  }
  if (given.SANDBOX_KEY !== undefined && given.SANDBOX_URL === undefined) {
    const fix = 'Set SANDBOX_URL, or remove SANDBOX_KEY.';
    found.push(problem('SANDBOX_KEY', given.SANDBOX_KEY, 'is of no use without SANDBOX_URL', fix));
  }
  found.push(...stripeContradictions(given));
  for (const name of ['BERTH_TEST_LEASE_TIMES', 'BERTH_TEST_PATIENCE_MS'] as const) {
    const value = given[name];
    if (value === undefined || given.NODE_ENV === 'test') continue;
    const fix = 'Remove it; a real installation keeps the built-in times.';
    found.push(problem(name, value, 'is for tests only, with NODE_ENV=test', fix));
  }
  return found;
}

function stripeContradictions(given: Partial<Record<VariableName, string>>): ConfigProblem[] {
  if (given.BILLING === 'stripe') {
    const missing = (['STRIPE_SECRET_KEY', 'STRIPE_WEBHOOK_SECRET'] as const).filter((n) => given[n] === undefined);
    const fix = 'Set both STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET, or leave BILLING out.';
    return missing.map((name) => problem('BILLING', 'stripe', `needs ${name}`, fix));
  }
  const names = ['STRIPE_SECRET_KEY', 'STRIPE_WEBHOOK_SECRET', 'STRIPE_API_BASE'] as const;
  return names.flatMap((name) => {
    const value = given[name];
    return value === undefined
      ? []
      : [problem(name, value, 'is of no use without BILLING=stripe', `Set it, or remove ${name}.`)];
  });
}

function stripeOf(v: z.output<typeof environmentSchema>): Config['stripe'] {
  const { STRIPE_SECRET_KEY: secretKey, STRIPE_WEBHOOK_SECRET: webhookSecret, STRIPE_API_BASE: apiBase } = v;
  if (v.BILLING === 'manual' || secretKey === null || webhookSecret === null) return null;
  return { secretKey, webhookSecret, apiBase };
}

/** The checkout of Berth that holds `folder`, else `folder` itself. */
function checkoutOf(folder: string): string {
  for (let at = folder; ; at = dirname(at)) {
    if (isCheckout(at)) return at;
    if (dirname(at) === at) return folder;
  }
}

function isCheckout(folder: string): boolean {
  const file = join(folder, 'package.json');
  if (!existsSync(file)) return false;
  try {
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof content === 'object' && content !== null && 'name' in content && content.name === 'berth';
  } catch {
    return false;
  }
}

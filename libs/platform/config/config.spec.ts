import { mkdtempSync, readdirSync, statSync, writeFileSync, chmodSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  ConfigError,
  configVariables,
  describeConfig,
  loadOrCreateSecret,
  readConfig,
  type Environment,
} from './index.js';

const SECRET = 'correct-horse-battery-staple-0123456789';

function problemsOf(env: Environment): string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((p) => p.sentence);
    throw error;
  }
  return [];
}

describe('readConfig', () => {
  it('needs nothing: an empty environment gives the built-in database and queue on this machine only', () => {
    const config = readConfig({});
    expect(config).toMatchObject({
      databaseUrl: null,
      redisUrl: null,
      secret: null,
      host: '127.0.0.1',
      port: 7070,
      metricsPort: null,
      stripe: null,
      sandbox: null,
      defaultMarginBps: 1000,
      roles: ['reconcile', 'sweep', 'billing'],
      logLevel: 'info',
    });
    expect(config.home).toBe(join(process.cwd(), '.berth'));
    expect(config.objectsUrl).toBe(`file:${join(config.home, 'objects')}`);
  });

  it('reads every variable', () => {
    const config = readConfig({
      BERTH_HOME: '/srv/berth',
      BERTH_SECRET: SECRET,
      DATABASE_URL: 'postgres://owner:pw@db:5432/berth',
      DATABASE_POOL_SIZE: '7',
      REDIS_URL: 'rediss://:pw@cache:6380/2',
      HOST: '0.0.0.0',
      PORT: '0',
      METRICS_PORT: '9100',
      PUBLIC_URL: 'https://berth.example.com/',
      TRUST_PROXY: 'loopback, 10.0.0.0/8,2001:db8::1',
      OBJECTS_URL: 's3://artifacts?region=eu-west-1&endpoint=https://minio:9000&forcePathStyle=true',
      ROLES: 'billing, sweep',
      SWEEP_INTERVAL_MS: '100',
      AGENT_POLL_MS: '1000',
      RATE_LIMIT_PER_MINUTE: '60',
      BODY_LIMIT_BYTES: '1048576',
      DEFAULT_MARGIN_BPS: '250',
      PRICE_HISTORY_DAYS: '90',
      INVOICE_GRACE_HOURS: '24',
      INVOICE_NET_DAYS: '30',
      INVOICE_SELLER: 'Berth GmbH',
      INVOICE_SELLER_ADDRESS: 'Street 1; 20457 Hamburg',
      INVOICE_SELLER_TAX_ID: 'DE1',
      INVOICE_SELLER_EMAIL: 'billing@example.com',
      INVOICE_FOOTER: 'IBAN DE00',
      DUNNING_REMIND_DAYS: '5, 1',
      DUNNING_PAUSE_DAYS: '6',
      DUNNING_STOP_DAYS: '9',
      BILLING: 'stripe',
      STRIPE_SECRET_KEY: 'sk_test_spec',
      STRIPE_WEBHOOK_SECRET: 'whsec_old, whsec_new',
      STRIPE_API_BASE: 'http://127.0.0.1:12111/',
      SANDBOX_URL: 'http://127.0.0.1:7071/',
      SANDBOX_KEY: 'sandbox-key',
      LOG_LEVEL: 'debug',
      BERTH_TEST_LEASE_TIMES: '{"pollMs":200}',
      BERTH_TEST_PATIENCE_MS: '60000',
      NODE_ENV: 'test',
    });
    expect(config).toEqual({
      nodeEnv: 'test',
      home: '/srv/berth',
      secret: SECRET,
      databaseUrl: 'postgres://owner:pw@db:5432/berth',
      databasePoolSize: 7,
      redisUrl: 'rediss://:pw@cache:6380/2',
      host: '0.0.0.0',
      port: 0,
      metricsPort: 9100,
      publicUrl: 'https://berth.example.com',
      trustProxy: ['loopback', '10.0.0.0/8', '2001:db8::1'],
      objectsUrl: 's3://artifacts?region=eu-west-1&endpoint=https://minio:9000&forcePathStyle=true',
      roles: ['sweep', 'billing'],
      sweepIntervalMs: 100,
      agentPollMs: 1000,
      rateLimitPerMinute: 60,
      bodyLimitBytes: 1_048_576,
      defaultMarginBps: 250,
      priceHistoryDays: 90,
      invoices: {
        graceHours: 24,
        netDays: 30,
        seller: {
          name: 'Berth GmbH',
          address: ['Street 1', '20457 Hamburg'],
          taxId: 'DE1',
          email: 'billing@example.com',
        },
        footer: 'IBAN DE00',
        remindDays: [1, 5],
        pauseDays: 6,
        stopDays: 9,
      },
      stripe: {
        secretKey: 'sk_test_spec',
        webhookSecret: 'whsec_old, whsec_new',
        apiBase: 'http://127.0.0.1:12111',
      },
      sandbox: { url: 'http://127.0.0.1:7071', key: 'sandbox-key' },
      logLevel: 'debug',
      testLeaseTimes: { pollMs: 200 },
      testPatienceMs: 60_000,
    });
  });

  it('takes an empty variable as left out', () => {
    expect(readConfig({ REDIS_URL: '', PORT: '  ', BERTH_SECRET: '' })).toEqual(readConfig({}));
  });

  it('tells all problems at once, each with its variable, its value and what to do', () => {
    const sentences = problemsOf({ PORT: '70700', LOG_LEVEL: 'loud', SWEEP_INTERVAL_MS: '1e3', BERTH_HOEM: '/x' });
    expect(sentences).toHaveLength(4);
    const all = sentences.join('\n');
    expect(all).toContain('PORT is "70700" but it must be a whole number from 0 to 65535. Correct it, or leave it out');
    expect(all).toContain('LOG_LEVEL is "loud" but it must be one of fatal, error');
    expect(all).toContain('SWEEP_INTERVAL_MS is "1e3" but it must be a whole number of milliseconds');
    expect(all).toContain('BERTH_HOEM is not a variable that Berth knows. Rename it to BERTH_HOME');
  });

  it.each([
    ['BERTH_PORT', 'PORT'],
    ['BERTH_DATABASE_URL', 'DATABASE_URL'],
    ['BERTH_SECRETS', 'BERTH_SECRET'],
    ['BERTH_REDISURL', 'REDIS_URL'],
  ])('names the nearest known variable for %s', (wrong, right) => {
    expect(problemsOf({ [wrong]: 'x' }).join()).toContain(`Rename it to ${right} if`);
  });

  it('lets variables of the other programs pass', () => {
    expect(problemsOf({ BERTH_API_KEY: 'x', BERTH_AGENT_TOKEN: 'y', BERTH_SANDBOX_SEED: 'z' })).toEqual([]);
  });

  it.each([
    ['DATABASE_URL', 'mysql://u:hunter2-canary@h/db'],
    ['DATABASE_URL', 'postgre://u:hunter2-canary@h/db'],
    ['DATABASE_URL', 'u:hunter2-canary@h/db'],
    ['REDIS_URL', 'http://:hunter2-canary@h'],
    ['OBJECTS_URL', 'https://u:hunter2-canary@h'],
    ['OBJECTS_URL', 'ftp://h/?secretAccessKey=hunter2-canary'],
    ['BERTH_SECRET', 'hunter2-canary'],
    ['SANDBOX_KEY', 'hunter2-canary'],
  ])('refuses %s=%s and does not repeat the secret in it', (name, value) => {
    const sentences = problemsOf({ [name]: value });
    expect(sentences).toHaveLength(1);
    expect(sentences[0]).toContain(name);
    expect(sentences[0]).not.toContain('canary');
  });

  it('takes cards with all that Stripe needs, and nothing of Stripe without cards', () => {
    const given = { STRIPE_SECRET_KEY: 'sk_test_canary', STRIPE_WEBHOOK_SECRET: 'whsec_canary' };
    expect(readConfig({ BILLING: 'stripe', ...given }).stripe).toMatchObject({ apiBase: null });
    expect(problemsOf({ BILLING: 'stripe' }).join()).toMatch(/needs STRIPE_SECRET_KEY.*needs STRIPE_WEBHOOK_SECRET/);
    const useless = problemsOf(given).join('\n');
    expect(useless).toContain('STRIPE_SECRET_KEY is');
    expect(useless).toContain('of no use without BILLING=stripe');
    expect(useless).not.toContain('canary');
    for (const wrong of [
      { STRIPE_SECRET_KEY: 'pk_test_x' },
      { STRIPE_WEBHOOK_SECRET: 'secret' },
      { STRIPE_API_BASE: 'http://127.0.0.1/v1' },
      { BILLING: 'paypal' },
    ])
      expect(problemsOf({ BILLING: 'stripe', ...given, ...wrong })).not.toEqual([]);
  });

  it('trusts no proxy unless told which, and never everybody', () => {
    expect(readConfig({}).trustProxy).toBeNull();
    expect(readConfig({ TRUST_PROXY: 'private,192.0.2.1/32' }).trustProxy).toEqual(['private', '192.0.2.1/32']);
    for (const wrong of [
      'true',
      '1',
      '*',
      '0.0.0.0/0',
      '::/0',
      '10.0.0.0/33',
      '10.0.0.0/',
      '10.0.0/8',
      'proxy.local',
    ]) {
      expect(problemsOf({ TRUST_PROXY: wrong }).join()).toContain('must be addresses of reverse proxies');
    }
    expect(problemsOf({ TRUST_PROXY: 'loopback,,private' })).toHaveLength(1);
  });

  it('takes another patience in tests only', () => {
    const BERTH_TEST_PATIENCE_MS = '60000';
    expect(problemsOf({ BERTH_TEST_PATIENCE_MS, NODE_ENV: 'test' })).toEqual([]);
    expect(problemsOf({ BERTH_TEST_PATIENCE_MS, NODE_ENV: 'production' }).join()).toContain('is for tests only');
    expect(readConfig({}).testPatienceMs).toBeNull();
  });

  it('takes other lease times in tests only', () => {
    const BERTH_TEST_LEASE_TIMES = '{"pollMs":1}';
    expect(problemsOf({ BERTH_TEST_LEASE_TIMES, NODE_ENV: 'test' })).toEqual([]);
    for (const kind of ['production', 'development', '']) {
      expect(problemsOf({ BERTH_TEST_LEASE_TIMES, NODE_ENV: kind }).join()).toContain('is for tests only');
    }
    for (const wrong of ['{', '[1]', '{"pollMs":-1}', '{"pollMs":"1"}', '7']) {
      expect(problemsOf({ BERTH_TEST_LEASE_TIMES: wrong, NODE_ENV: 'test' })).toHaveLength(1);
    }
  });

  it.each(['0.0.0.0', '::', '192.168.1.4', 'broker.example.com'])('listens on %s only with a secret', (host) => {
    expect(problemsOf({ HOST: host }).join()).toContain('needs BERTH_SECRET');
    expect(readConfig({ HOST: host, BERTH_SECRET: SECRET }).host).toBe(host);
  });

  it.each(['127.0.0.1', '127.1.2.3', '::1', 'localhost'])('listens on %s without one', (host) => {
    expect(readConfig({ HOST: host }).host).toBe(host);
  });

  it.each([
    ['PUBLIC_URL', 'berth.example.com'],
    ['PUBLIC_URL', 'https://berth.example.com?x=1'],
    ['HOST', '127.0.0.1:80'],
    ['ROLES', 'reconcile,everything'],
    ['DATABASE_POOL_SIZE', '1'],
    ['METRICS_PORT', '-1'],
    ['OBJECTS_URL', 's3://'],
  ])('refuses %s=%s', (name, value) => {
    expect(problemsOf({ [name]: value })).toHaveLength(1);
  });
});

describe('describeConfig', () => {
  it('has one row for each variable, with a meaning that is a sentence', () => {
    const rows = configVariables({});
    expect(rows.map((row) => row.name)).toContain('DATABASE_URL');
    for (const row of rows) expect(row.about).toMatch(/^[A-Z].*\.$/);
    expect(describeConfig().split('\n')).toHaveLength(rows.length + 2);
  });

  it('hides secrets', () => {
    const table = describeConfig({ BERTH_SECRET: SECRET, DATABASE_URL: 'postgres://owner:canary@db/berth' });
    expect(table).toContain('postgres://***@db/berth');
    expect(table).toContain('(hidden, 39 characters)');
    expect(table).not.toContain('canary');
    expect(table).not.toContain(SECRET);
  });
});

describe('loadOrCreateSecret', () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'berth-config-'));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  it('makes one once, readable by its owner only, and leaves no draft', () => {
    const inner = join(home, 'deep', 'home');
    const secret = loadOrCreateSecret(inner);
    expect(secret.length).toBeGreaterThanOrEqual(32);
    expect(loadOrCreateSecret(inner)).toBe(secret);
    expect(statSync(join(inner, 'secret')).mode & 0o777).toBe(0o600);
    expect(readdirSync(inner)).toEqual(['secret']);
    expect(readConfig({ BERTH_SECRET: secret }).secret).toBe(secret);
  });

  it('refuses a file that others can read', () => {
    loadOrCreateSecret(home);
    chmodSync(join(home, 'secret'), 0o644);
    expect(() => loadOrCreateSecret(home)).toThrow(/chmod 600/);
  });

  it('never replaces a damaged file', () => {
    writeFileSync(join(home, 'secret'), 'short', { mode: 0o600 });
    expect(() => loadOrCreateSecret(home)).toThrow(/damaged/);
    expect(existsSync(join(home, 'secret'))).toBe(true);
  });
});

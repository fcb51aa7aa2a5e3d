import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readConfig } from '#platform/config';
import { createLogger } from '#platform/observability';
import { TestApi, type TestTenant } from '../testing/test-api.js';
import { eventStream } from './events.js';
import type { EventAnswer } from './route.js';

describe('limits', () => {
  let api: TestApi;
  let tenant: TestTenant;
  beforeAll(async () => {
    api = await TestApi.start({
      config: {
        bodyLimitBytes: 1_024,
        rateLimitPerMinute: 5,
        publicUrl: null,
        agentPollMs: 1_000,
        defaultMarginBps: 0,
        trustProxy: null,
      },
    });
    tenant = await api.tenant();
  });
  afterAll(() => api.close());

  it('count per key, say where it stands, and refuse beyond with the time to wait', async () => {
    const left: unknown[] = [];
    for (let i = 0; i < 5; i++) left.push((await api.call('GET /v1/me', { key: tenant.key })).headers['ratelimit']);
    expect(left.map((text) => /r=(\d+)/.exec(String(text))?.[1])).toEqual(['4', '3', '2', '1', '0']);
    const over = await api.call('GET /v1/me', { key: tenant.key });
    expect([over.status, over.body['code'], over.body['retryable']]).toEqual([429, 'too-many-requests', true]);
    expect(Number(over.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(over.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect(over.headers['ratelimit-policy']).toBe('"key";q=5;w=60');
    expect((await api.call('GET /v1/me', { key: api.platformKey })).status).toBe(200);
  });

  it('stop an address that tries wrong keys, before they cost a look-up, and then for right ones too', async () => {
    const from = (remoteAddress: string, authorization: string) =>
      api.app.inject({ method: 'GET', url: '/v1/me', remoteAddress, headers: { authorization } });
    for (let i = 0; i < 60; i++) expect((await from('203.0.113.7', `Bearer wrong${i}`)).statusCode).toBe(401);
    expect((await from('203.0.113.7', 'Bearer wrong')).statusCode).toBe(429);
    expect((await from('203.0.113.7', `Bearer ${api.platformKey}`)).statusCode).toBe(429);
    expect((await from('203.0.113.8', `Bearer ${api.platformKey}`)).statusCode).toBe(200);
  });

  it('count per address before authentication', async () => {
    const statuses = new Set<number>();
    for (let i = 0; i < 101; i++) {
      statuses.add(
        (await api.app.inject({ method: 'GET', url: '/v1/nothing', remoteAddress: '203.0.113.9' })).statusCode,
      );
    }
    expect([...statuses]).toEqual([404, 429]);
  });

  it('end bodies that are larger than they may be, declared or not', async () => {
    const headers = { authorization: `Bearer ${api.platformKey}`, 'content-type': 'application/json' };
    const declared = await api.app.inject({
      method: 'POST',
      url: '/v1/organizations',
      headers,
      payload: `{"name":"${'x'.repeat(1_024)}"}`,
    });
    const chunked = await api.app.inject({
      method: 'POST',
      url: '/v1/organizations',
      headers: { ...headers, 'transfer-encoding': 'chunked' },
      payload: Readable.from(Array.from({ length: 64 }, () => Buffer.alloc(64, 'x'))),
    });
    for (const answer of [declared, chunked]) {
      expect([answer.statusCode, answer.json()]).toEqual([413, expect.objectContaining({ code: 'body-too-large' })]);
    }
  });
});

describe('the address of a caller', () => {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger({ name: 'spec', stream: { write: (line) => void lines.push(JSON.parse(line)) } });
  const PROXY = '10.1.2.3';
  const open: TestApi[] = [];
  const start = async (trustProxy: readonly string[] | null, rateLimitPerMinute = 1): Promise<TestApi> => {
    const { bodyLimitBytes, publicUrl, agentPollMs, defaultMarginBps } = readConfig({});
    const config = { bodyLimitBytes, publicUrl, agentPollMs, defaultMarginBps, rateLimitPerMinute, trustProxy };
    const api = await TestApi.start({ config, logger });
    open.push(api);
    return api;
  };
  afterAll(async () => {
    for (const api of open) await api.close();
  });
  /** One client more than an address may call: the last status, and the addresses that were logged. */
  const flood = async (api: TestApi, from: string, forwarded: (n: number) => string) => {
    lines.length = 0;
    let last = 0;
    for (let n = 0; n <= 20; n++) {
      const headers = { 'x-forwarded-for': forwarded(n) };
      last = (await api.app.inject({ method: 'GET', url: '/v1/nothing', remoteAddress: from, headers })).statusCode;
    }
    return { last, seen: new Set(lines.filter((l) => l['msg'] === 'request').map((l) => l['address'])) };
  };

  it('is the connection’s, whatever X-Forwarded-For says, when no proxy is trusted', async () => {
    const api = await start(null);
    expect(await flood(api, PROXY, (n) => `203.0.113.${n}`)).toEqual({ last: 429, seen: new Set([PROXY]) });
  });

  it('is the client’s behind a trusted proxy: each counts for itself, and the log names it', async () => {
    const api = await start(['loopback', '10.0.0.0/8']);
    const { last, seen } = await flood(api, PROXY, (n) => `203.0.113.${n}`);
    expect([last, seen.size, seen.has(PROXY)]).toEqual([404, 21, false]);
    // What the client itself wrote before the proxy appended where it came from is not believed.
    expect(await flood(api, PROXY, (n) => `198.51.100.${n}, 203.0.113.77`)).toEqual({
      last: 429,
      seen: new Set(['203.0.113.77']),
    });
    // Two proxies in a row.
    expect(await flood(api, PROXY, (n) => `198.51.100.${n}, 203.0.113.78, 10.9.9.9`)).toEqual({
      last: 429,
      seen: new Set(['203.0.113.78']),
    });
  });

  it('is what the audit log keeps of an action', async () => {
    const audited = async (api: TestApi, reference: string) => {
      const headers = { authorization: `Bearer ${api.platformKey}`, 'x-forwarded-for': '203.0.113.5' };
      const payload = { name: reference, keyName: 'first' };
      await api.app.inject({ method: 'POST', url: '/v1/organizations', remoteAddress: PROXY, headers, payload });
      const page = await api.app.inject({ url: '/v1/admin/audit?action=organization.create', headers });
      return (page.json<{ items: { actorAddress: string }[] }>().items ?? []).map((entry) => entry.actorAddress);
    };
    expect(await audited(await start(['10.0.0.0/8'], 10), 'behind')).toEqual(['203.0.113.5']);
    expect(await audited(await start(null, 10), 'open')).toEqual([PROXY]);
  });

  it('is the connection’s when that is not a trusted proxy', async () => {
    const api = await start(['10.0.0.0/8']);
    expect(await flood(api, '203.0.113.9', (n) => `198.51.100.${n}`)).toEqual({
      last: 429,
      seen: new Set(['203.0.113.9']),
    });
  });
});

describe('server-sent events', () => {
  const read = async (
    source: AsyncIterable<EventAnswer<unknown>>,
    signal = new AbortController().signal,
  ): Promise<string> => {
    let text = '';
    for await (const part of eventStream(source, signal)) text += String(part);
    return text;
  };

  it('carry id, name and JSON on one line each, whatever the data holds', async () => {
    async function* source(): AsyncGenerator<EventAnswer<unknown>> {
      yield { id: '1', event: 'job', data: { text: 'a\n\ndata: forged' } };
      yield { id: '2\ndata: x', data: null };
    }
    expect(await read(source())).toBe(
      'retry: 2000\n\nid: 1\nevent: job\ndata: {"text":"a\\n\\ndata: forged"}\n\nid: 2data: x\ndata: null\n\n',
    );
  });

  it('end with the signal though the source is silent, and let the source go', async () => {
    let returned = false;
    const silent: AsyncIterable<EventAnswer<unknown>> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => undefined),
        return: () => {
          returned = true;
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
    const stop = new AbortController();
    const reading = read(silent, stop.signal);
    setImmediate(() => stop.abort());
    expect(await reading).toBe('retry: 2000\n\n:\n\n');
    expect(returned).toBe(true);
  });

  it('break off when the source fails', async () => {
    async function* failing(): AsyncGenerator<EventAnswer<unknown>> {
      yield { data: 1 };
      throw new Error('the database went away');
    }
    await expect(read(failing())).rejects.toThrow('the database went away');
  });
});

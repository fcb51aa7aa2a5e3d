import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '#kernel';
import { startSandbox, type RunningSandbox } from './start.js';
import type { AgentProcess } from './agents.js';

const bootstrap = { brokerUrl: 'http://127.0.0.1:9', enrolToken: 'secret-token' };
const ask = { sku: 'l4-1x', region: 'us-east-1', name: 'a', tags: { owner: 'me' }, bootstrap };

describe('the sandbox server', () => {
  let sandbox: RunningSandbox;
  let clock: ManualClock;
  /** What happened to the fake agents, by machine. */
  let happened: string[];

  beforeEach(async () => {
    clock = new ManualClock();
    happened = [];
    const startAgent = ({ request }: { request: { name: string } }): AgentProcess => {
      happened.push(`start ${request.name}`);
      return {
        pid: 1_000_000 + happened.length,
        exited: Promise.resolve(),
        warn: () => void happened.push(`warn ${request.name}`),
        kill: () => void happened.push(`kill ${request.name}`),
      };
    };
    sandbox = await startSandbox({ key: 'k', bootMs: 10_000, stopMs: 1_000 }, { clock, startAgent });
  });
  afterEach(() => sandbox.close());

  async function call(
    method: string,
    path: string,
    body?: unknown,
    key = 'k',
  ): Promise<{ status: number; headers: Headers; json: Record<string, unknown> }> {
    const response = await fetch(`${sandbox.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}` },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return {
      status: response.status,
      headers: response.headers,
      json: (await response.json()) as Record<string, unknown>,
    };
  }
  const make = async (name: string): Promise<string> => {
    const { status, json } = await call('POST', '/v1/machines', { ...ask, name });
    expect(status).toBe(201);
    return String(json.id);
  };
  /** Time passes and the server looks around, as any request makes it. */
  const pass = async (ms: number): Promise<void> => {
    expect((await call('POST', '/control/time', { advanceMs: ms })).status).toBe(200);
  };

  it.each([
    ['GET', '/', 404],
    ['GET', '/v2/machines', 404],
    ['GET', '/v1/machines/a/b', 404],
    ['PATCH', '/v1/machines/x', 404],
    ['GET', '/v1/machines/%zz', 400],
    ['GET', '/v1/machines?tag=nonsense', 400],
    ['GET', '/v1/machines?cursor=nonsense', 400],
    ['POST', '/control/machines/x/kill', 404],
    ['GET', '/control/log?from=-1', 400],
    ['GET', '/control', 404],
  ])('answers %s %s with %i and a reason', async (method, path, status) => {
    const answer = await call(method, path);
    expect(answer.status).toBe(status);
    expect(answer.json).toEqual({
      error: expect.objectContaining({ code: expect.any(String), message: expect.any(String) }),
    });
  });

  it.each([
    ['not JSON', '{'],
    ['no object', '[]'],
    ['nothing', ''],
    ['an unknown field', { ...ask, gpus: 8 }],
    ['a wrong type', { ...ask, name: 7 }],
    ['a broker that is no address', { ...ask, bootstrap: { ...bootstrap, brokerUrl: 'file:///etc/passwd' } }],
    ['what is not sold', { ...ask, sku: 'b300' }],
  ])('refuses to make a machine of %s', async (_, body) => {
    const { status, json } = await call('POST', '/v1/machines', body);
    expect([status, json.error]).toEqual([400, expect.objectContaining({ code: 'invalid_request' })]);
    expect(sandbox.cloud.machines()).toEqual([]);
  });

  it('refuses a body without end', async () => {
    expect((await call('POST', '/v1/machines', ' '.repeat(1_100_000))).status).toBe(413);
  });

  it('wants the key everywhere', async () => {
    for (const path of ['/v1/offers', '/v1/machines', '/control/state', '/control/machines']) {
      expect((await call('GET', path, undefined, 'wrong')).status).toBe(401);
      expect((await fetch(`${sandbox.url}${path}`)).status).toBe(401);
    }
  });

  it('sends Retry-After with a rate limit', async () => {
    await call('PUT', '/control/faults', { faults: [{ point: 'offers', kind: 'rate-limited', arg: 1_500 }] });
    const { status, headers, json } = await call('GET', '/v1/offers');
    expect([status, headers.get('retry-after')]).toEqual([429, '2']);
    expect(json.error).toMatchObject({ code: 'rate_limited', retryAfterMs: 1_500 });
  });

  it('cuts the connection of an answer that is lost by reset', async () => {
    await call('PUT', '/control/faults', {
      faults: [{ point: 'get', kind: 'answer-lost-before-effect', how: 'reset' }],
    });
    await expect(call('GET', '/v1/machines/x')).rejects.toThrow();
  });

  it('refuses faults that cannot happen and keeps the old ones', async () => {
    const faults = [{ point: 'create', kind: 'no-capacity' }];
    await call('PUT', '/control/faults', { faults });
    expect((await call('PUT', '/control/faults', { faults: [{ point: 'get', kind: 'no-capacity' }] })).status).toBe(
      400,
    );
    expect((await call('GET', '/control/state')).json).toMatchObject({ faults, timeScale: 1 });
  });

  it('starts one agent when a machine runs and kills it when it is terminated', async () => {
    const id = await make('a');
    expect(happened).toEqual([]);
    await pass(10_000);
    await pass(10_000);
    expect(happened).toEqual(['start a']);
    expect((await call('DELETE', `/v1/machines/${id}`)).status).toBe(202);
    await pass(0);
    expect(happened).toEqual(['start a', 'kill a']);
  });

  it('warns the agent of a preemption with notice and kills it at the end', async () => {
    const id = await make('a');
    await pass(10_000);
    await call('POST', `/control/machines/${id}/preempt`, { noticeMs: 5_000 });
    await pass(4_999);
    expect(happened).toEqual(['start a', 'warn a']);
    await pass(1);
    expect(happened).toEqual(['start a', 'warn a', 'kill a']);
    expect((await call('GET', `/v1/machines/${id}`)).json).toMatchObject({ status: 'preempted' });
  });

  it('kills a machine behind the back of the vendor', async () => {
    const id = await make('a');
    expect((await call('POST', `/control/machines/${id}/kill`)).status).toBe(409);
    await pass(10_000);
    expect((await call('POST', `/control/machines/${id}/kill`)).json).toMatchObject({
      agentDead: true,
      agentPid: null,
    });
    await pass(60_000);
    expect(happened).toEqual(['start a', 'kill a']);
    expect((await call('GET', `/v1/machines/${id}`)).json).toMatchObject({ status: 'running' });
  });

  it('shows machines, log and bill to the one who runs it, and never a token', async () => {
    const id = await make('a');
    await pass(10_000);
    expect((await call('POST', `/control/machines/${id}/fail`)).json).toMatchObject({ state: 'failed' });
    const shown = await Promise.all(
      ['machines', 'log', 'bill', 'state'].map((what) => call('GET', `/control/${what}`)),
    );
    expect(shown.map((answer) => answer.status)).toEqual([200, 200, 200, 200]);
    expect(shown[0]?.json.machines).toEqual([expect.objectContaining({ id, state: 'failed', name: 'a' })]);
    expect(shown[1]?.json.entries).toEqual(sandbox.cloud.log);
    expect(shown[2]?.json.lines).toEqual([expect.objectContaining({ machineId: id, seconds: 60, amount: '11833333' })]);
    const all =
      shown.map((answer) => JSON.stringify(answer.json)).join() +
      JSON.stringify((await call('GET', `/v1/machines/${id}`)).json);
    expect(all).not.toContain('secret-token');
  });

  it('lets time stand still and run faster', async () => {
    await call('POST', '/control/time', { timeScale: 0 });
    const id = await make('a');
    clock.advance(1_000_000);
    expect((await call('GET', `/v1/machines/${id}`)).json).toMatchObject({ status: 'pending' });
    await call('POST', '/control/time', { timeScale: 100 });
    clock.advance(100);
    expect((await call('GET', `/v1/machines/${id}`)).json).toMatchObject({ status: 'running' });
  });
});

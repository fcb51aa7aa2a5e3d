import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { ManualClock, SeededRandom } from '#kernel';
import {
  continueTrace,
  createLogger,
  createMetrics,
  currentContext,
  formatTraceparent,
  HealthRegistry,
  nestLogger,
  parseTraceparent,
  Repairs,
  startOpsServer,
  withContext,
} from './index.js';

function capture(): { lines: () => Record<string, unknown>[]; stream: { write(line: string): void } } {
  let text = '';
  return {
    stream: { write: (line) => void (text += line) },
    lines: () =>
      text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

describe('createLogger', () => {
  it('writes name, time of the given clock, level and the context around the line', async () => {
    const { lines, stream } = capture();
    const logger = createLogger({ name: 'worker', stream, clock: new ManualClock(Date.UTC(2026, 4, 1)) });
    await withContext({ requestId: 'req_1', traceId: 't' }, async () => {
      await nextTurn();
      await withContext({ kind: 'lease', id: 'lease_1' }, async () => {
        await nextTurn();
        logger.child({ room: 'leases' }).info({ n: 1 }, 'inside');
      });
    });
    logger.debug('too quiet');
    logger.info('outside');
    const [inside, outside] = lines();
    expect(inside).toMatchObject({
      name: 'worker',
      level: 'info',
      time: '2026-05-01T00:00:00.000Z',
      msg: 'inside',
      n: 1,
    });
    expect(inside).toMatchObject({ requestId: 'req_1', traceId: 't', kind: 'lease', id: 'lease_1', room: 'leases' });
    expect(outside).toMatchObject({ msg: 'outside' });
    expect(outside).not.toHaveProperty('requestId');
    expect(lines()).toHaveLength(2);
    expect(currentContext()).toEqual({});
  });

  it('shows errors with stack, code and cause', () => {
    const { lines, stream } = capture();
    const error = Object.assign(new Error('outer', { cause: new RangeError('inner') }), { code: 'no-capacity' });
    createLogger({ name: 'api', stream }).error(error);
    expect(lines()[0]).toMatchObject({
      msg: 'outer',
      err: { type: 'Error', code: 'no-capacity', cause: { type: 'RangeError', message: 'inner' } },
    });
    expect(JSON.stringify(lines()[0])).toContain('observability.spec');
  });

  it('takes the lines of Nest', () => {
    const { lines, stream } = capture();
    const nest = nestLogger(createLogger({ name: 'api', stream }));
    nest.log('Mapped {/v1/jobs, POST}', 'RouterExplorer');
    nest.error('it broke', 'Error: it broke\n    at here', 'ExceptionsHandler');
    expect(lines()).toMatchObject([
      { level: 'info', msg: 'Mapped {/v1/jobs, POST}', context: 'RouterExplorer' },
      { level: 'error', msg: 'it broke', context: 'ExceptionsHandler', stack: 'Error: it broke\n    at here' },
    ]);
  });
});

describe('traceparent', () => {
  const header = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

  it('is read and written', () => {
    const trace = parseTraceparent(header);
    expect(trace).toEqual({ traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', sampled: true });
    expect(trace && formatTraceparent(trace)).toBe(header);
  });

  it.each([
    undefined,
    '',
    'nonsense',
    header.replace('00-', 'ff-'),
    `${header}-extra`,
    header.toUpperCase(),
    '00-00000000000000000000000000000000-00f067aa0ba902b7-01',
    '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01',
  ])('%s is refused', (text) => expect(parseTraceparent(text)).toBeNull());

  it('of a later version is read as far as we know it', () => {
    expect(parseTraceparent(`01${header.slice(2)}-what-comes`)?.traceId).toBe('4bf92f3577b34da6a3ce929d0e0e4736');
  });

  it('goes on with a span of ours, or starts anew', () => {
    const random = new SeededRandom(1);
    const ours = continueTrace(header, random);
    expect(ours.traceId).toBe('4bf92f3577b34da6a3ce929d0e0e4736');
    expect(ours.spanId).not.toBe('00f067aa0ba902b7');
    const fresh = continueTrace('nonsense', random);
    expect(parseTraceparent(formatTraceparent(fresh))).toEqual(fresh);
  });
});

describe('repairs', () => {
  it('are counted for specs and for Prometheus alike', async () => {
    const { registry, repairs } = createMetrics({ process: 'worker', defaults: false });
    repairs.count('sweep-direct');
    repairs.count('sweep-direct', 2);
    repairs.count('orphan', 0);
    expect(repairs.totals()).toEqual({ 'sweep-direct': 3 });
    expect(await registry.metrics()).toContain('berth_repairs_total{net="sweep-direct",process="worker"} 3');
  });

  it('need a proper name', () => {
    expect(() => new Repairs().count('Some Net!')).toThrow(RangeError);
  });
});

describe('health', () => {
  it('separates live from ready, names what fails and hides secrets in the reason', async () => {
    const health = new HealthRegistry();
    health.add({ name: 'loop', kind: 'live', check: () => undefined });
    health.add({
      name: 'database',
      kind: 'ready',
      check: () => Promise.reject(new Error('no answer of postgres://u:pw@db')),
    });
    expect(await health.live()).toEqual({ status: 'ok', checks: [{ name: 'loop', ok: true }] });
    expect(await health.ready()).toEqual({
      status: 'failing',
      checks: [{ name: 'database', ok: false, detail: 'no answer of postgres://[redacted]@db' }],
    });
  });

  it('does not wait for a check that hangs', async () => {
    const health = new HealthRegistry();
    health.add({ name: 'stuck', kind: 'ready', timeoutMs: 1, check: () => new Promise(() => undefined) });
    expect((await health.ready()).checks[0]).toMatchObject({ ok: false, detail: 'no answer within 1 ms' });
  });

  it('refuses two checks of one name', () => {
    const health = new HealthRegistry();
    health.add({ name: 'x', kind: 'live', check: () => undefined });
    expect(() => health.add({ name: 'x', kind: 'ready', check: () => undefined })).toThrow(/twice/);
  });
});

describe('the ops server', () => {
  it('serves metrics and health, and turns away when draining', async () => {
    const health = new HealthRegistry();
    const { registry, repairs } = createMetrics({ process: 'agent' });
    repairs.count('orphan');
    const server = await startOpsServer({ port: 0, health, registry });
    try {
      const get = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${server.port}${path}`);
      const metrics = await (await get('/metrics')).text();
      expect(metrics).toContain('berth_repairs_total{net="orphan",process="agent"} 1');
      expect(metrics).toContain('process_cpu_seconds_total');
      expect((await get('/health/live')).status).toBe(200);
      expect((await get('/health/ready?x=1')).status).toBe(200);
      expect((await get('/other')).status).toBe(404);
      expect((await fetch(`http://127.0.0.1:${server.port}/metrics`, { method: 'POST' })).status).toBe(405);
      health.drain();
      const ready = await get('/health/ready');
      expect(ready.status).toBe(503);
      expect(await ready.json()).toMatchObject({ status: 'failing', checks: [{ name: 'draining' }] });
      expect((await get('/health/live')).status).toBe(200);
    } finally {
      await server.close();
    }
  });
});

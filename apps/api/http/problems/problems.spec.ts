import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { problemSchema } from '#contracts';
import { DomainError, newId, type ErrorKind } from '#kernel';
import { UniqueViolation } from '#platform/database';
import { TestApi, type TestTenant } from '../../testing/test-api.js';
import { problemOf } from './problem.js';

type Line = `${string} /${string}`;

let api: TestApi;
let tenant: TestTenant;
const logged: { fields: unknown; message: string | undefined }[] = [];

beforeAll(async () => {
  api = await TestApi.start({
    logger: {
      trace: () => undefined,
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: (fields: unknown, message?: string) => logged.push({ fields, message }),
      fatal: () => undefined,
      child() {
        return this;
      },
    },
  });
  tenant = await api.tenant();
});
afterAll(() => api.close());

describe('a failure', () => {
  it.each([
    ['an unknown route', 'GET /v1/nothing', {}, 404, 'no-such-route'],
    ['an address that is no address', 'GET /%zz', {}, 400, 'invalid-request'],
    ['a wrong method', 'PUT /v1/projects', {}, 405, 'method-not-allowed'],
    ['TRACE', 'TRACE /v1/projects', {}, 405, 'method-not-allowed'],
    ['a body that is not JSON', 'POST /v1/projects', { body: '{"name":}' }, 400, 'malformed-json'],
    ['an empty body', 'POST /v1/projects', { body: ' ' }, 400, 'malformed-json'],
    ['no body', 'POST /v1/projects', {}, 400, 'invalid-body'],
    [
      'a form',
      'POST /v1/projects',
      { body: 'name=x', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
      'unsupported-media-type',
    ],
    [
      'another charset',
      'POST /v1/projects',
      { body: '{}', headers: { 'content-type': 'application/json; charset=utf-16' } },
      415,
      'unsupported-media-type',
    ],
    [
      'a compressed body',
      'POST /v1/projects',
      { body: '{}', headers: { 'content-encoding': 'gzip' } },
      415,
      'unsupported-encoding',
    ],
    [
      'a body that is too large',
      'POST /v1/projects',
      { body: `{"name":"${'x'.repeat(1_048_577)}"}` },
      413,
      'body-too-large',
    ],
    ['an unknown field', 'POST /v1/projects', { body: { name: 'a', role: 'admin' } }, 400, 'invalid-body'],
    ['an unknown query field', 'GET /v1/projects?admin=true', {}, 400, 'invalid-query'],
    ['an unknown query field where there is none', 'GET /v1/me?x=1', {}, 400, 'invalid-query'],
    ['a limit out of range', 'GET /v1/projects?limit=201', {}, 400, 'invalid-query'],
    ['no limit at all', 'GET /v1/projects?limit=0', {}, 400, 'invalid-query'],
    [
      'a text with NUL',
      'POST /v1/placements/preview',
      { body: '{"workload":{"constraints":{"regions":["a\\u0000b"]}}}' },
      400,
      'unkept-text',
    ],
    [
      'a text with half of a pair',
      'POST /v1/placements/preview',
      { body: '{"workload":{"constraints":{"regions":["a\\ud800b"]}}}' },
      400,
      'unkept-text',
    ],
    ['a path with NUL', 'GET /v1/offers/a%00b/history', {}, 400, 'unkept-text'],
    ['a malformed id', 'GET /v1/projects/prj_1', {}, 404, 'not-found'],
    ['an id of another kind', `GET /v1/projects/${newId('job')}`, {}, 404, 'not-found'],
    ['a role that is lacking', 'GET /v1/organizations', {}, 403, 'role-lacking'],
  ] as [string, Line, Parameters<TestApi['call']>[1], number, string][])(
    'is a problem document: %s',
    async (_, line, with_, status, code) => {
      const answer = await api.call(line, { key: tenant.key, ...with_ });
      expect([answer.status, answer.body['code']]).toEqual([status, code]);
      expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
      expect(problemSchema.strict().parse(answer.body)).toMatchObject({
        status,
        requestId: answer.headers['x-request-id'],
      });
      expect(JSON.stringify(answer.body)).not.toMatch(/node_modules|\.ts|\.js\b|at [A-Z]\w+\./);
    },
  );

  it('names each wrong field by its path', async () => {
    const body = {
      spec: { kind: 'command', command: [] },
      workload: { accelerator: { count: 1.5, models: [''] } },
      colour: 'red',
    };
    const answer = await api.call('POST /v1/jobs', { key: tenant.key, body });
    const fields = (answer.body['problems'] as { field: string }[]).map((p) => p.field);
    expect(fields).toEqual(
      expect.arrayContaining(['workload.accelerator.count', 'workload.accelerator.models[0]', 'colour']),
    );
  });

  it('ends a question as a question', async () => {
    const body = {
      spec: { kind: 'command', command: ['true'] },
      workload: { accelerator: { count: 1, models: ['H10'] } },
    };
    const answer = await api.call('POST /v1/jobs', { key: tenant.key, body });
    expect(answer.body['detail']).toMatch(/did you mean [^.]+\?$/);
  });

  it('says where a body stops being JSON', async () => {
    const { body } = await api.call('POST /v1/projects', { key: tenant.key, body: '{\n "name": "x",\n}' });
    expect(body).toMatchObject({ detail: 'The body is not JSON at line 3, column 1.', facts: { line: 3, column: 1 } });
  });

  it('answers 404 for what is not yours exactly as for what does not exist', async () => {
    const other = await api.tenant('Other');
    const real = await api.call(`GET /v1/projects/${other.projectId}`, { key: tenant.key });
    const none = newId('project');
    const missing = await api.call(`GET /v1/projects/${none}`, { key: tenant.key });
    const plain = ({ body, status }: typeof real, id: string) =>
      JSON.stringify({ ...body, requestId: '', status }).replaceAll(id, 'ID');
    expect(plain(real, other.projectId)).toBe(plain(missing, none));
  });

  it('allows what a path has: 405 names it, OPTIONS lists it, and neither opens it to other origins', async () => {
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
    const wrong = await api.call('DELETE /v1/projects', { headers });
    const options = await api.call('OPTIONS /v1/projects', { headers });
    expect([wrong.status, wrong.headers['allow']]).toEqual([405, 'GET, HEAD, POST']);
    expect([options.status, options.headers['allow']]).toEqual([204, 'GET, HEAD, POST']);
    for (const { headers: got } of [wrong, options, await api.call('GET /v1/projects', { key: tenant.key, headers })]) {
      expect(Object.keys(got).filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
  });

  it('carries the security headers, as every answer does', async () => {
    for (const line of [
      'GET /v1/nothing',
      'GET /%zz',
      'GET /v1/me',
      'GET /health/live',
      'POST /v1/projects',
    ] as const) {
      const { headers } = await api.call(line);
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-request-id': expect.stringMatching(/^req_/),
      });
      expect(String(headers['content-security-policy'])).toMatch(/^default-src 'none'/);
    }
  });

  it('answers HEAD as GET, without a body', async () => {
    const head = await api.call('HEAD /v1/me', { key: tenant.key });
    expect([head.status, head.body]).toEqual([200, { text: '' }]);
    expect((await api.call('HEAD /v1/me')).status).toBe(401);
  });

  it('of ours tells the log everything and the caller nothing', async () => {
    const metrics = api.ground.metrics.registry.metrics;
    api.ground.metrics.registry.metrics = () => Promise.reject(new Error('password=hunter2 at db.internal'));
    const answer = await api.call('GET /metrics');
    api.ground.metrics.registry.metrics = metrics;
    expect([answer.status, answer.body['code'], answer.body['retryable']]).toEqual([500, 'internal', true]);
    expect(JSON.stringify(answer.body)).not.toMatch(/hunter2|db\.internal/);
    expect(logged.at(-1)?.fields).toMatchObject({ requestId: answer.body['requestId'], err: expect.any(Error) });
  });
});

describe('problemOf', () => {
  const status: Record<ErrorKind, number> = {
    invalid: 400,
    unauthenticated: 401,
    'payment-required': 402,
    forbidden: 403,
    'not-found': 404,
    conflict: 409,
    'too-large': 413,
    unprocessable: 422,
    'rate-limited': 429,
    unavailable: 503,
  };
  it.each(Object.entries(status) as [ErrorKind, number][])('gives %s the status %d', (kind, expected) => {
    expect(problemOf(new DomainError(kind, 'some-code', 'Text.'), 'req_1')).toMatchObject({
      status: expected,
      unexpected: false,
      body: { code: 'some-code', type: 'urn:berth:problem:some-code' },
    });
  });

  it('tells nothing of the constraint that a row violated', () => {
    const { status: code, body } = problemOf(new UniqueViolation('api_keys', 'api_keys_hash_key'), 'req_1');
    expect([code, body.code]).toEqual([409, 'exists-already']);
    expect(JSON.stringify(body)).not.toContain('api_keys');
  });

  it.each([{ code: 'ECONNREFUSED' }, { code: '57P01' }, { driverError: { code: '08006' } }])(
    'calls a lost database unavailable, to be tried again: %j',
    (facts) => {
      const answer = problemOf(Object.assign(new Error('x'), facts), 'req_1');
      expect([answer.status, answer.body.retryable, answer.headers['retry-after']]).toEqual([503, true, '2']);
    },
  );

  it.each([undefined, null, 'text', 7, {}, new TypeError('x is not a function')])('takes %p for a bug', (thrown) => {
    expect(problemOf(thrown, 'req_1')).toMatchObject({ status: 500, unexpected: true });
  });
});

import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { ExecutionContext } from '@nestjs/common';
import { ID_PREFIXES, newId, type IdKind } from '#kernel';
import { routes } from '../controllers.js';
import { TestApi } from '../testing/test-api.js';
import { refuseLenientRouter } from './boot-checks.js';
import { CallInterceptor } from './call.interceptor.js';
import type { RouteSpec } from './route.js';
import { routeOf } from './serve.js';

let api: TestApi;
let port: number;
/** Guarded routes whose handler was about to run: the interceptor is the last step before it. */
let passed: string[];

beforeAll(async () => {
  api = await TestApi.start();
  await api.app.listen(0, '127.0.0.1');
  ({ port } = api.app.getHttpServer().address() as { port: number });
  const intercept = CallInterceptor.prototype.intercept;
  jest.spyOn(CallInterceptor.prototype, 'intercept').mockImplementation(function (
    this: CallInterceptor,
    context: ExecutionContext,
    next,
  ) {
    const spec = routeOf(context.getHandler());
    if (spec?.access !== 'public') passed.push(`${spec?.method} ${spec?.path}`);
    return intercept.call(this, context, next);
  });
});
afterAll(async () => {
  jest.restoreAllMocks();
  await api.close();
});

/** Ways to write one path; some reach the handler's route, most must not. */
const SPELLINGS: Readonly<Record<string, (path: string) => string>> = {
  plain: (p) => p,
  'trailing slash': (p) => `${p}/`,
  'two trailing slashes': (p) => `${p}//`,
  'double slash in front': (p) => `/${p}`,
  'double slash inside': (p) => p.replace(/(.)\//, '$1//'),
  'dot segment in front': (p) => `/.${p}`,
  'dot segment at the end': (p) => `${p}/.`,
  'up and down': (p) => `/x/..${p}`,
  'up at the end': (p) => `${p}/x/..`,
  'encoded dot segment': (p) => `/%2e${p}`,
  'encoded up and down': (p) => `/x/%2e%2e${p}`,
  'encoded slash inside': (p) => p.replace(/(.)\//, '$1%2f'),
  'encoded slash at the end': (p) => `${p}%2F`,
  'upper case': (p) => p.toUpperCase(),
  'one letter in upper case': (p) => p.replace(/[a-z]/, (c) => c.toUpperCase()),
  'matrix parameter': (p) => `${p};x=1`,
  'semicolon query': (p) => `${p};.css?x`,
  'encoded null byte': (p) => `${p}%00`,
  'null byte': (p) => `${p}\0`,
  backslashes: (p) => p.replaceAll('/', '\\'),
  'encoded backslash': (p) => p.replace(/(.)\//, '$1%5c'),
  'absolute form': (p) => `http://127.0.0.1:${port}${p}`,
  'absolute form of another host': (p) => `http://internal${p}`,
  'empty query': (p) => `${p}?`,
  'query with a path': (p) => `${p}?/health/live`,
  fragment: (p) => `${p}#/health/live`,
  'one letter encoded': (p) => p.replace(/[a-z]/, (c) => `%${c.charCodeAt(0).toString(16)}`),
  'every letter encoded': (p) => p.replace(/[a-z]/g, (c) => `%${c.charCodeAt(0).toString(16)}`),
  'encoded twice': (p) => p.replace(/[a-z]/, (c) => `%25${c.charCodeAt(0).toString(16)}`),
  'overlong slash': (p) => p.replace(/(.)\//, '$1%c0%af'),
  'full-width letter': (p) => p.replace(/[a-z]/, '%ef%bd%96'),
  'public path in front': (p) => `/health/live/..${p}`,
  'suffix of a file': (p) => `${p}.css`,
  'encoded space at the end': (p) => `${p}%20`,
};
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

/** The path with an id of the right kind that nobody has. */
function pathOf({ path }: RouteSpec): string {
  const noun = /^\/v1\/(\w+)s\/\{/.exec(path)?.[1] ?? 'job';
  return path.replace(/\{\w+\}/g, newId(noun in ID_PREFIXES ? (noun as IdKind) : 'job'));
}

/** One request over a socket of its own; gives the status, or 0 when the server just hung up. */
function raw(method: string, target: string, headers = ''): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.on('connect', () => {
      const body = /POST|PUT|PATCH|DELETE/.test(method)
        ? 'content-type: application/json\r\ncontent-length: 2\r\n\r\n{}'
        : '\r\n';
      socket.write(`${method} ${target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n${headers}${body}`);
    });
    socket.on('data', (part) => (answer += part.toString('latin1')));
    socket.on('close', () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0)));
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? resolve(0) : reject(error)));
  });
}

async function inTurn<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
    }),
  );
}

const guarded = (): RouteSpec[] => routes().filter((spec) => spec.access !== 'public');

describe('the door', () => {
  it('lets no spelling of a path and no method through without a key', async () => {
    passed = [];
    const targets = [...new Set(guarded().map(pathOf))];
    const attempts = targets.flatMap((path) =>
      Object.entries(SPELLINGS).flatMap(([name, spell]) =>
        METHODS.map((method) => ({ name, method, target: spell(path) })),
      ),
    );
    const odd: string[] = [];
    let refused = 0;
    await inTurn(attempts, 48, async ({ name, method, target }) => {
      const status = await raw(method, target);
      if (status === 401) refused++;
      if (![0, 400, 401, 404, 405, 414].includes(status) && !(method === 'OPTIONS' && status === 204)) {
        odd.push(`${name}: ${method} ${target} -> ${status}`);
      }
    });
    expect(passed).toEqual([]);
    expect(odd).toEqual([]);
    // The guard itself was reached, and not only missing routes.
    expect(refused).toBeGreaterThanOrEqual(guarded().length);
    // Some ten thousand connections, and more with every route.
  }, 240_000);

  it('is what the count above would have shown: with a key, handlers are reached', async () => {
    passed = [];
    expect(await raw('GET', '/v1/me', `authorization: Bearer ${api.platformKey}\r\n`)).toBe(200);
    expect(await raw('GET', '/%761/me', `authorization: Bearer ${api.platformKey}\r\n`)).toBe(200);
    expect(passed).toEqual(['GET /v1/me', 'GET /v1/me']);
  });

  it.each(['/v1/me?key=', '/v1/me?api_key=', '/v1/me?authorization=Bearer%20', '/v1/me?access_token='])(
    'takes no key from the address: %s',
    async (start) => {
      expect((await api.call(`GET ${start}${api.platformKey}` as 'GET /')).status).toBe(401);
    },
  );

  it.each([
    ['no header', {}],
    ['basic', { authorization: 'Basic YTpi' }],
    ['an empty key', { authorization: 'Bearer ' }],
    ['two keys', { authorization: 'Bearer a b' }],
    ['a method override', { 'x-http-method-override': 'GET' }],
    ['a forwarded path', { 'x-original-url': '/health/live', 'x-rewrite-url': '/health/live' }],
  ] as [string, Record<string, string>][])('answers 401 with a challenge: %s', async (_, headers) => {
    const { status, headers: got, body } = await api.call('GET /v1/me', { headers });
    expect(status).toBe(401);
    expect(got['www-authenticate']).toBe('Bearer realm="berth"');
    expect(body).toMatchObject({ status: 401, retryable: false, requestId: got['x-request-id'] });
  });

  it('asks every role of every route: only the named ones pass', async () => {
    const { key: admin, projectId } = await api.tenant();
    const member = await api.call('POST /v1/keys', { key: admin, body: { name: 'm', role: 'member', projectId } });
    const provider = await api.call('POST /v1/organizations', {
      key: api.platformKey,
      body: { name: 'P', kind: 'provider', keyName: 'op' },
    });
    const keys = {
      member: String(member.body['secret']),
      admin,
      'provider-operator': String((provider.body['key'] as { secret: string }).secret),
      'platform-admin': api.platformKey,
    };
    for (const spec of guarded()) {
      const { access } = spec;
      if (typeof access !== 'object') continue;
      for (const [role, key] of Object.entries(keys)) {
        const { status, body } = await api.call(`${spec.method} ${pathOf(spec)}` as 'GET /', { key });
        const named = access.roles.includes(role as keyof typeof keys);
        expect([spec.name, role, status === 403 && body['code'] === 'role-lacking']).toEqual([spec.name, role, !named]);
      }
    }
  });

  it.each(['ignoreTrailingSlash', 'ignoreDuplicateSlashes', 'useSemicolonDelimiter'])(
    'refuses to boot with %s',
    (option) => {
      expect(() => refuseLenientRouter({ [option]: true })).toThrow(option);
      expect(() => refuseLenientRouter({ routerOptions: { [option]: true } })).toThrow(option);
    },
  );

  it('refuses to boot with a router that ignores case', () => {
    expect(() => refuseLenientRouter({ routerOptions: { caseSensitive: false } })).toThrow('caseSensitive');
  });
});

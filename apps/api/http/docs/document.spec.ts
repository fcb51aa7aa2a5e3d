import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { routes } from '../../controllers.js';
import { TestApi, type Json } from '../../testing/test-api.js';
import { checkRoutes } from '../boot-checks.js';
import { openApiOf } from './openapi.js';
import { queryBool, queryInt, queryList } from '../query-types.js';
import { route } from '../route.js';

let api: TestApi;
let document: Json;
beforeAll(async () => {
  api = await TestApi.start();
  document = (await api.call('GET /openapi.json')).body;
});
afterAll(() => api.close());

/** `METHOD /path/{id}` of every route that the router has, read from its own picture of its tree. */
function routesInRouter(picture: string): string[] {
  const found: string[] = [];
  const above: string[] = [];
  for (const line of picture.split('\n')) {
    const match = /^([│ ]*)[├└]── (.*?)(?: \(([A-Z, ]+)\))?$/.exec(line);
    if (!match) continue;
    const [, indent = '', label = '', methods = ''] = match;
    const depth = indent.length / 4;
    above.length = depth;
    above[depth] = label;
    const path = above.join('').replace(/:(\w+)/g, '{$1}');
    for (const method of methods.split(', ').filter((m) => m !== '' && m !== 'HEAD')) found.push(`${method} ${path}`);
  }
  return found.sort();
}

const inDocument = (): string[] =>
  Object.entries(document['paths'] as Record<string, Json>)
    .flatMap(([path, item]) => Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`))
    .sort();

/** Every value under this key, anywhere. */
function all(node: unknown, key: string): unknown[] {
  if (typeof node !== 'object' || node === null) return [];
  return Object.entries(node).flatMap(([k, v]) => [...(k === key ? [v] : []), ...all(v, key)]);
}

describe('the OpenAPI document', () => {
  it('has the routes that are served, no more and no fewer', () => {
    const served = routesInRouter(api.app.getHttpAdapter().getInstance().printRoutes({ commonPrefix: false }));
    expect(served.length).toBeGreaterThan(10);
    expect(inDocument()).toEqual(served);
  });

  it('is of version 3.1, names every operation once, and refers only to what it has', () => {
    expect(document['openapi']).toMatch(/^3\.1\./);
    const names = all(document['paths'], 'operationId');
    expect(new Set(names).size).toBe(names.length);
    const schemas = Object.keys((document['components'] as { schemas: Json }).schemas);
    const missing = all(document, '$ref').filter(
      (ref) => !schemas.includes(String(ref).replace('#/components/schemas/', '')),
    );
    expect(missing).toEqual([]);
  });

  it('says for each route who may call it, and how a refusal looks', () => {
    for (const spec of routes()) {
      const operation = (document['paths'] as Record<string, Record<string, Json>>)[spec.path]?.[
        spec.method.toLowerCase()
      ];
      const security = operation?.['security'] as Json[];
      expect([spec.name, security.length]).toEqual([spec.name, spec.access === 'public' ? 0 : 1]);
      const responses = operation?.['responses'] as Record<string, Json>;
      expect('401' in responses).toBe(spec.access !== 'public');
      expect(Object.keys(responses)).toContain('429');
    }
  });

  it('names components after the schemas, and the incoming form apart only where it differs and both are used', () => {
    const same = z.strictObject({ a: z.string() }).meta({ id: 'Same' });
    const differing = z.strictObject({ a: z.string().default('x'), same }).meta({ id: 'Differing' });
    const onlyIn = z.strictObject({ b: z.int().default(1) }).meta({ id: 'OnlyIn' });
    const base = { method: 'POST', tag: 't', summary: 's', access: 'public' } as const;
    const made = openApiOf(
      [
        route({ ...base, path: '/a', name: 'a', body: differing, returns: differing }),
        route({ ...base, path: '/b', name: 'b', body: onlyIn, returns: same }),
      ],
      '1',
    );
    expect(Object.keys(made.components['schemas'] as Json)).toEqual([
      'Differing',
      'DifferingInput',
      'OnlyIn',
      'Problem',
      'Same',
    ]);
  });

  it('shows query types as what they mean', () => {
    const made = openApiOf(
      [
        route({
          method: 'GET',
          path: '/q',
          tag: 't',
          name: 'q',
          summary: 's',
          access: 'public',
          query: z.strictObject({
            n: queryInt(1, 9).optional(),
            b: queryBool().optional(),
            l: queryList(z.enum(['x', 'y'])),
          }),
          returns: 'nothing',
        }),
      ],
      '1',
    );
    expect(made.paths['/q']?.['get']?.['parameters']).toEqual([
      { name: 'n', in: 'query', required: false, schema: { type: 'integer', minimum: 1, maximum: 9 } },
      { name: 'b', in: 'query', required: false, schema: { type: 'boolean' } },
      { name: 'l', in: 'query', required: true, schema: { type: 'array', items: { type: 'string' } } },
    ]);
  });

  it('is readable as a page that asks nobody else for anything', async () => {
    const { body, headers } = await api.call('GET /docs');
    const html = String(body['text']);
    expect(headers['content-security-policy']).toBe("default-src 'none'; style-src 'self'; frame-ancestors 'none'");
    expect(html).not.toMatch(/<script|https?:|\son\w+=|style="/i);
    for (const { summary } of routes()) expect(html).toContain(summary.replace(/'/g, '&#39;'));
    expect((await api.call('GET /docs/style.css')).headers['content-type']).toMatch(/^text\/css/);
  });
});

describe('the boot', () => {
  const good = {
    method: 'GET',
    path: '/v1/x',
    tag: 't',
    name: 'x',
    summary: 's',
    access: 'public',
    returns: 'nothing',
  } as const;
  it.each([
    ['an open body', { method: 'POST', body: z.object({ a: z.string() }) }, 'strictObject'],
    [
      'an open object deep inside',
      { method: 'POST', body: z.strictObject({ a: z.array(z.object({ b: z.int() })) }) },
      'strictObject',
    ],
    ['a path that names what params do not', { path: '/v1/x/{id}' }, 'the path names'],
    ['a trailing slash', { path: '/v1/x/' }, 'not plain'],
    ['a GET with a body', { body: z.strictObject({}) }, 'GET takes no body'],
    ['a GET that creates', { creates: true }, 'only POST creates'],
    ['a route for nobody', { access: { roles: [] } }, 'nobody may call it'],
  ] as const)('is stopped by %s', (_, fault, says) => {
    expect(() => checkRoutes([{ ...good, ...fault }])).toThrow(says);
    expect(() => checkRoutes([good])).not.toThrow();
  });
});

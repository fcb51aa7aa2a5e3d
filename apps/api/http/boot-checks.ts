import type { FastifyInstance } from 'fastify';
import { looseInputs } from './docs/openapi.js';
import type { RouteSpec } from './route.js';

/** Router options under which two spellings of a path reach one handler. */
const LENIENT: Readonly<Record<string, unknown>> = {
  ignoreTrailingSlash: true,
  ignoreDuplicateSlashes: true,
  caseSensitive: false,
  useSemicolonDelimiter: true,
};

/** Throws when the router is lenient: guards do not depend on paths, but limits, logs and proxies in front do. */
export function refuseLenientRouter(options: Readonly<Record<string, unknown>>): void {
  const nested = (options['routerOptions'] ?? {}) as Readonly<Record<string, unknown>>;
  for (const [name, lenient] of Object.entries(LENIENT)) {
    if (options[name] === lenient || nested[name] === lenient) {
      throw new Error(`The router option ${name}: ${String(lenient)} is not allowed: one path, one spelling.`);
    }
  }
}

/** Throws when a declared route would not do what it says. */
export function checkRoutes(specs: readonly RouteSpec[]): void {
  const faults: string[] = [];
  for (const spec of specs) {
    const name = `${spec.method} ${spec.path}`;
    const inPath = [...spec.path.matchAll(/\{(\w+)\}/g)].map(([, p]) => p ?? '').sort();
    const declared = Object.keys(spec.params?.shape ?? {}).sort();
    if (inPath.join() !== declared.join())
      faults.push(`${name}: the path names [${inPath.join()}], params [${declared.join()}]`);
    if (/[^/\w{}.-]|\/$/.test(spec.path) && spec.path !== '/') faults.push(`${name}: the path is not plain`);
    if (spec.creates && spec.method !== 'POST') faults.push(`${name}: only POST creates`);
    if (spec.body && spec.upload) faults.push(`${name}: either body or upload`);
    if (spec.method === 'GET' && (spec.body || spec.upload)) faults.push(`${name}: GET takes no body`);
    if (typeof spec.access === 'object' && spec.access.roles.length === 0) faults.push(`${name}: nobody may call it`);
    for (const place of looseInputs(spec))
      faults.push(`${place}: use z.strictObject, so that unknown fields are refused`);
  }
  if (faults.length > 0) throw new Error(`Routes are not in order:\n  ${faults.join('\n  ')}`);
}

/** Every route that the server has, as `METHOD /path/{id}`. Call before listening; the list fills while routes are added. */
export function recordServedRoutes(fastify: FastifyInstance): Set<string> {
  const served = new Set<string>();
  fastify.addHook('onRoute', (route) => {
    for (const method of [route.method].flat()) {
      if (method !== 'HEAD') served.add(`${method} ${route.url.replace(/:(\w+)/g, '{$1}')}`);
    }
  });
  return served;
}

/** Throws when a handler is served that declares no route, so no access. */
export function refuseUndeclared(served: ReadonlySet<string>, specs: readonly RouteSpec[]): void {
  const declared = new Set(specs.map((spec) => `${spec.method} ${spec.path}`));
  const undeclared = [...served].filter((name) => !declared.has(name));
  const missing = [...declared].filter((name) => !served.has(name));
  if (undeclared.length > 0) throw new Error(`Served without a declaration (use @Serve): ${undeclared.join(', ')}`);
  if (missing.length > 0) throw new Error(`Declared but not served: ${missing.join(', ')}`);
}

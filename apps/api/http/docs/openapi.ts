import { z } from 'zod';
import { problemSchema } from '#contracts';
import { pageQuery } from '../lists/page.js';
import { shownAs } from '../query-types.js';
import { isSchema, statusOf, type RouteSpec } from '../route.js';

export type JsonSchema = Record<string, unknown>;
export interface OpenApiDocument {
  readonly openapi: '3.1.1';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, JsonSchema>>>>;
  readonly components: JsonSchema;
}

/**
 * Zod schemas as OpenAPI 3.1 components. A schema with `.meta({id})` becomes a component; where one goes in and
 * out and the two forms differ (defaults), the incoming one is named `<id>Input`.
 */
class Components {
  readonly schemas: Record<string, JsonSchema> = {};

  /** `goingOut`: ids of the components that answers use. */
  constructor(private readonly goingOut: ReadonlySet<string>) {}

  of(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
    const whole = jsonSchema(schema, io);
    const { $defs = {}, $schema: _dialect, ...rest } = whole as { $defs?: Record<string, JsonSchema> } & JsonSchema;
    const outgoing = io === 'input' ? jsonSchema(schema, 'output') : whole;
    const outgoingDefs = (outgoing['$defs'] ?? {}) as Record<string, JsonSchema>;
    const nameOf = (id: string): string =>
      io === 'input' && this.goingOut.has(id) && differs(id, $defs, outgoingDefs) ? `${id}Input` : id;
    for (const [id, definition] of Object.entries($defs)) {
      const { id: _id, ...plain } = definition;
      this.put(nameOf(id), renamed(plain, nameOf));
    }
    return renamed(rest, nameOf);
  }

  private put(name: string, schema: JsonSchema): void {
    const known = this.schemas[name];
    if (known && JSON.stringify(known) !== JSON.stringify(schema)) {
      throw new Error(`two different schemas are called ${name}`);
    }
    this.schemas[name] = schema;
  }
}

/** A definition differs when it, or one that it refers to, does. */
function differs(
  id: string,
  a: Record<string, JsonSchema>,
  b: Record<string, JsonSchema>,
  seen = new Set<string>(),
): boolean {
  if (seen.has(id)) return false;
  seen.add(id);
  const text = JSON.stringify(a[id]);
  if (text !== JSON.stringify(b[id])) return true;
  return [...text.matchAll(/"#\/\$defs\/([^"]+)"/g)].some(
    ([, other]) => other !== undefined && differs(other, a, b, seen),
  );
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  return z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema: json }) => {
      // A registry answers {} for a schema that was derived from another one.
      const shown = shownAs.get(zodSchema) ?? {};
      if (Object.keys(shown).length > 0) {
        for (const key of Object.keys(json)) delete (json as JsonSchema)[key];
        Object.assign(json, shown);
      }
      const { def } = zodSchema._zod;
      // Clients must bear fields that later versions add, so outgoing objects are open unless they were made strict.
      if (def.type === 'object' && !(def as z.core.$ZodObjectDef).catchall) delete json.additionalProperties;
      // The pattern that checks calendar days is of no use to readers; the format says it.
      if (json.format === 'date-time') delete json.pattern;
    },
  }) as JsonSchema;
}

function renamed<T>(value: T, nameOf: (id: string) => string): T {
  return JSON.parse(
    JSON.stringify(value, (key, v: unknown) =>
      key === '$ref' && typeof v === 'string'
        ? v.replace(/^#\/\$defs\/(.+)$/, (_, id: string) => `#/components/schemas/${nameOf(id)}`)
        : v,
    ),
  ) as T;
}

const ERROR_TEXT: Readonly<Record<string, string>> = {
  '400': 'Something in the request is wrong; `problems` names each field',
  '401': 'The key is missing, unknown, expired or revoked',
  '403': 'The key lacks the role',
  '404': 'There is no such thing, or it is not yours',
  '409': 'It contradicts what is there',
  '422': 'Well formed, but it cannot be done',
  '429': 'Too many requests; wait as long as Retry-After says',
};

/** The document of these routes. */
export function openApiOf(specs: readonly RouteSpec[], version: string): OpenApiDocument {
  const components = new Components(new Set(specs.flatMap(outgoingIds)));
  components.of(z.object({ problem: problemSchema }), 'output');
  const paths: Record<string, Record<string, JsonSchema>> = {};
  const names = new Set<string>();
  for (const spec of specs) {
    if (names.has(spec.name)) throw new Error(`two routes are named ${spec.name}`);
    names.add(spec.name);
    const item = (paths[spec.path] ??= {});
    const method = spec.method.toLowerCase();
    if (item[method]) throw new Error(`${spec.method} ${spec.path} is declared twice`);
    item[method] = operationOf(spec, components);
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Berth',
      version,
      description:
        'A broker for GPU capacity. Money is decimal text in nano-dollars (1e-9 USD), time is ISO 8601 UTC. ' +
        'Failures are problem details (RFC 9457) with a stable `code`.',
    },
    tags: [...new Set(specs.map((spec) => spec.tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(components.schemas).sort(([a], [b]) => (a < b ? -1 : 1))),
      securitySchemes: {
        apiKey: { type: 'http', scheme: 'bearer', description: 'An API key, `berth_project_...` or `berth_admin_...`' },
        agentCredential: { type: 'http', scheme: 'bearer', description: 'What an agent got when it enrolled' },
      },
    },
  };
}

function outgoingIds({ returns }: RouteSpec): string[] {
  const schema = isSchema(returns)
    ? returns
    : typeof returns === 'object' && 'events' in returns
      ? returns.events
      : null;
  return schema ? Object.keys((jsonSchema(schema, 'output')['$defs'] ?? {}) as object) : [];
}

function operationOf(spec: RouteSpec, components: Components): JsonSchema {
  const parameters = [
    ...parametersOf(spec.params, 'path', components),
    ...parametersOf(spec.query, 'query', components),
    ...(spec.page ? parametersOf(pageQuery, 'query', components) : []),
    ...(spec.creates
      ? [
          {
            name: 'Idempotency-Key',
            in: 'header',
            required: false,
            description: 'A random UUID; the same key and body give the same answer for 24 hours',
            schema: { type: 'string', maxLength: 200 },
          },
        ]
      : []),
  ];
  const codes = [
    ...(spec.body || spec.query || spec.page ? ['400'] : []),
    ...(spec.access === 'public' ? [] : ['401']),
    ...(typeof spec.access === 'object' ? ['403'] : []),
    ...(spec.params ? ['404'] : []),
    ...(spec.method === 'GET' ? [] : ['409', '422']),
    '429',
  ];
  const roles = typeof spec.access === 'object' ? `For keys with the role ${spec.access.roles.join(', ')}.` : '';
  const description = [spec.description, roles].filter((text) => text).join('\n\n');
  return {
    operationId: spec.name,
    tags: [spec.tag],
    summary: spec.summary,
    ...(description === '' ? {} : { description }),
    security: spec.access === 'public' ? [] : [spec.access === 'agent' ? { agentCredential: [] } : { apiKey: [] }],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...requestBodyOf(spec, components),
    responses: {
      [String(statusOf(spec))]: answerDescription(spec, components),
      ...Object.fromEntries(
        codes.map((code) => [
          code,
          {
            description: ERROR_TEXT[code],
            content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
          },
        ]),
      ),
    },
  };
}

function parametersOf(schema: z.ZodObject | undefined, place: 'path' | 'query', components: Components): JsonSchema[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = components.of(schema, 'input') as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...shape }]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: shape,
  }));
}

function requestBodyOf(spec: RouteSpec, components: Components): JsonSchema {
  if (spec.upload) {
    return {
      requestBody: {
        required: true,
        content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
      },
    };
  }
  if (!spec.body) return {};
  const bodies = Object.entries(spec.bodies ?? { 'application/json': spec.body });
  const content = bodies.map(([type, schema]) => [type, { schema: components.of(schema, 'input') }] as const);
  return { requestBody: { required: true, content: Object.fromEntries(content) } };
}

function answerDescription(spec: RouteSpec, components: Components): JsonSchema {
  const { returns } = spec;
  if (returns === 'nothing') return { description: 'Done' };
  const description = spec.creates ? 'Created' : 'OK';
  if (isSchema(returns)) {
    const schema = components.of(returns, 'output');
    const page = {
      type: 'object',
      properties: { items: { type: 'array', items: schema }, nextCursor: { type: ['string', 'null'] } },
      required: ['items', 'nextCursor'],
    };
    const csv = spec.csv ? { 'text/csv': { schema: { type: 'string' } } } : {};
    return { description, content: { 'application/json': { schema: spec.page ? page : schema }, ...csv } };
  }
  if ('events' in returns) {
    // One event's data; the stream is not one JSON document.
    return {
      description: 'Server-sent events',
      content: { 'text/event-stream': { schema: components.of(returns.events, 'output') } },
    };
  }
  if ('text' in returns)
    return { description, content: { [returns.text.replace(/;.*/, '')]: { schema: { type: 'string' } } } };
  return { description, content: { [returns.bytes]: { schema: { type: 'string', format: 'binary' } } } };
}

/** Objects in what comes in that would silently drop unknown fields; paths such as `POST /v1/jobs body.workload`. */
export function looseInputs(spec: RouteSpec): string[] {
  // Agents may be newer than the broker: what it does not know yet is dropped, not refused.
  if (spec.access === 'agent') return [];
  const loose: string[] = [];
  const walk = (node: unknown, at: string): void => {
    if (typeof node !== 'object' || node === null) return;
    const json = node as JsonSchema;
    if (json['properties'] !== undefined && json['additionalProperties'] === undefined && !Array.isArray(node))
      loose.push(at);
    for (const [key, inner] of Object.entries(json)) {
      if (key !== 'default' && key !== 'examples') walk(inner, /^(properties|\$defs)$/.test(key) ? at : `${at}.${key}`);
    }
  };
  for (const [place, schema] of [
    ['params', spec.params],
    ['query', spec.query],
    ['body', spec.body],
  ] as const) {
    if (schema) walk(jsonSchema(schema, 'input'), `${spec.method} ${spec.path} ${place}`);
  }
  return loose;
}

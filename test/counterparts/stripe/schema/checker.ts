import { Ajv, type ValidateFunction } from 'ajv';
import type { Endpoint, StripeApi } from './derive.js';
import { formTree, typed } from './form.js';
import { plainest } from './sample.js';
import type { Schema } from './type-schemas.js';

export interface Match {
  readonly endpoint: Endpoint;
  /** What stood in the places of the path, in order. */
  readonly ids: readonly string[];
}

/** Finds the endpoint of a request and checks what goes in and what comes out against the SDK's own types. */
export class ApiChecker {
  private readonly ajv = new Ajv({ strict: false, allErrors: false, inlineRefs: false, code: { optimize: false } });
  private readonly compiled = new Map<Schema, ValidateFunction>();
  private readonly routes: readonly { pattern: RegExp; endpoint: Endpoint; fixed: number }[];

  constructor(private readonly api: StripeApi) {
    this.ajv.addSchema({ $id: 'stripe', $defs: api.definitions });
    this.routes = api.endpoints
      .map((endpoint) => ({
        endpoint,
        pattern: new RegExp(`^${endpoint.path.replace(/\{\w+\}/g, '([^/]+)')}$`),
        // `/v1/invoices/upcoming` comes before `/v1/invoices/{id}`.
        fixed: endpoint.path.replace(/\{\w+\}/g, '').length,
      }))
      .toSorted((a, b) => b.fixed - a.fixed);
  }

  match(method: string, path: string): Match | null {
    for (const { endpoint, pattern } of this.routes) {
      if (endpoint.method !== method) continue;
      const found = pattern.exec(path);
      if (found) return { endpoint, ids: found.slice(1).map((id) => decodeURIComponent(id)) };
    }
    return null;
  }

  /** The parameters of a request with their types, or what is wrong with them. */
  request(endpoint: Endpoint, form: string): { params: Record<string, unknown> } | { wrong: string } {
    const raw = formTree(form);
    if (!endpoint.request) {
      const [unknown] = Object.keys(raw).filter((name) => name !== 'expand');
      return unknown === undefined ? { params: {} } : { wrong: `Received unknown parameter: ${unknown}` };
    }
    const params = typed(raw, endpoint.request, this.api.definitions);
    const wrong = this.problem(endpoint.request, params);
    return wrong === null ? { params: params as Record<string, unknown> } : { wrong };
  }

  /** Null, or how an answer differs from what the SDK's types say. */
  response(endpoint: Endpoint, body: unknown): string | null {
    return this.problem(endpoint.response, body);
  }

  /** The plainest object of a definition. */
  plainest(definition: string): Record<string, unknown> {
    const schema = this.api.definitions[definition];
    if (!schema) throw new Error(`Stripe's types have no ${definition}`);
    return plainest(schema, this.api.definitions) as Record<string, unknown>;
  }

  private problem(schema: Schema, value: unknown): string | null {
    let validate = this.compiled.get(schema);
    if (!validate) {
      const own = JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', '"stripe#/$defs/')) as Schema;
      validate = this.ajv.compile(own);
      this.compiled.set(schema, validate);
    }
    if (validate(value)) return null;
    const [error] = validate.errors ?? [];
    const extra = error?.params['additionalProperty'] as string | undefined;
    const at = error?.instancePath ?? '';
    if (extra !== undefined) return `Received unknown parameter: ${`${at}/${extra}`.slice(1).replaceAll('/', '.')}`;
    return `${at === '' ? 'the request' : at.slice(1).replaceAll('/', '.')} ${error?.message ?? 'is wrong'}`;
  }
}

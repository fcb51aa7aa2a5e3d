import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { AgentRow } from '#compute/agents';
import type { Principal, Role } from '#identity/tenancy';
import type { Tx } from '#platform/database';
import type { CsvAnswer } from './lists/csv.js';
import type { Page, PageCall } from './lists/page.js';

/** Who may call a route: anybody, an enrolled agent, or the holder of a key with one of these roles. */
export type Access = 'public' | 'agent' | { readonly roles: readonly Role[] };

/** What a route answers: JSON of a schema, nothing (204), bytes, text, or server-sent events. */
export type Returns =
  z.ZodType | 'nothing' | { readonly bytes: string } | { readonly text: string } | { readonly events: z.ZodType };

/**
 * A route as data. Validation, access, idempotency, pages and the OpenAPI document all come from this one declaration.
 * Schemas of what comes in are strict (unknown fields are refused); the boot checks it.
 */
export interface RouteSpec {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** OpenAPI form, `/v1/jobs/{id}`. */
  readonly path: `/${string}`;
  /** Chapter of the API guide. */
  readonly tag: string;
  /** Name of the operation in generated clients, `createJob`; unique. */
  readonly name: string;
  /** One line, imperative. */
  readonly summary: string;
  readonly description?: string;
  readonly access: Access;
  /** Values from the path. One that does not fit is "not found", as an unknown id is. */
  readonly params?: z.ZodObject;
  /** Values from the query, all text: use the types of `query-types.ts`. */
  readonly query?: z.ZodObject;
  /** JSON body. */
  readonly body?: z.ZodType;
  /** What the document says of the body, by media type; for a handler that checks it itself, item by item. */
  readonly bodies?: Readonly<Record<string, z.ZodType>>;
  /** The body is taken as it comes (an upload) and handed over as `call.upload`. */
  readonly upload?: boolean;
  /** Most bytes of a body; default 1 MiB for JSON, the installation's limit for an upload. */
  readonly maxBodyBytes?: number;
  readonly returns: Returns;
  /** Answers 201 and honours `Idempotency-Key`. */
  readonly creates?: boolean;
  /** Adds `limit` and `cursor` to the query and `call.page` to the call; `returns` is then the schema of one item. */
  readonly page?: boolean;
  /** The handler may answer a `CsvAnswer` in place of what `returns` says, where the caller asks for it (`asksCsv`). */
  readonly csv?: boolean;
}

/** Declares a route; the type keeps every detail, so that `Call<typeof thisRoute>` knows body, query and principal. */
export function route<const R extends RouteSpec>(spec: R): R {
  return spec;
}

type Parsed<S> = S extends z.ZodType ? z.output<S> : undefined;
type PrincipalOf<A> = A extends { readonly roles: readonly Role[] } ? Principal : null;
type AgentOf<A> = A extends 'agent' ? AgentRow : null;

/** One request, checked: what a handler gets. */
export interface Call<R extends RouteSpec = RouteSpec> {
  readonly params: Parsed<R['params']>;
  readonly query: Parsed<R['query']>;
  readonly body: Parsed<R['body']>;
  readonly principal: PrincipalOf<R['access']>;
  readonly agent: AgentOf<R['access']>;
  readonly page: R['page'] extends true ? PageCall : undefined;
  /** The raw body of a route with `upload`; ends with an error beyond the size limit. */
  readonly upload: R['upload'] extends true ? Readable : undefined;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  readonly requestId: string;
  /** Path and query as received, and headers, for the few that need them. */
  readonly request: FastifyRequest;
  /** For headers of the answer; the handler must not send it. */
  readonly reply: FastifyReply;
  /**
   * Stores the answer under the caller's Idempotency-Key in the transaction that creates the thing, so that a crash
   * cannot separate the two; does nothing without a key. What is not remembered this way is stored after the handler.
   */
  readonly remember: (tx: Tx, answer: AnswerOf<R>) => Promise<void>;
}

export interface BytesAnswer {
  readonly stream: Readable;
  readonly mediaType?: string;
  readonly bytes?: number;
  readonly fileName?: string;
}

/** One server-sent event; `data` is sent as JSON. */
export interface EventAnswer<T> {
  readonly id?: string;
  readonly event?: string;
  readonly data: T;
}

/** What the handler of a route gives back. */
export type AnswerOf<R extends RouteSpec> = (R['csv'] extends true ? CsvAnswer : never) | PlainAnswerOf<R>;

type PlainAnswerOf<R extends RouteSpec> = R['returns'] extends z.ZodType
  ? R['page'] extends true
    ? Page<z.input<R['returns']>>
    : z.input<R['returns']>
  : R['returns'] extends 'nothing'
    ? void
    : R['returns'] extends { readonly bytes: string }
      ? BytesAnswer
      : R['returns'] extends { readonly text: string }
        ? string
        : R['returns'] extends { readonly events: infer E extends z.ZodType }
          ? AsyncIterable<EventAnswer<z.input<E>>>
          : never;

/** `/v1/jobs/{id}` as the router writes it: `/v1/jobs/:id`. */
export function routerPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ':$1');
}

export function statusOf(spec: RouteSpec): 200 | 201 | 204 {
  return spec.creates ? 201 : spec.returns === 'nothing' ? 204 : 200;
}

export function isSchema(returns: Returns): returns is z.ZodType {
  return typeof returns === 'object' && 'safeParse' in returns;
}

import {
  Inject,
  Injectable,
  StreamableFile,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { from, lastValueFrom, type Observable } from 'rxjs';
import type { Readable } from 'node:stream';
import { notFound, type DomainError } from '#kernel';
import { callerOf } from './access.guard.js';
import { CsvAnswer } from './lists/csv.js';
import { Cursors, digestOf } from './lists/cursor.js';
import { eventStream } from './events.js';
import { Idempotency, type IdempotentRun } from './idempotency.js';
import { PageCall, pageQuery } from './lists/page.js';
import { HttpProblem, invalidInput } from './problems/problem.js';
import { isSchema, statusOf, type BytesAnswer, type Call, type EventAnswer, type RouteSpec } from './route.js';
import { routeOf, setCall } from './serve.js';
import { Stopping } from './stopping.js';

/** Turns a request into a checked `Call`, and the handler's answer into one that fits what the route declares. */
@Injectable()
export class CallInterceptor implements NestInterceptor {
  constructor(
    @Inject(Cursors) private readonly cursors: Cursors,
    @Inject(Idempotency) private readonly idempotency: Idempotency,
    @Inject(Stopping) private readonly stopping: Stopping,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return from(this.run(context, next));
  }

  private async run(context: ExecutionContext, next: CallHandler): Promise<unknown> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    const spec = routeOf(context.getHandler());
    if (!spec) throw new Error('a handler without a route got past the guard');
    const input = this.inputOf(spec, request);
    const handle = async (run: IdempotentRun | null): Promise<unknown> => {
      const call = this.callOf(spec, request, reply, input, run);
      setCall(request, call);
      return answerOf(spec, await lastValueFrom(next.handle(), { defaultValue: undefined }), reply, call.signal);
    };

    const { principal } = callerOf(request);
    const key = spec.creates && principal ? headerOf(request, 'idempotency-key') : undefined;
    if (key === undefined || !principal) return handle(null);
    const begun = await this.idempotency.begin(principal, key, `${spec.method} ${spec.path}`, [
      request.params,
      request.query,
      // An upload is a stream that is still to come; what it looks like now is chance.
      spec.upload ? null : request.body,
    ]);
    if ('body' in begun) {
      void reply.header('idempotency-replayed', 'true').status(begun.status);
      return begun.body;
    }
    let answer: unknown;
    try {
      answer = await handle(begun);
    } catch (error) {
      // Left as it is when the database is away; it is then taken for crashed after a minute.
      await begun.abandon().catch(() => undefined);
      throw error;
    }
    await begun.finish({ status: statusOf(spec), body: answer });
    return answer;
  }

  private inputOf(spec: RouteSpec, request: FastifyRequest) {
    const params = spec.params?.safeParse(request.params);
    if (params && !params.success) throw malformedPath(spec, request.params as Record<string, string>);
    const query = splitPage(spec, request.query as Record<string, unknown>);
    const checked = spec.query?.safeParse(query.own);
    const unknown = spec.query ? undefined : Object.keys(query.own)[0];
    if (checked && !checked.success) throw invalidInput('query', checked.error.issues);
    if (unknown !== undefined) {
      throw invalidInput('query', [
        { code: 'unrecognized_keys', keys: Object.keys(query.own), path: [], input: {}, message: '' },
      ]);
    }
    const body = spec.body?.safeParse(request.body);
    if (body && !body.success) throw invalidInput('body', body.error.issues);
    return { params: params?.data, query: checked?.data, body: body?.data, page: query.page };
  }

  private callOf(
    spec: RouteSpec,
    request: FastifyRequest,
    reply: FastifyReply,
    input: ReturnType<CallInterceptor['inputOf']>,
    run: IdempotentRun | null,
  ): Call {
    const { principal, agent } = callerOf(request);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort(new HttpProblem(400, 'client-gone', 'The client went away.')));
    const call: Call<RouteSpec> = {
      params: input.params,
      query: input.query,
      body: input.body,
      // The guard let only callers through that the route's access names, so these fit its type.
      principal: principal as Call['principal'],
      agent: agent as Call['agent'],
      page: (input.page && this.pageOf(spec, request, input.page)) as Call['page'],
      upload: (spec.upload ? (request.body as Readable) : undefined) as Call['upload'],
      signal: AbortSignal.any([gone.signal, this.stopping.signal]),
      requestId: request.id,
      request,
      reply,
      remember: async (tx, answer) => {
        await run?.finishIn(tx, { status: statusOf(spec), body: shown(spec, answer) });
      },
    };
    return call;
  }

  private pageOf(
    spec: RouteSpec,
    request: FastifyRequest,
    page: { limit: number; cursor?: string | undefined },
  ): PageCall {
    const { principal } = callerOf(request);
    const { limit: _limit, cursor: _cursor, ...filter } = request.query as Record<string, unknown>;
    const list = digestOf([
      spec.method,
      spec.path,
      principal?.organizationId ?? null,
      principal?.projectIds ?? null,
      request.params,
      filter,
    ]);
    return new PageCall(this.cursors, list, page.limit, page.cursor);
  }
}

function splitPage(spec: RouteSpec, query: Record<string, unknown>) {
  // fast-querystring makes objects without a prototype; the schemas want plain ones.
  if (!spec.page) return { own: { ...query }, page: undefined };
  const { limit, cursor, ...own } = query;
  const page = pageQuery.safeParse({
    ...(limit === undefined ? {} : { limit }),
    ...(cursor === undefined ? {} : { cursor }),
  });
  if (!page.success) throw invalidInput('query', page.error.issues);
  return { own, page: page.data };
}

/** A malformed id is as absent as an unknown one; saying more would tell which ids could exist. */
function malformedPath(spec: RouteSpec, params: Record<string, string>): DomainError {
  const last = /\/([a-z-]+)\/\{(\w+)\}/.exec(spec.path);
  const noun = (last?.[1] ?? 'thing').replace(/s$/, '');
  return notFound(noun, (params[last?.[2] ?? ''] ?? '').slice(0, 80));
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}

/** Only what the schema names leaves the house; an answer that does not fit is a bug and shows as one. */
function shown(spec: RouteSpec, answer: unknown): unknown {
  if (!isSchema(spec.returns)) return undefined;
  if (!spec.page) return spec.returns.parse(answer);
  const schema = spec.returns;
  const page = answer as { items: unknown[]; nextCursor: string | null };
  return { items: page.items.map((item) => schema.parse(item)), nextCursor: page.nextCursor };
}

function answerOf(spec: RouteSpec, answer: unknown, reply: FastifyReply, signal: AbortSignal): unknown {
  if (spec.csv) void reply.header('vary', 'accept');
  if (answer instanceof CsvAnswer)
    return new StreamableFile(Buffer.from(answer.text), {
      type: 'text/csv; charset=utf-8',
      disposition: `attachment; filename*=UTF-8''${encodeURIComponent(answer.fileName)}`,
    });
  if (isSchema(spec.returns)) return shown(spec, answer);
  if (spec.returns === 'nothing') return undefined;
  if ('text' in spec.returns) {
    void reply.type(spec.returns.text);
    return answer;
  }
  if ('events' in spec.returns) {
    void reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no');
    return new StreamableFile(eventStream(answer as AsyncIterable<EventAnswer<unknown>>, signal), {
      type: 'text/event-stream',
    });
  }
  const { stream, mediaType, bytes, fileName } = answer as BytesAnswer;
  return new StreamableFile(stream, {
    type: mediaType ?? spec.returns.bytes,
    ...(bytes === undefined ? {} : { length: bytes }),
    // Never shown inside a browser as a page of ours, whatever a tenant stored.
    disposition: `attachment${fileName === undefined ? '' : `; filename*=UTF-8''${encodeURIComponent(fileName)}`}`,
  });
}

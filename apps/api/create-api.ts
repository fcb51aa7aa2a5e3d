import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Histogram } from 'prom-client';
import { newId } from '#kernel';
import { WORKER } from '#platform/database';
import { continueTrace, nestLogger, withContext } from '#platform/observability';
import { AppModule } from './app.module.js';
import { routes } from './controllers.js';
import type { Ground } from './ground.js';
import { callerOf } from './http/access.guard.js';
import { checkRoutes, recordServedRoutes, refuseLenientRouter, refuseUndeclared } from './http/boot-checks.js';
import { registerBodyParsers } from './http/body/body-parsers.js';
import { RequestLimits } from './http/limits.js';
import { problemOf } from './http/problems/problem.js';
import { endConnections, Stopping } from './http/stopping.js';
import { sendProblem } from './http/problems/problem.filter.js';

const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000',
  'x-frame-options': 'DENY',
} as const;

/** A slow client may take this long for a whole request; agents' long polls are answered later but sent at once. */
const REQUEST_TIMEOUT_MS = 120_000;

/** The API on this ground, checked and initialized, not yet listening. */
export async function createApi(ground: Ground): Promise<NestFastifyApplication> {
  const specs = routes();
  checkRoutes(specs);
  const adapter = new FastifyAdapter({
    logger: false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    bodyLimit: ground.config.bodyLimitBytes,
    genReqId: () => newId('request', ground.clock.now(), ground.random),
    requestIdHeader: false,
    trustProxy: ground.config.trustProxy?.map((proxy) => (proxy === 'private' ? 'uniquelocal' : proxy)) ?? false,
    // Uploads and long polls must not hold up a shutdown; requests in work are waited for.
    forceCloseConnections: 'idle',
    // What comes on an open connection while we stop is still answered, as the last thing on it.
    return503OnClosing: false,
    routerOptions: { caseSensitive: true, ignoreTrailingSlash: false, ignoreDuplicateSlashes: false },
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) => {
      void reply.headers({ ...SECURITY_HEADERS, 'x-request-id': request.id });
      sendProblem(reply, problemOf(error, request.id));
    },
  });
  const fastify = adapter.getInstance();
  refuseLenientRouter(fastify.initialConfig as Record<string, unknown>);
  const served = recordServedRoutes(fastify);
  const byName = new Map(specs.map((spec) => [`${spec.method} ${spec.path}`, spec]));
  registerBodyParsers(
    fastify,
    ({ method, routeOptions: { url = '' } }) => byName.get(`${method} ${url.replace(/:(\w+)/g, '{$1}')}`) ?? null,
    ground.config.bodyLimitBytes,
  );

  const app = await NestFactory.create<NestFastifyApplication>(AppModule.on(ground), adapter, {
    bodyParser: false,
    // Its lines about every mapped route say what the document says better.
    logger: { ...nestLogger(ground.logger.child({ part: 'nest' })), log: () => undefined },
    abortOnError: false,
  });
  const limits = app.get(RequestLimits);
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.headers({ ...SECURITY_HEADERS, 'x-request-id': request.id });
    const { traceId, spanId } = continueTrace(request.headers.traceparent as string | undefined, ground.random);
    withContext({ requestId: request.id, traceId, spanId }, done);
  });
  fastify.addHook('onRequest', (request) => limits.countAddress(request));
  endConnections(fastify, app.get(Stopping));
  observe(fastify, ground);
  await app.init();
  await fastify.ready();
  refuseUndeclared(served, specs);
  ground.health.add({
    name: 'database',
    kind: 'ready',
    check: () => ground.store.transaction(WORKER, (tx) => tx.now()),
  });
  return app;
}

/** One log line and one observation per request, under the route's pattern: paths hold ids. */
function observe(fastify: FastifyInstance, ground: Ground): void {
  const seconds = new Histogram({
    name: 'berth_http_request_seconds',
    help: 'Time from the request line to the end of the answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30],
    registers: [ground.metrics.registry],
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none');
    seconds.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1_000);
    const { principal, agent } = callerOf(request);
    // Probes and scrapes come every few seconds and say nothing.
    const level = /^\/(health|metrics)/.test(route) && reply.statusCode < 400 ? 'debug' : 'info';
    ground.logger[level](
      {
        method: request.method,
        route,
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime),
        address: request.ip,
        ...(principal ? { keyId: principal.keyId, organizationId: principal.organizationId } : {}),
        ...(agent ? { agentId: agent.id } : {}),
      },
      'request',
    );
    done();
  });
}

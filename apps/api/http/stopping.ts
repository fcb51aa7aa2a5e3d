import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import { DomainError } from '#kernel';

/** Connections of event streams fall idle one by one when their last words are sent. */
const REAP_EVERY_MS = 50;

/** Tells what waits in requests (long polls, event streams) that this process stops: they end now, with what there is. */
@Injectable()
export class Stopping implements OnModuleDestroy {
  private readonly controller = new AbortController();

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  onModuleDestroy(): void {
    this.controller.abort(
      new DomainError('unavailable', 'shutting-down', 'This process is shutting down.', { retryAfterMs: 1_000 }),
    );
  }
}

/**
 * Ends each connection behind its last answer. A client that keeps its connections open (agents and proxies do) would otherwise hold
 * the stop up until it is killed, and the next request on such a connection would be refused.
 */
export function endConnections(fastify: FastifyInstance, { signal }: Stopping): void {
  fastify.addHook('onSend', (_request, reply, payload, done) => {
    if (signal.aborted) void reply.header('connection', 'close');
    done(null, payload);
  });
  fastify.addHook('preClose', (done) => {
    const reaping = setInterval(() => fastify.server.closeIdleConnections(), REAP_EVERY_MS);
    fastify.server.once('close', () => clearInterval(reaping));
    done();
  });
}

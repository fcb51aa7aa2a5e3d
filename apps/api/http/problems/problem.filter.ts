import { Catch, Inject, NotFoundException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '#platform/observability';
import { PathTable } from '../path-table.js';
import { HttpProblem, problemOf, type ProblemAnswer } from './problem.js';

export const LOGGER = Symbol('Logger');

/** Everything that is thrown while a request is served leaves as a problem document. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(
    @Inject(PathTable) private readonly paths: PathTable,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    if (request.method === 'OPTIONS' && request.is404) {
      const methods = this.paths.methodsOf(request.url);
      if (methods.length > 0) {
        void reply.status(204).header('allow', methods.join(', ')).send();
        return;
      }
    }
    const problem = problemOf(this.unrouted(thrown, request) ?? thrown, request.id);
    if (problem.unexpected) {
      this.logger.error(
        { requestId: request.id, method: request.method, route: request.routeOptions.url, err: thrown },
        'request failed unexpectedly',
      );
    }
    if (reply.sent || reply.raw.headersSent) {
      // Too late to say anything: cutting the connection shows the client that the answer is not whole.
      reply.raw.destroy();
      return;
    }
    sendProblem(reply, problem);
  }

  /** A known path with a wrong method names the right ones; OPTIONS is answered with them, and with nothing for CORS. */
  private unrouted(thrown: unknown, request: FastifyRequest): HttpProblem | null {
    if (!(thrown instanceof NotFoundException) || !request.is404) return null;
    const methods = this.paths.methodsOf(request.url);
    if (methods.length === 0) return null;
    const allow = methods.join(', ');
    return new HttpProblem(405, 'method-not-allowed', `${request.method} is not possible here.`, {
      fix: `Use ${allow}.`,
      headers: { allow },
    });
  }
}

export function sendProblem(reply: FastifyReply, problem: ProblemAnswer): void {
  // An unread upload would be taken for the next request of the connection.
  if (!reply.request.raw.complete && reply.request.raw.headers['transfer-encoding'] !== undefined) {
    void reply.header('connection', 'close');
  }
  void reply
    .status(problem.status)
    .headers(problem.headers)
    .header('content-type', 'application/problem+json; charset=utf-8')
    .header('cache-control', 'no-store')
    .send(JSON.stringify(problem.body));
}

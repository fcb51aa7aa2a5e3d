import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

type Answer = (asked: Asked, response: ServerResponse) => unknown;

/** A broker that answers as a spec says and remembers what it was asked: for what a client does with answers. */
export class FakeBroker {
  readonly asked: Asked[] = [];
  private readonly answers = new Map<string, Answer>();
  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void this.serve(request, response));
  }

  static async open(): Promise<FakeBroker> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FakeBroker(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  /** What to answer to "GET /v1/me": a value to send as JSON, or a function that may also use the response itself. */
  on(route: string, answer: unknown): void {
    this.answers.set(route, typeof answer === 'function' ? (answer as Answer) : () => answer);
  }

  reset(): void {
    this.asked.length = 0;
    this.answers.clear();
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url);
    const method = request.method ?? '';
    const asked = { method, path: pathname, query: searchParams, headers: request.headers, body: await text(request) };
    this.asked.push(asked);
    const answer = this.answers.get(`${method} ${pathname}`);
    const value = answer ? await answer(asked, response) : problem(404, 'not-found', { detail: `no ${pathname} here` });
    if (value === undefined) return;
    const status = value instanceof Refusal ? value.status : 200;
    response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' });
    response.end(JSON.stringify(value instanceof Refusal ? value.body : value));
  }
}

class Refusal {
  constructor(
    readonly status: number,
    readonly body: unknown,
  ) {}
}

export function problem(status: number, code: string, more: object = {}): Refusal {
  const base = { type: 'about:blank', title: code, status, detail: `detail of ${code}.`, code, fix: `Mend ${code}.` };
  return new Refusal(status, { ...base, retryable: false, requestId: 'req_of_the_fake', ...more });
}

/** A page of a list that is cut by the fake: cursors are plain numbers. */
export function paged(rows: readonly unknown[]): Answer {
  return ({ query }) => {
    const from = Number(query.get('cursor') ?? 0);
    const to = from + Number(query.get('limit') ?? 50);
    return { items: rows.slice(from, to), nextCursor: to < rows.length ? String(to) : null };
  };
}

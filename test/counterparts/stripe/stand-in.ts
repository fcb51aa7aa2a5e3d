import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Stripe } from 'stripe';
import { ManualClock, type Clock } from '#kernel';
import { Faults, type FaultKind } from './faults.js';
import { IdempotencyStore, type Answer } from './idempotency.js';
import { catalogue } from './resources/catalogue.js';
import { checkout, expireSession, leaveCard } from './resources/checkout.js';
import { completeAccount, connect } from './resources/connect.js';
import { customers } from './resources/customers.js';
import { closeDispute, disputedCents, disputes, escalateDispute, openDispute } from './resources/disputes.js';
import { invoices } from './resources/invoices.js';
import { capture, failRefund, payments } from './resources/payments.js';
import { ApiChecker, type Match } from './schema/checker.js';
import { loadApi } from './schema/load.js';
import { Shelf, type Obj } from './shelf.js';
import { invalid, rateLimited, serverFailure, StripeFailure } from './stripe-error.js';
import { Webhooks } from './webhooks.js';
import type { CardBehaviour, Handlers, World } from './world.js';

const handlers: Handlers = {
  ...customers,
  ...checkout,
  ...payments,
  ...invoices,
  ...connect,
  ...catalogue,
  ...disputes,
};

/** One checker for all stand-ins of a process: its checks take a second to compile. */
let checker: ApiChecker | null = null;

interface Asked {
  readonly line: string;
  readonly match: Match;
  readonly form: string;
  readonly key: string | null;
}

/**
 * A Stripe for specs: it knows Stripe's types, keeps state, remembers idempotency keys, has a clock of its own, fails on demand and
 * sends signed webhooks. Everything that Stripe would refuse as malformed is refused, and what it answers is checked as well.
 */
export class StripeStandIn {
  readonly faults = new Faults();
  readonly webhooks: Webhooks;
  /** Answers that do not fit Stripe's types and requests that the stand-in cannot play: specs expect none. */
  readonly mistakes: string[] = [];
  /** Every request line, in order. */
  readonly lines: string[] = [];
  readonly world: World;
  private readonly idempotency: IdempotencyStore;
  private count = 0;

  private constructor(
    readonly clock: Clock,
    private readonly server: Server,
    readonly port: number,
  ) {
    checker ??= new ApiChecker(loadApi());
    const shelf = new Shelf();
    const newId = (prefix: string): string => `${prefix}_${String(++this.count).padStart(14, '0')}`;
    this.idempotency = new IdempotencyStore(clock);
    this.webhooks = new Webhooks(clock, shelf, checker, newId);
    const types = checker;
    const now = (): number => Math.floor(clock.now() / 1_000);
    this.world = {
      clock,
      shelf,
      checker,
      cards: new Map(),
      availableAtOnce: false,
      newId,
      now,
      emit: (type, object) => this.webhooks.emit(type, object),
      make: (definition, fields) => {
        const plain = types.plainest(definition);
        return shelf.put({ ...plain, ...('created' in plain ? { created: now() } : {}), ...fields });
      },
    };
    server.on('request', (request, response) => void this.serve(request, response));
  }

  static async start(clock: Clock = new ManualClock(Date.UTC(2026, 10, 21))): Promise<StripeStandIn> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    return new StripeStandIn(clock, server, port);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** A person leaves a card on the page of a checkout session; the answer is the card. */
  leaveCard(sessionId: string, behaviour: CardBehaviour = 'pays'): Obj {
    return leaveCard(this.world, sessionId, behaviour);
  }
  expireSession(sessionId: string): void {
    expireSession(this.world, sessionId);
  }
  completeAccount(accountId: string): void {
    completeAccount(this.world, accountId);
  }
  /** A payment that was processing has come through. */
  settle(paymentIntentId: string): void {
    capture(this.world, this.world.shelf.get('payment_intent', paymentIntentId));
  }
  /** Somebody pays back in Stripe's own pages. */
  refundElsewhere(paymentIntentId: string, cents: number): Obj {
    const handler = handlers['POST /v1/refunds'];
    return handler?.(this.world, { payment_intent: paymentIntentId, amount: cents }, []) as Obj;
  }
  /** A refund that the bank sends back. */
  failRefund(refundId: string): void {
    failRefund(this.world, refundId);
  }
  openDispute(paymentIntentId: string, of: Parameters<typeof openDispute>[2] = {}): Obj {
    return openDispute(this.world, paymentIntentId, of);
  }
  escalateDispute(disputeId: string): void {
    escalateDispute(this.world, disputeId);
  }
  closeDispute(disputeId: string, as: Parameters<typeof closeDispute>[2]): void {
    closeDispute(this.world, disputeId, as);
  }
  /** Cents that banks have taken back. */
  get disputedCents(): number {
    return disputedCents(this.world);
  }
  setCard(methodId: string, behaviour: CardBehaviour): void {
    this.world.cards.set(methodId, behaviour);
  }
  objects(object: string): Obj[] {
    return this.world.shelf.all(object);
  }
  /** Cents taken from cards and not given back. */
  get capturedCents(): number {
    return this.objects('charge').reduce((n, c) => n + Number(c['amount_captured']) - Number(c['amount_refunded']), 0);
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      return;
    }
    const url = new URL(request.url ?? '/', this.url);
    const line = `${request.method ?? 'GET'} ${url.pathname}`;
    this.lines.push(line);
    const { 'idempotency-key': key, authorization, 'stripe-version': version } = request.headers;
    const sent = request.method === 'POST' ? Buffer.concat(parts).toString() : url.search.slice(1);
    const form = version === Stripe.API_VERSION ? sent : renamed(sent);
    let outcome: Answer & { replayed?: boolean };
    let fault: FaultKind | null = null;
    try {
      if (!/^(Bearer (sk|rk)_test_\w+|Basic \S+)$/.test(authorization ?? '')) {
        throw new StripeFailure(401, { type: 'invalid_request_error', message: 'Invalid API Key provided' });
      }
      const match = this.world.checker.match(request.method ?? 'GET', url.pathname);
      if (!match) {
        throw new StripeFailure(404, {
          type: 'invalid_request_error',
          message: `Unrecognized request URL (${request.method ?? ''}: ${url.pathname}).`,
        });
      }
      fault = this.faults.of(line);
      if (fault === 'lost-before') return void request.socket.destroy();
      if (fault === 'rate-limit') throw rateLimited();
      const asked: Asked = { line, match, form, key: request.method === 'POST' ? String(key ?? '') || null : null };
      if (fault === 'late') {
        this.workLater(asked);
        return void request.socket.destroy();
      }
      outcome = this.answer(asked, fault);
    } catch (error) {
      outcome = failureOf(error);
    }
    if (fault === 'lost-after') return void request.socket.destroy();
    response.writeHead(outcome.status, {
      'content-type': 'application/json',
      'request-id': `req_${++this.count}`,
      ...(key === undefined ? {} : { 'idempotency-key': key }),
      ...(outcome.replayed ? { 'idempotent-replayed': 'true' } : {}),
    });
    response.end(JSON.stringify(outcome.body));
  }

  /** The key is taken at once; the rest happens when the test releases it. */
  private workLater(asked: Asked): void {
    const known = asked.key === null ? null : this.idempotency.begin(asked.key, asked.line, asked.form);
    if (known) return;
    this.faults.late.push(() => {
      const answer = this.work(asked);
      if (asked.key !== null) this.idempotency.finish(asked.key, answer);
    });
  }

  private answer(asked: Asked, fault: FaultKind | null): Answer & { replayed?: boolean } {
    const { key } = asked;
    const known = key === null ? null : this.idempotency.begin(key, asked.line, asked.form);
    if (known) return { ...known, replayed: true };
    try {
      this.paramsOf(asked);
    } catch (error) {
      if (key !== null) this.idempotency.forget(key);
      throw error;
    }
    const done = fault === 'error-before' ? null : this.work(asked);
    const failed = fault === 'error-before' || fault === 'error-after';
    const answer = failed || !done ? failureOf(serverFailure()) : done;
    if (key !== null) this.idempotency.finish(key, answer);
    return answer;
  }

  private paramsOf({ match, form }: Asked): Record<string, unknown> {
    const read = this.world.checker.request(match.endpoint, form);
    if ('wrong' in read) throw invalid(read.wrong, { code: 'parameter_unknown' });
    return read.params;
  }

  private work(asked: Asked): Answer {
    const { line, match } = asked;
    try {
      const handler = handlers[`${match.endpoint.method} ${match.endpoint.path.replace(/\{\w+\}/g, '{}')}`];
      if (!handler) throw new Error(`the stand-in does not play ${line}`);
      const params = this.paramsOf(asked);
      const result = handler(this.world, params, match.ids);
      const body = this.world.shelf.expanded(result, (params['expand'] as string[] | undefined) ?? []);
      const wrong = this.world.checker.response(match.endpoint, body);
      if (wrong !== null) throw new Error(`the answer to ${line} is not Stripe's: ${wrong}`);
      return { status: 200, body };
    } catch (error) {
      if (!(error instanceof StripeFailure)) this.mistakes.push(error instanceof Error ? error.message : String(error));
      return failureOf(error);
    }
  }
}

/** Names of older versions of the API, for callers that do not ask for the version of the SDK. */
const OLD_NAMES: Readonly<Record<string, string>> = { payment_method_types: 'allowed_payment_method_types' };

function renamed(form: string): string {
  const now = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(form)) {
    const [head = ''] = name.split('[');
    now.append(`${OLD_NAMES[head] ?? head}${name.slice(head.length)}`, value);
  }
  return now.toString();
}

function failureOf(error: unknown): Answer {
  if (error instanceof StripeFailure) return { status: error.status, body: { error: error.error } };
  const message = error instanceof Error ? error.message : String(error);
  return { status: 501, body: { error: { type: 'api_error', message } } };
}

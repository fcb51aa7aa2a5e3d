import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '#kernel';
import { createRequest } from '#adapters/conformance';
import { defaultSkus, toOffer, type CloudOffer } from '#adapters/sandbox-cloud';
import { fromStatus } from './http.js';
import { SandboxProvider } from './provider.js';

const sku = defaultSkus[0];
if (!sku) throw new Error('the price list is empty');
const offer = toOffer(
  { ...sku, kind: 'hyperscaler', billing: { minimumS: 60, incrementS: 1 } } satisfies CloudOffer,
  'prv_x',
  0,
);

type Respond = (request: IncomingMessage, response: ServerResponse) => void;

const reply =
  (status: number, body = '', headers: Record<string, string> = {}): Respond =>
  (_, response) =>
    void response.writeHead(status, headers).end(body);
const halfAnswer: Respond = (_, response) => {
  response.writeHead(201, { 'content-length': '99' }).write('{');
  setImmediate(() => response.destroy());
};
const onlyHeaders: Respond = (_, response) => {
  response.writeHead(201).flushHeaders();
};
const cut: Respond = (_, response) => {
  response.destroy();
};
const silence: Respond = () => undefined;

/** How long a vendor may take that answers: longer than any stall of the machine that runs the specs. */
const PATIENT_MS = 20_000;
/** How long is waited for one that never does. */
const HASTY_MS = 1_000;

/** What the whole conformance suite over a real sandbox cannot show: a vendor, or something in between, that speaks nonsense. */
describe('the sandbox adapter against a vendor that talks nonsense', () => {
  let server: Server;
  let port: SandboxProvider;
  let hasty: SandboxProvider;
  let answer: Respond;
  let requests: string[];
  const clock = new ManualClock();

  beforeEach(async () => {
    requests = [];
    server = createServer((request, response) => {
      requests.push(`${request.method} ${request.url}`);
      answer(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const options = { baseUrl, apiKey: 'k', providerId: 'prv_x', clock };
    port = new SandboxProvider({ ...options, timeoutMs: PATIENT_MS });
    hasty = new SandboxProvider({ ...options, timeoutMs: HASTY_MS });
    answer = reply(404);
    await port.get('nothing');
    requests = [];
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const create = (deadlineMs = PATIENT_MS): ReturnType<SandboxProvider['create']> =>
    port.create({ ...createRequest(offer, { install: 'ins_x', n: 1 }, clock.now()), deadlineMs });

  it.each([
    ['200 with a page of HTML', reply(200, '<html>'), 'unknown'],
    ['201 with another shape', reply(201, '{"machine":1}'), 'unknown'],
    ['500 without a body', reply(500), 'unknown'],
    ['502 of a proxy', reply(502, '<html>Bad gateway'), 'unknown'],
    ['504 of a proxy', reply(504), 'unknown'],
    ['408', reply(408), 'unknown'],
    ['a redirect', reply(307, '', { location: 'http://127.0.0.1:9/' }), 'unknown'],
    ['a code that is not documented', reply(400, '{"error":{"code":"moon","message":"full"}}'), 'unknown'],
    ['half an answer', halfAnswer, 'unknown'],
    ['headers and then nothing', onlyHeaders, 'unknown'],
    ['a cut connection', cut, 'unknown'],
    ['silence', silence, 'unknown'],
    ['403 without a body', reply(403), 'unauthorized'],
    ['429 with Retry-After', reply(429, '', { 'retry-after': '7' }), 'rate-limited'],
    ['422 without a body', reply(422), 'invalid-request'],
  ] as const)('calls a create answered by %s: %s', async (_, how, meaning) => {
    answer = how;
    const outcome = await create(how === silence || how === onlyHeaders ? HASTY_MS : PATIENT_MS);
    expect(outcome.kind === 'failed' ? outcome.error.kind : outcome.kind).toBe(meaning);
    // After a stall the deadline is noticed before the request that was sent before it.
    while (requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(requests).toEqual(['POST /v1/machines']);
  });

  it('knows that a request to nobody was not sent', async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await create()).toMatchObject({ kind: 'failed', vendorId: null, error: { kind: 'transient' } });
  });

  it('never sends a create that is late', async () => {
    answer = reply(500);
    const late = { ...createRequest(offer, { install: 'ins_x', n: 1 }, clock.now()), sendBeforeMs: clock.now() };
    expect(await port.create(late)).toMatchObject({ kind: 'failed', error: { kind: 'transient' } });
    expect(requests).toEqual([]);
  });

  it.each([
    ['get', (vendor) => vendor.get('x')],
    ['list', (vendor) => vendor.list('ins_x')[Symbol.asyncIterator]().next()],
    ['terminate', (vendor) => vendor.terminate('x')],
    ['probe', (vendor) => vendor.probe()],
    ['listOffers', (vendor) => vendor.listOffers()[Symbol.asyncIterator]().next()],
  ] as [string, (vendor: SandboxProvider) => Promise<unknown>][])(
    'throws a VendorError from %s for nonsense, and for silence',
    async (what, run) => {
      answer = reply(502, '<html>');
      await expect(run(port)).rejects.toMatchObject({ name: 'VendorError', kind: 'transient' });
      answer = silence;
      const kind = what === 'terminate' ? 'outcome-unknown' : 'transient';
      await expect(run(hasty)).rejects.toMatchObject({ name: 'VendorError', kind });
    },
  );

  it('keeps machines of others out of a list whose filter the vendor ignores', async () => {
    const machine = (id: string, install: string): object => ({
      id,
      name: id,
      status: 'running',
      sku: 'l4-1x',
      region: 'r',
      tags: { 'berth-install': install },
      createdAtMs: 0,
      billedFromMs: null,
      address: null,
      interruptAtMs: null,
    });
    answer = reply(200, JSON.stringify({ items: [machine('a', 'ins_x'), machine('b', 'ins_y')], nextCursor: null }));
    const ids: string[] = [];
    for await (const { vendorId } of port.list('ins_x')) ids.push(vendorId);
    expect(ids).toEqual(['a']);
  });

  it('keeps an id within its place in the path', async () => {
    answer = reply(404);
    await port.get('../offers?x#y');
    expect(requests).toEqual(['GET /v1/machines/..%2Foffers%3Fx%23y']);
  });

  it('reads Retry-After in seconds and ignores what is no number', () => {
    expect(fromStatus(429, '7').retryAfterMs).toBe(7_000);
    expect(fromStatus(429, 'Wed, 21 Oct 2026 07:28:00 GMT').retryAfterMs).toBeNull();
    expect(fromStatus(429, null).retryAfterMs).toBeNull();
  });
});

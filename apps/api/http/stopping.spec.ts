import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WORKER } from '#platform/database';
import { transition } from '#platform/reconcile';
import { jobMachine, jobs } from '#work/jobs';
import { facts } from '../testing/owned.js';
import { TestApi, type TestTenant } from '../testing/test-api.js';

// Each of these would last until long after the test's time limit if the stop waited for its client.
describe('an API that stops', () => {
  let api: TestApi;
  let tenant: TestTenant;
  let port: number;
  /** Clients that keep their connections open, as agents and proxies do. */
  let clients: Agent;
  beforeEach(async () => {
    api = await TestApi.start();
    tenant = await api.tenant();
    await api.app.listen({ host: '127.0.0.1', port: 0 });
    ({ port } = api.app.getHttpServer().address() as AddressInfo);
    clients = new Agent({ keepAlive: true });
  });
  afterEach(async () => {
    clients.destroy();
    await api.close();
  });

  const open = (method: string, path: string, key: string, body?: unknown): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${key}`, ...(body ? { 'content-type': 'application/json' } : {}) };
      const sent = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: clients }, resolve);
      sent.on('error', reject);
      sent.end(body ? JSON.stringify(body) : undefined);
    });
  const queued = async (): Promise<string> => {
    const { organizationId, projectId, key } = tenant;
    const grant = { organizationId, amountNano: '1000000000', reference: 'spec' };
    await api.call('POST /v1/admin/credit', { key: api.platformKey, body: grant });
    const spec = { kind: 'command', command: ['true'] };
    const made = await api.call('POST /v1/jobs', { key, body: { projectId, spec, maxCost: '1000' } });
    return String(made.body['id']);
  };
  /** Waits until the server has so many requests in work. */
  const inWork = async (n: number): Promise<void> => {
    for (let count = -1; count < n;) {
      await new Promise((resolve) => setImmediate(resolve));
      const metrics = api.app.getHttpAdapter().getHttpServer() as unknown as { _connections: number };
      count = metrics._connections;
    }
  };

  it('answers long polls at once with what there is, and asks for no more on their connections', async () => {
    const key = (
      await api.call('POST /v1/organizations', {
        key: api.platformKey,
        body: { name: 'hosts', kind: 'provider', keyName: 'op' },
      })
    ).body['key'] as { secret: string };
    const host = await api.call('POST /v1/hosts', { key: key.secret, body: { name: 'h', pricePerSlotHour: '1000' } });
    const enrolled = await api.call('POST /agent/v1/enroll', { body: { token: host.body['enrolToken'], facts } });
    const credential = String(enrolled.body['credential']);
    const sync = { reports: [], logs: [], capacity: 1, waitMs: 30_000, knownWork: [], draining: false };
    const polls = [0, 1, 2].map((seq) => open('POST', '/agent/v1/sync', credential, { seq, ...sync }));
    await inWork(3);
    // Until they wait: the last of three writes its sequence number.
    await api.app.close();
    const answers = await Promise.all(polls);
    for (const answer of answers) {
      const body = JSON.parse(await text(answer)) as Record<string, unknown>;
      if (answer.statusCode === 409) expect(body['code']).toBe('stale-sequence');
      else expect([answer.statusCode, body['work'], body['goodbye']]).toEqual([200, [], false]);
      expect(answer.headers.connection).toBe('close');
    }
    expect(answers.some((answer) => answer.statusCode === 200)).toBe(true);
  });

  it('ends streams of events between two events, though their clients keep the connection', async () => {
    const id = await queued();
    const stream = await open('GET', `/v1/jobs/${id}/events`, tenant.key);
    const read = text(stream);
    await once(stream, 'readable');
    await api.app.close();
    const got = await read;
    expect([stream.statusCode, stream.complete]).toEqual([200, true]);
    expect(got).toMatch(/id: 1\nevent: job\ndata: .*\n\n/);
    expect(got.endsWith('\n\n')).toBe(true);
  });

  it('finishes what it was asked while it stopped, and says that the connection ends', async () => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const head = `GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tenant.key}\r\n`;
    socket.write(head);
    await inWork(1);
    const closed = api.app.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.write('\r\n');
    const answer = await text(socket);
    await closed;
    expect(answer.split('\r\n')[0]).toBe('HTTP/1.1 200 OK');
    expect(answer.toLowerCase()).toContain('connection: close');
  });

  it('loses no event: a watcher goes on elsewhere behind the last that it saw', async () => {
    const id = await queued();
    const move = (to: 'placing' | 'starting' | 'cancelled') =>
      api.ground.store.transaction(WORKER, async (tx) => {
        const job = await tx.first(jobs, { id });
        if (!job) throw new Error('the job is gone');
        await transition(tx, jobs, jobMachine, job, to, { wakeAt: null, message: `now ${to}` });
      });
    const stream = await open('GET', `/v1/jobs/${id}/events`, tenant.key);
    const read = text(stream);
    await once(stream, 'readable');
    await move('placing');
    const closed = api.app.close();
    await move('starting');
    const seen = [...(await read).matchAll(/^id: (\d+)$/gm)].map(([, n]) => Number(n));
    await closed;
    await move('cancelled');
    const other = await api.second();
    const rest = await other.inject({
      method: 'GET',
      url: `/v1/jobs/${id}/events`,
      headers: { authorization: `Bearer ${tenant.key}`, 'last-event-id': String(seen.at(-1)) },
    });
    await other.close();
    const later = [...rest.body.matchAll(/^id: (\d+)\nevent: job$/gm)].map(([, n]) => Number(n));
    expect([...seen, ...later]).toEqual([1, 2, 3, 4]);
    expect(rest.body).toContain('event: end');
  });
});

import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { JobView } from '#contracts';
import { follow } from './follow.js';

const END = 'event: end\ndata: {"state":"succeeded"}\n\n';
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A broker that answers each try in turn. */
async function answering(...tries: ((response: ServerResponse) => void)[]): Promise<{ url: string; key: string }> {
  const server = createServer((_, response) => (tries.shift() ?? ((r) => r.destroy()))(response));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, key: 'k' };
}

const refuse = (status: number) => (response: ServerResponse) =>
  void response.writeHead(status).end(JSON.stringify({ code: 'c', detail: 'd', requestId: 'r', status }));
const begin = (text: string) => (response: ServerResponse) => void response.writeHead(200).write(text);

/** Longer than any stall of the machine that runs the specs. */
const PATIENT_MS = 60_000;

function run(login: { url: string; key: string }, signal = new AbortController().signal, silentMs = PATIENT_MS) {
  const seen: string[] = [];
  const job: Promise<JobView> = follow(
    login,
    'job_1',
    {
      onChange: (message) => seen.push(message),
      onProgress: () => seen.push('progress'),
      onLost: () => seen.push('lost'),
    },
    signal,
    { silentMs, firstPauseMs: 1 },
  );
  return { seen, job };
}

describe('follow', () => {
  it('outlives an overloaded broker and a cut stream', async () => {
    const { seen, job } = run(
      await answering(
        refuse(503),
        refuse(429),
        (response) => response.writeHead(200).write('event: job\ndata: {"message":"m"}\n\n', () => response.destroy()),
        (response) => void response.writeHead(200).end(END),
      ),
    );
    expect((await job).state).toBe('succeeded');
    expect(seen).toEqual(['lost', 'lost', 'm', 'lost']);
  });

  it('outlives a connection that went silent', async () => {
    let seen: readonly string[] = [];
    const silent = begin('event: progress\ndata: {}\n\n');
    // Silence may be noticed before what was sent in time: then it is sent again.
    const next = (response: ServerResponse): void =>
      seen.includes('progress') ? void response.writeHead(200).end(END) : silent(response);
    const login = await answering(...Array.from({ length: 1_000 }, () => next));
    const { seen: told, job } = run(login, new AbortController().signal, 200);
    seen = told;
    expect((await job).state).toBe('succeeded');
    expect([told.includes('progress'), told.at(-1)]).toEqual([true, 'lost']);
  });

  it.each([401, 404])('gives up at once on %i', async (status) => {
    await expect(run(await answering(refuse(status))).job).rejects.toMatchObject({ name: 'BrokerRefused', status });
  });

  it('gives up at once on a broker that never answered', async () => {
    await expect(run({ url: 'http://127.0.0.1:9', key: 'k' }).job).rejects.toMatchObject({ name: 'BrokerUnreachable' });
  });

  it('ends with its signal, also between two tries', async () => {
    const stop = new AbortController();
    const login = await answering(
      (response) => response.writeHead(200).end('event: job\ndata: {"message":"m"}\n\n'),
      () => stop.abort(),
    );
    await expect(run(login, stop.signal).job).rejects.toMatchObject({ name: 'AbortError' });
  });
});

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { hasRedis, testRedis } from '#testing';
import type { Child } from '../e2e/children.js';
import { Stack, type Tenant } from '../e2e/stack.js';

const PER_MINUTE = 60;

// A machine that stands still for seconds takes no part in what is shown here.
jest.setTimeout(5 * 60_000);

if (!hasRedis()) console.warn('SKIPPED: there is no redis-server on this machine, so no limit was shared.');

(hasRedis() ? describe : describe.skip)('two API processes with one Redis', () => {
  let redis: Awaited<ReturnType<typeof testRedis>>;
  let stack: Stack;
  let second: { api: Child; url: string };
  let alpha: Tenant;
  beforeAll(async () => {
    redis = await testRedis();
    stack = await Stack.start({
      workers: 0,
      redisUrl: redis.url,
      env: { RATE_LIMIT_PER_MINUTE: String(PER_MINUTE), AGENT_POLL_MS: '25000' },
    });
    second = await stack.anotherApi();
    alpha = await stack.tenant('alpha', 1);
  });
  afterAll(async () => {
    await stack?.close();
    await redis?.close();
  });
  const ask = (url: string, path: string, init: RequestInit & { key: string | null }): Promise<Response> =>
    fetch(`${url}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${init.key}`, 'content-type': 'application/json', ...init.headers },
    });
  const answered = async <T>(answer: Promise<Response>): Promise<T> => {
    const got = await answer;
    if (!got.ok) throw new Error(`${got.status} ${await got.text()}`);
    return (await got.json()) as T;
  };

  it('count the requests of a key together', async () => {
    const { caller } = await stack.tenant('beta', 0);
    const left: number[] = [];
    const statuses: number[] = [];
    for (let n = 0; n < PER_MINUTE + 2; n++) {
      const answer = await ask(n % 2 === 0 ? stack.url : second.url, '/v1/me', { key: caller.key });
      statuses.push(answer.status);
      left.push(Number(/r=(\d+)/.exec(answer.headers.get('ratelimit') ?? '')?.[1]));
      await answer.body?.cancel();
    }
    expect(left).toEqual([...Array.from({ length: PER_MINUTE }, (_, n) => PER_MINUTE - 1 - n), 0, 0]);
    expect(statuses).toEqual([...Array.from({ length: PER_MINUTE }, () => 200), 429, 429]);
  });

  it('stop one by one: polls and watchers of the one that goes end well and go on at the other', async () => {
    const { key } = alpha.caller;
    const job = await answered<{ id: string }>(
      ask(stack.url, '/v1/jobs', {
        key,
        method: 'POST',
        body: JSON.stringify({ spec: { kind: 'command', command: ['true'] }, maxCost: '1000' }),
      }),
    );
    const { enrolToken } = await stack.platform.get<{ enrolToken: string }>('POST /v1/hosts', {
      body: { name: 'box', slots: 1, pricePerSlotHour: '1000' },
    });
    const facts = {
      ...{ hostname: 'h', os: 'linux', arch: 'x64', vcpus: 1, cpuModel: 'c', ramGiB: 1, diskFreeGiB: 1 },
      ...{ gpus: [], gpuLink: 'none', agentVersion: '0', engines: [] },
    };
    const agent = await answered<{ credential: string }>(
      ask(stack.url, '/agent/v1/enroll', {
        key: 'none',
        method: 'POST',
        body: JSON.stringify({ token: enrolToken, facts }),
      }),
    );
    const poll = (url: string, seq: number) =>
      ask(url, '/agent/v1/sync', {
        key: agent.credential,
        method: 'POST',
        body: JSON.stringify({ seq, reports: [], capacity: 1, waitMs: seq === 0 ? 30_000 : 0, knownWork: [] }),
      });

    const waiting = poll(second.url, 0);
    const stream = await ask(second.url, `/v1/jobs/${job.id}/events`, { key });
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (!reader) throw new Error('a stream without a body');
    let seen = '';
    while (!seen.includes('id: 1\n')) seen += (await reader.read()).value ?? '';
    const seenInDatabase = async () => (await stack.sql('select 1 from agents where last_seq = 0')).length === 1;
    await stack.until('the poll waits', seenInDatabase, 60_000);

    const stopped = second.api.stop(60_000);
    await alpha.caller.get(`POST /v1/jobs/${job.id}/cancel`);
    for (let part = await reader.read(); !part.done; part = await reader.read()) seen += part.value;
    const polled = await waiting;
    expect([polled.status, await polled.json()]).toEqual([200, { work: [], acknowledged: [], goodbye: false }]);
    expect(await stopped).toBe(0);

    const ids = (text: string): number[] => [...text.matchAll(/^id: (\d+)\nevent: job$/gm)].map(([, n]) => Number(n));
    const last = ids(seen).at(-1) ?? 0;
    const rest = await ask(stack.url, `/v1/jobs/${job.id}/events`, { key, headers: { 'last-event-id': String(last) } });
    const other = rest.body?.pipeThrough(new TextDecoderStream()).getReader();
    // The cancellation, at the latest; no worker is there to end the job.
    const all = (await stack.sql<{ n: number }>('select n from events where subject_id = $1 order by n', [job.id])).map(
      ({ n }) => n,
    );
    let later = '';
    while (ids(seen + later).length < all.length) later += (await other?.read())?.value ?? '';
    await other?.cancel();
    expect([all.length > 1, ids(seen + later)]).toEqual([true, all]);
    expect((await poll(stack.url, 1)).status).toBe(200);
    expect(second.api.stderr.filter((line) => /"status":5\d\d/.test(line))).toEqual([]);
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestApi, type TestAnswer, type TestTenant } from '../../testing/test-api.js';

let api: TestApi;
let tenant: TestTenant;
beforeAll(async () => {
  api = await TestApi.start();
  tenant = await api.tenant();
});
afterAll(() => api.close());

const NOW = new Date().toISOString();
const event = (id: string, data: object = {}, over: object = {}) => ({
  specversion: '1.0',
  id,
  source: '/spec',
  type: 'spec',
  time: NOW,
  data: { meter: 'output-tokens', quantity: 10, projectId: tenant.projectId, model: 'qwen', ...data },
  ...over,
});
const send = (body: unknown, type?: string, key = tenant.key): Promise<TestAnswer> =>
  api.call('POST /v1/usage/events', {
    key,
    body,
    ...(type === undefined ? {} : { headers: { 'content-type': type } }),
  });
const told = async (key = tenant.key): Promise<string[]> => {
  const { body } = await api.call('GET /v1/usage?by=project', { key });
  const totals = body['totals'] as { meter: string; quantity: string; amount: string }[];
  return totals.map((t) => `${t.meter} ${t.quantity} ${t.amount}`);
};

describe('usage events', () => {
  it('are taken one by one as structured CloudEvents, and once', async () => {
    const one = await send(event('one'), 'application/cloudevents+json; charset=utf-8');
    expect([one.status, one.body]).toEqual([
      200,
      {
        accepted: 1,
        unattributed: 0,
        duplicates: 0,
        rejected: 0,
        results: [{ outcome: 'accepted', attributed: true }],
      },
    ]);
    expect((await send(event('one'))).body).toMatchObject({ accepted: 0, duplicates: 1 });
    expect(await told()).toEqual(['output-tokens 10 0']);
    const other = await send(event('one', { quantity: 11 }));
    expect([other.status, other.body['code'], other.body['field']]).toEqual([409, 'event-conflict', 'id']);
    expect(await told()).toEqual(['output-tokens 10 0']);
  });

  it('are taken in batches, each with an answer of its own', async () => {
    const old = new Date(Date.now() - 36 * 86_400_000).toISOString();
    const early = new Date(Date.now() + 600_000).toISOString();
    const batch = [
      event('one'),
      event('two'),
      event('two'),
      event('one', { quantity: 12 }),
      event('three', {}, { time: old }),
      event('four', {}, { time: early }),
      event('five', { quantity: 1.5 }),
      'six',
      event('seven', { projectId: null }),
    ];
    const answer = await send(batch, 'application/cloudevents-batch+json');
    expect([answer.status, answer.body]).toEqual([
      200,
      {
        accepted: 2,
        unattributed: 1,
        duplicates: 2,
        rejected: 5,
        results: [
          { outcome: 'duplicate' },
          { outcome: 'accepted', attributed: true },
          { outcome: 'duplicate' },
          {
            outcome: 'rejected',
            code: 'conflict',
            field: '[3].id',
            reason: 'was sent before from this source with other contents',
          },
          { outcome: 'rejected', code: 'too-old', field: '[4].time', reason: 'is more than 35 days ago' },
          { outcome: 'rejected', code: 'in-the-future', field: '[5].time', reason: 'is more than 5 minutes ahead' },
          {
            outcome: 'rejected',
            code: 'invalid',
            field: '[6].data.quantity',
            reason: 'must be a whole number of tokens, 0 or more and of at most 24 digits',
          },
          { outcome: 'rejected', code: 'invalid', field: '[7]', reason: 'must be an object' },
          { outcome: 'accepted', attributed: false },
        ],
      },
    ]);
    expect((await send([])).body).toMatchObject({ accepted: 0, results: [] });
    const metrics = String((await api.call('GET /metrics')).body['text']);
    expect(metrics).toMatch(/berth_usage_events_total\{outcome="unattributed",process="api"\} 1\n/);
  });

  it('are refused whole where the request itself is wrong', async () => {
    const problem = async (answer: Promise<TestAnswer>) => {
      const { status, body } = await answer;
      return [status, body['code'], body['field']];
    };
    expect(await problem(send([event('a')], 'application/cloudevents+json'))).toEqual([
      400,
      'not-what-it-says',
      undefined,
    ]);
    expect(await problem(send(event('a'), 'application/cloudevents-batch+json'))).toEqual([
      400,
      'not-what-it-says',
      undefined,
    ]);
    expect(await problem(send(event('a'), 'text/plain'))).toEqual([415, 'unsupported-media-type', undefined]);
    expect(await problem(send(Array.from({ length: 1_001 }, () => 1)))).toEqual([413, 'too-many-events', undefined]);
    expect(await problem(send(event('a', { meter: 'lease-time' })))).toEqual([400, 'invalid-event', 'data.meter']);
    expect(await problem(send(event('a', {}, { time: '2020-01-01T00:00:00Z' })))).toEqual([
      400,
      'event-too-old',
      'time',
    ]);
    const member = await api.call('POST /v1/keys', {
      key: tenant.key,
      body: { name: 'm', role: 'member', projectId: tenant.projectId },
    });
    expect(await problem(send(event('a'), undefined, String(member.body['secret'])))).toEqual([
      403,
      'role-lacking',
      undefined,
    ]);
  });

  it('that belong to nobody are listed, and attributed', async () => {
    const other = await api.tenant('Other');
    const batch = ['x', 'y', 'z'].map((id) => event(id, { projectId: tenant.projectId, quantity: 5 }));
    expect((await send(batch, undefined, other.key)).body).toMatchObject({ accepted: 3, unattributed: 3 });
    expect(await told(other.key)).toEqual([]);
    const list = (query: string) => api.call(`GET /v1/usage/unattributed${query}`, { key: other.key });
    const first = await list('?limit=2');
    const items = first.body['items'] as { id: string; eventId: string; reason: string; projectId: string }[];
    expect(items.map((i) => [i.eventId, i.reason, i.projectId])).toEqual([
      ['x', 'unknown-project', tenant.projectId],
      ['y', 'unknown-project', tenant.projectId],
    ]);
    const rest = (await list(`?limit=2&cursor=${String(first.body['nextCursor'])}`)).body['items'] as typeof items;
    expect(rest.map((i) => i.eventId)).toEqual(['z']);
    const attribute = (ids: readonly string[], key = other.key, projectId = other.projectId) =>
      api.call('POST /v1/usage/unattributed/attribute', { key, body: { ids, projectId } });
    const ids = [...items, ...rest].map((i) => i.id);
    expect((await attribute(ids, tenant.key, tenant.projectId)).status).toBe(404);
    const done = await attribute(ids);
    expect([done.status, done.body]).toEqual([200, { attributed: 3 }]);
    expect((await attribute(ids)).status).toBe(404);
    expect((await list('')).body['items']).toEqual([]);
    expect(await told(other.key)).toEqual(['output-tokens 15 0']);
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WORKER } from '#platform/database';
import { jobs } from '#work/jobs';
import { quotes } from '#work/quotes';
import { commandJob, openOwner, type Owner } from '../../testing/owned.js';
import { TestApi, type TestAnswer } from '../../testing/test-api.js';

let api: TestApi;
let ann: Owner;

beforeAll(async () => {
  api = await TestApi.start();
  ann = await openOwner(api, 'Ann');
});
afterAll(() => api.close());

const quoted = async (): Promise<Record<string, unknown>> => {
  const body = { projectId: ann.ids.projectId, workload: {} };
  const answer = await api.call('POST /v1/quotes', { key: ann.adminKey, body });
  expect(answer.status).toBe(201);
  return answer.body;
};
const submit = (quoteId: unknown, key?: string): Promise<TestAnswer> =>
  api.call('POST /v1/jobs', {
    key: ann.adminKey,
    body: { ...commandJob(ann.ids.projectId, ann.ids.artifactId), quoteId },
    ...(key === undefined ? {} : { headers: { 'idempotency-key': key } }),
  });
const show = async (id: unknown): Promise<Record<string, unknown>> =>
  (await api.call(`GET /v1/quotes/${String(id)}`, { key: ann.adminKey })).body;

describe('a quote', () => {
  it('shows the price, how long it holds and the decision, and is found again', async () => {
    const quote = await quoted();
    const open = Date.parse(String(quote['expiresAt'])) - Date.parse(String(quote['createdAt']));
    expect([quote['state'], open]).toEqual(['open', 600_000]);
    expect(quote['decision']).toMatchObject({ id: quote['placementId'], scope: 'rentable' });
    expect(await show(quote['id'])).toEqual(quote);
  });

  it('is listed, newest first, in pages', async () => {
    const last = await quoted();
    const page = async (query: string): Promise<Record<string, unknown>> =>
      (await api.call(`GET /v1/quotes?${query}`, { key: ann.adminKey })).body;
    const first = await page('limit=1');
    expect(first['items']).toMatchObject([{ id: last['id'] }]);
    const second = await page(`limit=1&cursor=${String(first['nextCursor'])}`);
    expect((second['items'] as { id: string }[])[0]?.id).not.toBe(last['id']);
    expect(await page(`projectId=${ann.otherProject.projectId}`)).toEqual({ items: [], nextCursor: null });
  });

  it('is asked for once with one Idempotency-Key', async () => {
    const ask = () =>
      api.call('POST /v1/quotes', {
        key: ann.adminKey,
        body: { projectId: ann.ids.projectId, workload: {} },
        headers: { 'idempotency-key': 'one-quote' },
      });
    const [first, again] = [await ask(), await ask()];
    expect(again.body).toEqual(first.body);
  });
});

describe('a job with a quote', () => {
  it('uses it, and is the same job when the request is repeated with its key', async () => {
    const quote = await quoted();
    const first = await submit(quote['id'], 'with-a-quote');
    expect([first.status, first.body['quoteId']]).toEqual([201, quote['id']]);
    const again = await submit(quote['id'], 'with-a-quote');
    expect([again.status, again.body['id']]).toEqual([201, first.body['id']]);
    expect(await show(quote['id'])).toMatchObject({ state: 'used', jobId: first.body['id'] });
  });

  it('is refused with 409 when another job has it, as often as it is tried', async () => {
    const quote = await quoted();
    expect((await submit(quote['id'])).status).toBe(201);
    for (let n = 0; n < 2; n++) {
      const { status, body } = await submit(quote['id'], 'too-late');
      expect([status, body['code'], body['field']]).toEqual([409, 'quote-used', 'quoteId']);
    }
  });

  it('is one of many that come at once', async () => {
    const quote = await quoted();
    const answers = await Promise.all(Array.from({ length: 12 }, () => submit(quote['id'])));
    expect(answers.map((a) => a.status).sort()).toEqual([201, ...Array<number>(11).fill(409)]);
    const rows = await api.ground.store.transaction(WORKER, (tx) => tx.find(jobs, { quoteId: String(quote['id']) }));
    expect(rows).toHaveLength(1);
  });

  it('is refused after the end of its quote, with both prices', async () => {
    const quote = await quoted();
    await api.ground.store.transaction(WORKER, (tx) =>
      tx.update(quotes, { id: String(quote['id']) }, { createdAt: 0, expiresAt: 1 }),
    );
    const { status, body } = await submit(quote['id']);
    expect([status, body['code']]).toEqual([409, 'quote-expired']);
    expect(body['facts']).toEqual({
      quotedPricePerHour: quote['pricePerHour'],
      pricePerHour: quote['pricePerHour'],
    });
  });

  it('is refused in a project that does not know the quote, and undone with all the others of its submission', async () => {
    const { key, projectId } = ann.otherProject;
    const quote = await quoted();
    const body = { projectId, spec: { kind: 'command', command: ['true'] }, maxCost: '1', quoteId: quote['id'] };
    expect(await api.call('POST /v1/jobs', { key, body })).toMatchObject({ status: 400, body: { field: 'quoteId' } });
    const { projectId: own, ...job } = { ...commandJob(ann.ids.projectId, ann.ids.artifactId), quoteId: quote['id'] };
    const bulk = await api.call('POST /v1/jobs/bulk', {
      key: ann.adminKey,
      body: { projectId: own, jobs: [job, job] },
    });
    expect([bulk.status, bulk.body['code']]).toEqual([400, 'quote-twice']);
    expect(await show(quote['id'])).toMatchObject({ state: 'open' });
  });
});

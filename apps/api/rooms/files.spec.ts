import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HOUR, usd } from '#kernel';
import { WORKER } from '#platform/database';
import { priceBooks } from '#money/rating';
import { priceTermsSchema } from '#contracts';
import { egressCounts, storageMarks } from '#money/storage';
import { artifacts } from '#compute/artifacts';
import { commandJob, openOwner, OUTPUT_PATH, type Owner } from '../testing/owned.js';
import { TestApi } from '../testing/test-api.js';

let api: TestApi;
let owner: Owner;
beforeAll(async () => {
  api = await TestApi.start();
  owner = await openOwner(api, 'Ann');
});
afterAll(() => api.close());

const call = (line: Parameters<TestApi['call']>[0], more: object = {}) =>
  api.call(line, { key: owner.adminKey, ...more });
const upload = async (body: string): Promise<string> =>
  String((await call(`POST /v1/artifacts?projectId=${owner.ids.projectId}`, { body, headers: text })).body['id']);
const text = { 'content-type': 'text/plain' };

describe('files', () => {
  it('are listed until they are deleted, and not deleted while a job needs them', async () => {
    const listed = async (): Promise<unknown[]> =>
      ((await call('GET /v1/artifacts')).body['items'] as { id: string }[]).map((f) => f.id);
    const [kept, gone] = [await upload('kept'), await upload('gone')];
    expect((await listed()).slice(0, 2)).toEqual([gone, kept]);
    const job = await call('POST /v1/jobs', { body: commandJob(owner.ids.projectId, kept) });
    expect(await call(`DELETE /v1/artifacts/${kept}`)).toMatchObject({
      status: 409,
      body: { code: 'artifact-in-use' },
    });
    expect(await call(`DELETE /v1/artifacts/${gone}`)).toMatchObject({ status: 200, body: { id: gone } });
    for (const line of ['GET /v1/artifacts/', 'DELETE /v1/artifacts/'] as const)
      expect((await call(`${line}${gone}`)).status).toBe(404);
    expect((await call(`GET /v1/artifacts/${gone}/content`)).status).toBe(404);
    const late = await call('POST /v1/jobs', { body: commandJob(owner.ids.projectId, gone) });
    expect(late.status).toBeGreaterThanOrEqual(400);
    expect((await listed())[0]).toBe(kept);
    await call(`POST /v1/jobs/${String(job.body['id'])}/cancel`);
  });

  it('that are read are counted, to the byte, with the results and outputs of jobs', async () => {
    const { store, broker } = api.ground;
    const { organizationId, projectId, batchJobId, commandJobId } = owner.ids;
    await broker.egress.flush();
    const counted = async (): Promise<bigint> =>
      (await store.transaction(WORKER, (tx) => tx.find(egressCounts, { organizationId, projectId }))).reduce(
        (n, c) => n + c.bytes,
        0n,
      );
    const before = await counted();
    const id = await upload('x'.repeat(1_000));
    const results = await call(`GET /v1/jobs/${batchJobId}/results`);
    const output = await call(`GET /v1/jobs/${commandJobId}/outputs?path=${OUTPUT_PATH}`);
    await call(`GET /v1/artifacts/${id}/content`);
    await call(`GET /v1/artifacts/${id}/content`);
    await broker.egress.flush();
    expect([results.status, output.status]).toEqual([200, 200]);
    const jobFiles = '{"custom_id":"secret result"}\n'.length + 'secret output'.length;
    expect((await counted()) - before).toBe(BigInt(2_000 + jobFiles));
  });

  it('are charged by the worker, and usage, invoice and explanation say so', async () => {
    const { store, broker } = api.ground;
    const { organizationId, projectId } = owner.ids;
    const now = await store.transaction(WORKER, (tx) => tx.now());
    // Over for more than an hour, so that it is charged at whatever minute this runs; it may be of last month.
    const hour = Math.floor(now / HOUR) * HOUR - 2 * HOUR;
    const [from, to] = [hour, hour + HOUR].map((ms) => new Date(ms).toISOString());
    await store.transaction(WORKER, async (tx) => {
      const [file] = await tx.find(artifacts, { organizationId }, { limit: 1 });
      if (!file) throw new Error('nothing was uploaded');
      const big = { ...file, id: `${file.id}x`, bytes: 2e9, objectKey: 'none', createdAt: hour };
      await tx.insert(artifacts, big);
      const effectiveAt = hour - HOUR;
      const terms = priceTermsSchema.parse({ storage: { gbHour: String(usd('0.5')), freeGbHours: '1' } });
      await tx.insert(priceBooks, {
        id: 'prb_spec',
        version: 1,
        effectiveAt,
        createdAt: effectiveAt,
        note: null,
        terms,
      });
    });
    await broker.storage.open();
    await store.transaction(WORKER, (tx) =>
      tx.update(storageMarks, { organizationId }, { chargedThrough: hour, wakeAt: now - 1 }),
    );
    expect(await broker.storage.step(organizationId)).toBe('again');
    const usage = await call(`GET /v1/usage?bucket=hour&groupBy=project&meter=storage&from=${from}&to=${to}`);
    expect(usage.body['totals']).toMatchObject([
      { project: projectId, meter: 'storage', unit: 'MB-hours', quantity: '2000', amount: String(usd('0.5')) },
    ]);
    const day = await call(`GET /v1/usage/explain?date=${from?.slice(0, 10)}`);
    const hours = day.body['hours'] as { at: string; lines: { meter: string; why: string; amount: string }[] }[];
    const lines = hours.flatMap((h) => h.lines).filter((l) => l.meter === 'storage');
    expect(lines.map((l) => [l.amount, l.why]).sort()).toEqual([
      ['0', 'free'],
      [String(usd('0.5')), '$0.50 a GB-hour, beyond what is free each month'],
    ]);
    const invoice = await call(`GET /v1/invoices/preview?month=${from?.slice(0, 7)}`);
    const shown = (invoice.body['lines'] as { resource: string; amount: string }[]).filter(
      (l) => l.resource === 'stored files',
    );
    expect(shown).toHaveLength(1);
    expect(shown[0]?.amount).toBe(String(usd('0.5')));
  });
});

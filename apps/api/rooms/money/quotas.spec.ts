import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WORKER } from '#platform/database';
import { quotas } from '#money/quotas';
import { commandJob, openOwner, type Owner } from '../../testing/owned.js';
import { TestApi } from '../../testing/test-api.js';

let api: TestApi;
let owner: Owner;
beforeAll(async () => {
  api = await TestApi.start();
  owner = await openOwner(api, 'Ann');
});
afterAll(() => api.close());

const put = (body: object) => api.call('PUT /v1/admin/quotas', { key: api.platformKey, body });
const submit = () =>
  api.call('POST /v1/jobs', { key: owner.adminKey, body: commandJob(owner.ids.projectId, owner.ids.artifactId) });
const listed = async (key: string) =>
  (await api.call('GET /v1/quotas', { key })).body['items'] as { id: string; dimension: string; used: string }[];

describe('quotas', () => {
  it('are set, shown with their use, obeyed, removed and written to the audit log', async () => {
    const scope = { scope: 'organization', scopeId: owner.ids.organizationId, dimension: 'jobs-queued' };
    const first = await put({ ...scope, limit: '1000' });
    expect(first.status).toBe(200);
    const shown = (await listed(owner.adminKey)).find((q) => q.dimension === 'jobs-queued');
    expect(shown).toMatchObject({ dimension: 'jobs-queued', limit: '1000', scope: 'organization', mode: 'hard' });
    const used = shown?.used ?? '';
    expect(Number(used)).toBeGreaterThan(0);
    expect((await put({ ...scope, limit: used })).body['quota']).toMatchObject({ id: shown?.id, limit: used });
    const refused = await submit();
    expect([refused.status, refused.body['code']]).toEqual([429, 'quota-exceeded']);
    expect(refused.body['facts'] ?? refused.body).toMatchObject({ dimension: 'jobs-queued', limit: used, asked: '1' });
    const removed = await api.call(`DELETE /v1/admin/quotas/${shown?.id}`, { key: api.platformKey });
    expect(removed.status).toBe(200);
    expect((await submit()).status).toBe(201);
    const audit = await api.call(`GET /v1/admin/audit?subject=${shown?.id}`, { key: api.platformKey });
    expect(
      (audit.body['items'] as { action: string; before: { limit?: string } | null }[]).map((a) => [
        a.action,
        a.before?.limit,
      ]),
    ).toEqual([
      ['quota.remove', used],
      ['quota.set', '1000'],
      ['quota.set', undefined],
    ]);
  });

  it('refuse a budget with 402', async () => {
    const budget = { scope: 'project', scopeId: owner.ids.projectId, dimension: 'spend', per: 'month', limit: '1' };
    const { body } = await put(budget);
    const refused = await submit();
    expect([refused.status, refused.body['code']]).toEqual([402, 'budget-exceeded']);
    await api.call(`DELETE /v1/admin/quotas/${(body['quota'] as { id: string }).id}`, { key: api.platformKey });
  });

  it('say what is wrong with them', async () => {
    const unknown = await put({ scope: 'project', scopeId: 'prj_nobody', dimension: 'leases', limit: '1' });
    expect([unknown.status, unknown.body['code']]).toEqual([400, 'unknown-scope']);
    const window = { scope: 'organization', scopeId: owner.ids.organizationId, dimension: 'spend', limit: '1' };
    expect((await put(window)).body['code']).toBe('quota-not-possible');
    const uncounted = await put({ ...window, dimension: 'emails', per: 'minute' });
    expect([uncounted.status, uncounted.body['code']]).toEqual([400, 'quota-not-possible']);
    // What batches are held back by.
    const rate = await put({ ...window, dimension: 'tokens', per: 'minute' });
    expect(rate).toMatchObject({ status: 200, body: { quota: { dimension: 'tokens', per: 'minute', used: '0' } } });
  });

  it('count files as requests of tenants upload them, and refuse what is too much', async () => {
    const scope = { scope: 'organization', scopeId: owner.ids.organizationId, dimension: 'storage-bytes' };
    const { body: set } = await put({ ...scope, limit: '1000000' });
    const { id, used } = set['quota'] as { id: string; used: string };
    const upload = (bytes: number) =>
      api.call(`POST /v1/artifacts?name=a.txt&projectId=${owner.ids.projectId}`, {
        key: owner.adminKey,
        headers: { 'content-type': 'text/plain' },
        body: 'x'.repeat(bytes),
      });
    expect((await upload(10)).status).toBe(201);
    expect((await listed(owner.adminKey)).find((q) => q.id === id)?.used).toBe(String(Number(used) + 10));
    const refused = await upload(1_000_000);
    expect([refused.status, refused.body['code']]).toEqual([429, 'quota-exceeded']);
    await api.call(`DELETE /v1/admin/quotas/${id}`, { key: api.platformKey });
  });

  it('show what the windows before owe, as it is in use', async () => {
    const month = { scope: 'project', scopeId: owner.ids.projectId, dimension: 'tokens', per: 'month', limit: '10' };
    const { id } = (await put(month)).body['quota'] as { id: string };
    const today = new Date();
    const windowStart = Date.UTC(today.getUTCFullYear(), today.getUTCMonth() - 2);
    await api.ground.store.transaction(WORKER, (tx) =>
      tx.update(quotas, { id }, { used: 35n, owed: 25n, windowStart }),
    );
    expect((await listed(owner.adminKey)).find((q) => q.id === id)?.used).toBe('15');
  });
});

describe('kinds of credit', () => {
  const on = () => `v1/admin/organizations/${owner.ids.organizationId}`;
  it('a limit to go below zero', async () => {
    const set = await api.call(`PUT /${on()}/credit`, { key: api.platformKey, body: { limit: '5000000000' } });
    expect(set.body).toMatchObject({ limit: '5000000000', organizationId: owner.ids.organizationId });
  });

  it('grants, once for each reference', async () => {
    const body = { amountNano: '1000000000', reference: 'welcome', expiresAt: '2199-01-01T00:00:00Z' };
    const give = () => api.call(`POST /${on()}/grants`, { key: api.platformKey, body });
    const given = await give();
    expect(given.body).toMatchObject({ amount: '1000000000', spent: '0', state: 'open' });
    expect((await give()).body['id']).toBe(given.body['id']);
    const list = await api.call(`GET /${on()}/grants`, { key: api.platformKey });
    expect((list.body['items'] as unknown[]).length).toBe(1);
  });
});

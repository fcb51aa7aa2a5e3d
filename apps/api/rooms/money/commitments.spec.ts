import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openOwner, type Owner } from '../../testing/owned.js';
import { TestApi } from '../../testing/test-api.js';

let api: TestApi;
let owner: Owner;
beforeAll(async () => {
  api = await TestApi.start();
  owner = await openOwner(api, 'Ann');
});
afterAll(() => api.close());

describe('commitments', () => {
  it('are made once, however often the request is sent: nobody pays for a promise twice', async () => {
    const path = `POST /v1/admin/organizations/${owner.ids.organizationId}/commitments` as const;
    const body = { per: 'month', amount: '5000000000000', discountBps: 1_000, endsAt: '2199-01-01T00:00:00Z' };
    const headers = { 'idempotency-key': 'promise-1' };
    const add = (more: object = {}) => api.call(path, { key: api.platformKey, headers, body: { ...body, ...more } });
    const made = await add();
    expect([made.status, made.body]).toMatchObject([201, { per: 'month', amount: '5000000000000', owed: '0' }]);
    expect((await add()).body).toEqual(made.body);
    const other = await add({ amount: '1' });
    expect(other.status).toBe(422);
    const { body: own } = await api.call('GET /v1/commitments', { key: owner.adminKey });
    const items = own['items'] as { amount: string }[];
    expect(items.filter((c) => c.amount === body.amount)).toEqual([made.body]);
  });
});

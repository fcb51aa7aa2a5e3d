import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { gzipSync } from 'node:zlib';
import { HOUR, newId, usd } from '#kernel';
import { WORKER } from '#platform/database';
import { account, Ledger } from '#money/ledger';
import { leases } from '#compute/leases';
import { openOwner, type Owner } from '../../testing/owned.js';
import { TestApi, type Json } from '../../testing/test-api.js';

let api: TestApi;
let owner: Owner;
const providerId = newId('provider');
const FROM = Math.floor(Date.now() / HOUR) * HOUR - 2 * HOUR;
const iso = (ms: number): string => new Date(ms).toISOString();
beforeAll(async () => {
  api = await TestApi.start();
  owner = await openOwner(api, 'Ann');
  await api.ground.store.transaction(WORKER, async (tx) => {
    await api.app.get(Ledger).open(tx, [{ id: account.payable(providerId), kind: 'payable', organizationId: null }]);
    await tx.update(leases, { id: owner.ids.leaseId }, { providerId, vendorId: 'i-0abc', requestedAt: FROM });
  });
});
afterAll(async () => api.close());

const call = async (path: string, more: Json = {}): Promise<{ status: number; body: Json }> => {
  const answer = await api.call(path as 'GET /', { key: api.platformKey, ...more });
  return { status: answer.status, body: answer.body };
};
const file = [
  'line_item_usage_start_date,line_item_usage_end_date,line_item_resource_id,line_item_unblended_cost',
  `${iso(FROM)},${iso(FROM + HOUR)},i-0abc,2.5`,
  `${iso(FROM)},${iso(FROM + HOUR)},i-0stray,1.25`,
].join('\n');
const bring = async (payload: string | Buffer, query = ''): Promise<{ status: number; body: Json }> => {
  const answer = await api.app.inject({
    method: 'POST',
    url: `/v1/admin/vendor-invoices?providerId=${providerId}&format=aws-cur${query}`,
    headers: { authorization: `Bearer ${api.platformKey}`, 'content-type': 'application/octet-stream' },
    payload,
  });
  return { status: answer.statusCode, body: JSON.parse(answer.body) as Json };
};

describe('vendor invoices over the API', () => {
  let id: string;

  it('are imported, once, packed or not', async () => {
    const made = await bring(file, '&name=cur.csv');
    expect(made.status).toBe(201);
    const { invoice, again } = made.body as { invoice: Json; again: boolean };
    id = String(invoice['id']);
    expect(again).toBe(false);
    expect(invoice).toMatchObject({
      fileName: 'cur.csv',
      lines: 2,
      total: String(usd('3.75')),
      matched: String(usd('2.5')),
      onlyAtVendor: String(usd('1.25')),
    });
    expect((await bring(gzipSync(file))).body).toEqual({ invoice, again: true });
    expect((await call(`GET /v1/admin/vendor-invoices/${id}`)).body).toEqual(invoice);
    expect((await call(`GET /v1/admin/vendor-invoices?providerId=${providerId}`)).body).toEqual({
      items: [invoice],
      nextCursor: null,
    });
  });

  it('list their differences in pages, and by kind', async () => {
    const found: Json[] = [];
    for (let cursor: unknown = ''; cursor !== null;) {
      const query = cursor === '' ? '' : `&cursor=${String(cursor)}`;
      const { body } = await call(`GET /v1/admin/vendor-invoices/${id}/differences?limit=1${query}`);
      found.push(...(body['items'] as Json[]));
      cursor = body['nextCursor'];
    }
    expect(found.map((d) => [d['kind'], d['machineId'], d['leaseId'], d['difference'], d['firstLine']]).sort()).toEqual(
      [
        ['amount', 'i-0abc', owner.ids.leaseId, String(usd('2.5')), 2],
        ['only-at-vendor', 'i-0stray', null, String(usd('1.25')), 3],
      ],
    );
    const orphans = await call(`GET /v1/admin/vendor-invoices/${id}/differences?kind=only-at-vendor,agreed`);
    expect((orphans.body['items'] as Json[]).map((d) => d['machineId'])).toEqual(['i-0stray']);
  });

  it('are accepted once, and then stand in the revenue report as cost', async () => {
    const accept = () =>
      call(`POST /v1/admin/vendor-invoices/${id}/accept`, { body: { reason: 'ours', kinds: ['only-at-vendor'] } });
    const revenue = async () => {
      const { rows } = (await call('GET /v1/admin/revenue?by=month')).body as {
        rows: { cost: string; margin: string }[];
      };
      const sum = (of: 'cost' | 'margin'): bigint => rows.reduce((n, row) => n + BigInt(row[of]), 0n);
      return { cost: sum('cost'), margin: sum('margin') };
    };
    const before = await revenue();
    expect((await accept()).body).toEqual({ accepted: 1, amount: String(usd('1.25')) });
    expect((await accept()).body).toEqual({ accepted: 0, amount: '0' });
    expect(await revenue()).toEqual({ cost: before.cost + usd('1.25'), margin: before.margin - usd('1.25') });
    const audited = (await call(`GET /v1/admin/audit?subject=${id}`)).body['items'] as Json[];
    expect(audited.map((a) => a['action'])).toEqual(['vendor-invoice.accept', 'vendor-invoice.import']);
    const which = await call(`POST /v1/admin/vendor-invoices/${id}/accept`, { body: { reason: 'x' } });
    expect(which.status).toBe(400);
  });

  it('with bad lines say which and what to do', async () => {
    const { status, body } = await bring(`${file}\n${iso(FROM)},soon,i-1,3`);
    expect(status).toBe(400);
    expect(body).toMatchObject({
      code: 'vendor-line-invalid',
      detail: 'Line 4: line_item_usage_end_date is "soon", not a time.',
      field: 'line 4',
    });
    const skipped = await bring(`${file}\n${iso(FROM)},soon,i-1,3\n${iso(FROM)},${iso(FROM)},i-1,3`, '&badLines=skip');
    expect(skipped.body['invoice']).toMatchObject({ lines: 1, knownLines: 2, skippedLines: 1 });
  });

  it('are for platform administrators only', async () => {
    for (const path of [
      'GET /v1/admin/vendor-invoices',
      `GET /v1/admin/vendor-invoices/${id}`,
      'GET /v1/admin/revenue',
    ])
      expect((await call(path, { key: owner.adminKey })).status).toBe(403);
  });
});

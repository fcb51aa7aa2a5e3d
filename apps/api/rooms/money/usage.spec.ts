import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { HOUR, newId } from '#kernel';
import { WORKER } from '#platform/database';
import { foldUsage, usageRecords, usageRow, type UsageRow } from '#money/metering';
import { TestApi, type TestTenant } from '../../testing/test-api.js';

const NOON = Date.UTC(2026, 9, 31, 12);
const RANGE = 'from=2026-10-31T00:00:00Z&to=2026-11-02T00:00:00Z';

let api: TestApi;
let tenant: TestTenant;
let other: TestTenant;
beforeAll(async () => {
  api = await TestApi.start();
  tenant = await api.tenant('Ann');
  other = await api.tenant('Ben');
  const record = (of: TestTenant, hour: number, amountNano: bigint, more: Partial<UsageRow> = {}): UsageRow => {
    const id = newId('usage');
    return usageRow({
      id,
      key: id,
      organizationId: of.organizationId,
      projectId: of.projectId,
      meter: 'lease-time',
      side: 'charge',
      resource: 'H100 x 2',
      model: 'H100',
      providerId: 'prv_a',
      providerClass: 'hyperscaler',
      fromAt: NOON + hour * HOUR,
      toAt: NOON + (hour + 1) * HOUR,
      quantity: BigInt(HOUR),
      unitPriceNano: 1n,
      amountNano,
      createdAt: NOON,
      ...more,
    });
  };
  await api.ground.store.transaction(WORKER, (tx) =>
    tx.insert(usageRecords, [
      record(tenant, 0, 1_000_000_000n, { jobId: 'job_a' }),
      record(tenant, 0, 200_000_000n, { jobId: 'job_b', model: '=L4', resource: 'L4 x 1' }),
      record(tenant, 1, 30_000_000n, { jobId: null }),
      record(tenant, 12, 4_000_000n, { jobId: 'job_a' }),
      record(tenant, 0, 666n, { side: 'cost', jobId: 'job_a' }),
      record(other, 0, 777n),
    ]),
  );
});
afterAll(() => api.close());

const get = (query: string, key = tenant.key, headers: Record<string, string> = {}) =>
  api.call(`GET /v1/usage?${query}` as 'GET /', { key, headers });
type Total = { at?: string; model?: string | null; job?: string | null; group: string; amount: string };
const totalsOf = (body: Record<string, unknown>) => body['totals'] as Total[];

describe('GET /v1/usage', () => {
  it('keeps its old form: one dimension, all on one page', async () => {
    const { body } = await get(`${RANGE}&by=job`);
    expect(body).toMatchObject({ by: 'job', bucket: null, groupBy: [], amount: '1234000000', nextCursor: null });
    expect(totalsOf(body).map((t) => [t.group, t.amount])).toEqual([
      ['idle', '30000000'],
      ['job_a', '1004000000'],
      ['job_b', '200000000'],
    ]);
    expect((await get(RANGE)).body['by']).toBe('resource');
  });

  it('sums up by hour or day and any dimensions, folded or not, across the end of a month', async () => {
    for (const folded of [false, true]) {
      if (folded) expect(await foldUsage(api.ground.store)).toBeGreaterThan(0);
      const { body } = await get(`${RANGE}&bucket=hour&groupBy=model,job`);
      expect(totalsOf(body).map((t) => [t.at, t.model, t.job, t.group, t.amount])).toEqual([
        ['2026-10-31T12:00:00.000Z', '=L4', 'job_b', '2026-10-31T12:00:00Z =L4 job_b', '200000000'],
        ['2026-10-31T12:00:00.000Z', 'H100', 'job_a', '2026-10-31T12:00:00Z H100 job_a', '1000000000'],
        ['2026-10-31T13:00:00.000Z', 'H100', null, '2026-10-31T13:00:00Z H100 idle', '30000000'],
        ['2026-11-01T00:00:00.000Z', 'H100', 'job_a', '2026-11-01T00:00:00Z H100 job_a', '4000000'],
      ]);
      const days = await get(`${RANGE}&bucket=day`);
      expect(totalsOf(days.body).map((t) => [t.group, t.amount])).toEqual([
        ['2026-10-31', '1230000000'],
        ['2026-11-01', '4000000'],
      ]);
    }
  });

  it('keeps to what is asked for', async () => {
    expect((await get(`${RANGE}&model=H100&job=job_a,job_b&groupBy=project`)).body['amount']).toBe('1004000000');
    expect((await get(`${RANGE}&by=resource&model=H100`)).body['amount']).toBe('1034000000');
    expect((await get(`${RANGE}&groupBy=meter&meter=requests`)).body).toMatchObject({ totals: [], amount: '0' });
  });

  it('comes page by page', async () => {
    const first = (await get(`${RANGE}&bucket=hour&groupBy=job&limit=3`)).body;
    expect([totalsOf(first).length, first['amount']]).toEqual([3, '1234000000']);
    const next = `cursor=${String(first['nextCursor'])}`;
    const second = (await get(`${RANGE}&bucket=hour&groupBy=job&limit=3&${next}`)).body;
    expect(totalsOf(second).map((t) => t.amount)).toEqual(['4000000']);
    expect(second).toMatchObject({ nextCursor: null, amount: '1234000000' });
    expect((await get(`${RANGE}&bucket=day&groupBy=job&${next}`)).body['code']).toBe('invalid-cursor');
    expect((await get(`${RANGE}&bucket=hour&groupBy=job&${next}`, other.key)).body['code']).toBe('invalid-cursor');
  });

  it('comes as CSV that no spreadsheet runs', async () => {
    const csv =
      'day,model,meter,quantity,unit,amount_usd_exact\r\n' +
      "2026-10-31T00:00:00.000Z,'=L4,lease-time,3600000,ms,0.20\r\n" +
      '2026-10-31T00:00:00.000Z,H100,lease-time,7200000,ms,1.03\r\n' +
      '2026-11-01T00:00:00.000Z,H100,lease-time,3600000,ms,0.004\r\n';
    const question = `${RANGE}&bucket=day&groupBy=model`;
    const asked = await get(question, tenant.key, { accept: 'text/csv' });
    expect([asked.status, asked.body['text']]).toEqual([200, csv]);
    expect(asked.headers).toMatchObject({
      'content-type': 'text/csv; charset=utf-8',
      vary: expect.stringMatching(/accept/i),
    });
    expect((await get(`${question}&format=csv`)).body['text']).toBe(csv);
    expect((await get(`${question}&format=json`, tenant.key, { accept: 'text/csv' })).body['amount']).toBe(
      '1234000000',
    );
  });

  it.each([
    ['from=2026-11-01T00:00:00Z&to=2026-11-01T00:00:00Z', 'range-empty'],
    ['to=2026-10-01T00:00:00Z&from=2026-11-01T00:00:00Z', 'range-empty'],
    ['from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&bucket=hour', 'range-too-long'],
    ['from=yesterday', 'invalid-query'],
    ['groupBy=colour', 'invalid-query'],
    ['by=day&bucket=hour', 'by-and-group'],
    ['bucket=day&limit=0', 'invalid-query'],
  ])('refuses %s with %s', async (query, code) => {
    const { status, body } = await get(query);
    expect([status, body['code']]).toEqual([400, code]);
  });

  it('never tells a tenant what a provider is owed, nor what somebody else used', async () => {
    expect((await get(`${RANGE}&groupBy=provider&side=cost`)).status).toBe(400);
    for (const question of ['by=resource', 'bucket=hour&groupBy=provider', 'groupBy=job'])
      expect((await get(`${RANGE}&${question}`, other.key)).body['amount']).toBe('777');
    expect((await get(`${RANGE}&groupBy=job&project=${tenant.projectId}`, other.key)).body['totals']).toEqual([]);
  });
});

describe('GET /v1/usage/explain', () => {
  it('adds up to what the day was charged, line by line, for the caller only', async () => {
    const explain = (date: string, key = tenant.key) =>
      api.call(`GET /v1/usage/explain?date=${date}` as 'GET /', { key });
    const { body } = await explain('2026-10-31');
    expect(body).toMatchObject({ date: '2026-10-31', amount: '1230000000', notes: [] });
    const hours = body['hours'] as { at: string; amount: string; lines: { jobId: string | null; why: string }[] }[];
    expect(hours.map((h) => [h.at.slice(11, 13), h.amount, h.lines.map((l) => l.jobId)])).toEqual([
      ['12', '1200000000', ['job_a', 'job_b']],
      ['13', '30000000', [null]],
    ]);
    expect((await explain('2026-10-31', other.key)).body['amount']).toBe('777');
    expect((await explain('2026-13-31')).body['code']).toBe('invalid-query');
  });
});

describe('usage for administrators', () => {
  const admin = (call: string, body?: object) =>
    api.call(call as 'GET /', { key: api.platformKey, ...(body === undefined ? {} : { body }) });

  it('is of all organizations or one, and of both sides', async () => {
    expect((await admin(`GET /v1/admin/usage?${RANGE}&groupBy=project`)).body['amount']).toBe('1234000777');
    const one = `organizationId=${tenant.organizationId}`;
    expect((await admin(`GET /v1/admin/usage?${RANGE}&${one}&side=cost`)).body['amount']).toBe('666');
    expect((await api.call('GET /v1/admin/usage', { key: tenant.key })).status).toBe(403);
  });

  it('is compared with the records and mended', async () => {
    const days = { from: '2026-10-31', to: '2026-11-01' };
    const check = () => admin(`GET /v1/admin/usage/check?from=${days.from}&to=${days.to}`);
    await foldUsage(api.ground.store);
    expect((await check()).body['differences']).toEqual([]);
    const worker = new pg.Client({ connectionString: api.workerUrl });
    await worker.connect();
    await worker.query("update usage_days set amount_nano = amount_nano + 1 where model = '=L4'");
    await worker.end();
    expect((await check()).body['differences']).toMatchObject([
      { keptIn: 'days', model: '=L4', amount: { raw: '200000000', kept: '200000001' } },
    ]);
    expect((await admin('POST /v1/admin/usage/rebuild', days)).body).toEqual({ hours: 6, days: 5, records: 6 });
    expect((await check()).body['differences']).toEqual([]);
    expect((await admin('GET /v1/admin/audit?limit=1')).body['items']).toMatchObject([{ action: 'usage.rebuild' }]);
    expect((await admin('GET /v1/admin/usage/check?from=2026-11-02&to=2026-11-01')).body['code']).toBe('range-empty');
  });
});

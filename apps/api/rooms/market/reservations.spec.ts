import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { newId, usd } from '#kernel';
import { openOwner, type Owner } from '../../testing/owned.js';
import { TestApi } from '../../testing/test-api.js';

const CLOUD = newId('provider');
let api: TestApi;
let owner: Owner;
let database: pg.Client;
beforeAll(async () => {
  api = await TestApi.start();
  owner = await openOwner(api, 'Ann');
  database = new pg.Client({ connectionString: api.workerUrl });
  await database.connect();
  await database.query(
    `insert into providers (id, organization_id, name, kind, adapter, state, margin_bps, settings, created_at)
     select $1, o.id, 'a cloud', 'hyperscaler', 'sandbox', 'active', 0, '{}', now() from organizations o where o.kind = 'platform'`,
    [CLOUD],
  );
  const body = JSON.stringify({
    ...{ sku: 'gpu-8x', zone: null, accelerator: 'H100-SXM', count: 8, pricing: 'on-demand', via: { kind: 'market' } },
    ...{ id: 'spec:gpu-8x', providerId: CLOUD, region: 'eu-1', doubts: [] },
  });
  await database.query(
    `insert into offers (id, provider_id, status, accelerator, accelerator_vendor, count, region, pricing, price_per_hour, source, observed_at, doubtful, body, missed)
     values ('spec:gpu-8x', $1, 'rentable', 'H100-SXM', 'nvidia', 8, 'eu-1', 'on-demand', 1, 'spec', now(), false, $2, 0)`,
    [CLOUD, body],
  );
});
afterAll(async () => {
  await database.end();
  await api.close();
});

const HOUR = 3_600_000;
const given = () => ({
  providerId: CLOUD,
  sku: 'gpu-8x',
  region: 'eu-1',
  machines: 4,
  from: new Date(Date.now() - 10 * HOUR).toISOString(),
  until: new Date(Date.now() + 1_000 * HOUR).toISOString(),
  paidPerHour: String(usd('1.5')),
  note: '1 year, order 17',
});
const add = (over: object = {}) =>
  api.call('POST /v1/admin/reservations', { key: api.platformKey, body: { ...given(), ...over } });
const get = async (id: string) =>
  (await api.call(`GET /v1/admin/reservations/${id}`, { key: api.platformKey })).body as Record<string, string>;

describe('reservations', () => {
  it('are added, shown with what they cost and earned, ended, and written to the audit log', async () => {
    const added = await add();
    expect(added.status).toBe(201);
    const id = String(added.body['id']);
    expect(added.body).toMatchObject({ sku: 'gpu-8x', accelerator: null, used: 0, state: 'active', earned: '0' });
    // Four machines for ten hours, and for the moments since; the example of docs/billing.md.
    const paid = BigInt((await get(id))['paid'] ?? '');
    expect(paid).toBeGreaterThanOrEqual(usd('60'));
    expect(paid).toBeLessThan(usd('60.5'));
    await database.query(
      "update leases set reservation_id = $1, reserved_until = now() + interval '1 hour' where id = $2",
      [id, owner.ids.leaseId],
    );
    await database.query(
      `insert into usage_records (id, key, organization_id, project_id, lease_id, provider_id, meter, side, resource, source, quantity, unit,
         unit_price_nano, amount_nano, from_at, to_at, period_hour, period_month, created_at)
       select 'use_' || side, side, $1, $2, $3, $4, 'lease-time', side, 'r', 'lease', 1, 'ms', 1, case side when 'charge' then 66000000000 else 7 end, now() - interval '1 hour',
         t.at, date_trunc('hour', t.at - interval '1 millisecond', 'UTC'), date_trunc('month', date_trunc('hour', t.at - interval '1 millisecond', 'UTC')), now()
       from (select date_trunc('milliseconds', now()) as at) t, unnest(array['charge', 'cost']) as side`,
      [owner.ids.organizationId, owner.ids.projectId, owner.ids.leaseId, CLOUD],
    );
    const report = await get(id);
    const charged = await database.query<{ sum: string }>(
      "select sum(amount_nano)::text as sum from usage_records where lease_id = $1 and side = 'charge'",
      [owner.ids.leaseId],
    );
    const earned = BigInt(report['earned'] ?? '');
    expect(earned).toBeGreaterThanOrEqual(usd('66'));
    expect(String(earned)).toBe(charged.rows[0]?.sum);
    expect(BigInt(report['margin'] ?? '')).toBe(earned - BigInt(report['paid'] ?? ''));
    const listed = await api.call('GET /v1/admin/reservations', { key: api.platformKey });
    expect((listed.body['items'] as { id: string }[]).map((r) => r.id)).toEqual([id]);

    const ended = await api.call(`DELETE /v1/admin/reservations/${id}`, { key: api.platformKey });
    expect([ended.status, ended.body['state']]).toEqual([200, 'over']);
    const { rows } = await database.query<{ over: boolean }>(
      'select reserved_until <= now() as over from leases where id = $1',
      [owner.ids.leaseId],
    );
    expect(rows).toEqual([{ over: true }]);
    const audit = await api.call(`GET /v1/admin/audit?subject=${id}`, { key: api.platformKey });
    const acts = audit.body['items'] as {
      action: string;
      before: { state: string } | null;
      after: { state: string };
    }[];
    expect(acts.map((a) => [a.action, a.before?.state, a.after.state])).toEqual([
      ['reservation.end', 'open', 'ended'],
      ['reservation.add', undefined, 'open'],
    ]);
  });

  it('are for administrators, and say what is wrong with them', async () => {
    const code = async (over: object) => (await add(over)).body['code'];
    expect(await code({ accelerator: 'H100-SXM', gpusPerMachine: 8 })).toBe('reservation-of-what');
    expect(await code({ until: new Date(Date.now() - 20 * HOUR).toISOString() })).toBe(
      'reservation-ends-before-it-begins',
    );
    const said = async (over: object) => {
      const { status, body } = await add(over);
      return [status, body['code'], JSON.stringify(body)] as const;
    };
    const machine = (accelerator: string) => ({ sku: undefined, accelerator, gpusPerMachine: 8 });
    const near = await said(machine('H10O-SXM'));
    expect(near.slice(0, 2)).toEqual([400, 'unknown-accelerator']);
    expect(near[2]).toContain('H100-SXM');
    const sku = await said({ sku: 'gpu-8' });
    expect(sku.slice(0, 2)).toEqual([400, 'reservation-covers-nothing']);
    expect(sku[2]).toContain('gpu-8x (8 x H100-SXM)');
    expect((await said({ region: 'eu-11' }))[2]).toContain('It has offers in eu-1.');
    expect(await code(machine('A100-80GB-SXM'))).toBe('reservation-covers-nothing');
    // However the name is written, it is kept as offers have it.
    expect((await add(machine('nvidia h100 sxm'))).body['accelerator']).toBe('H100-SXM');
    expect((await add({ providerId: newId('provider') })).status).toBe(404);
    const tenant = await api.call('GET /v1/admin/reservations', { key: owner.adminKey });
    expect(tenant.status).toBe(403);
  });
});

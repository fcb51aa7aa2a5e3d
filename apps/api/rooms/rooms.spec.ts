import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { WORKER } from '#platform/database';
import { offers } from '#market/catalog';
import { orphans } from '#compute/orphans';
import { providers } from '#compute/providers';
import { jobs, shards } from '#work/jobs';
import { commandJob, openOwner, OUTPUT_PATH, type Owner } from '../testing/owned.js';
import { TestApi } from '../testing/test-api.js';

let api: TestApi;
let owner: Owner;
let database: pg.Client;

beforeAll(async () => {
  api = await TestApi.start();
  owner = await openOwner(api, 'Ann');
  database = new pg.Client({ connectionString: api.workerUrl });
  await database.connect();
});
afterAll(async () => {
  await database.end();
  await api.close();
});

describe('what costs money when it is made twice', () => {
  const things = {
    jobs: () => ({
      line: 'POST /v1/jobs' as const,
      key: owner.adminKey,
      body: commandJob(owner.ids.projectId, owner.ids.artifactId),
    }),
    'jobs in bulk': () => {
      const { projectId: _, ...job } = commandJob(owner.ids.projectId, owner.ids.artifactId);
      const body = { projectId: owner.ids.projectId, jobs: [job, job] };
      return { line: 'POST /v1/jobs/bulk' as const, key: owner.adminKey, body };
    },
    artifacts: () => ({
      line: `POST /v1/artifacts?projectId=${owner.ids.projectId}` as const,
      key: owner.adminKey,
      body: 'x',
      headers: { 'content-type': 'text/plain' },
    }),
    hosts: () => ({
      line: 'POST /v1/hosts' as const,
      key: owner.operatorKey,
      body: { name: 'once', pricePerSlotHour: '1' },
    }),
  };

  it.each(Object.entries(things))('%s: a row and its remembered answer are one transaction', async (what, make) => {
    const table = what.split(' ')[0] ?? what;
    const { line, key, body, headers } = { headers: {}, ...make() };
    const idempotencyKey = `once-${what.replaceAll(' ', '-')}`;
    const send = () => api.call(line, { key, body, headers: { ...headers, 'idempotency-key': idempotencyKey } });
    const first = await send();
    const again = await send();
    expect([first.status, again.headers['idempotency-replayed'], again.body]).toEqual([201, 'true', first.body]);
    const [item] = (first.body['items'] ?? []) as { id: string }[];
    const id = String(item?.id ?? (first.body['host'] as { id: string } | undefined)?.id ?? first.body['id']);
    // xmin: the transaction that wrote a row. No crash can come between two rows of one.
    const { rows: made } = await database.query(`select xmin::text from "${table}" where id = $1`, [id]);
    const { rows: kept } = await database.query('select xmin::text, status from idempotency_keys where key like $1', [
      `%/${idempotencyKey}`,
    ]);
    expect(kept).toEqual([{ ...(made[0] as object), status: 201 }]);
  });
});

describe('a host', () => {
  it.each(['-1', `${10n ** 14n + 1n}`, '9'.repeat(30)])(
    'is not registered at %s nano-dollars an hour',
    async (pricePerSlotHour) => {
      const { status, body } = await api.call('POST /v1/hosts', {
        key: owner.operatorKey,
        body: { name: 'priced', pricePerSlotHour },
      });
      expect([status, body['field']]).toEqual([400, 'pricePerSlotHour']);
    },
  );
});

describe('the output of a command', () => {
  const read = (path: string, id = owner.ids.commandJobId) =>
    api.call(`GET /v1/jobs/${id}/outputs?path=${encodeURIComponent(path)}`, { key: owner.adminKey });

  it('is read as it was left', async () => {
    expect(await read(OUTPUT_PATH)).toMatchObject({ status: 200, body: { text: 'secret output' } });
  });

  it('that was never written is not found, by its own name', async () => {
    const job = await api.call('POST /v1/jobs', {
      key: owner.adminKey,
      body: commandJob(owner.ids.projectId, owner.ids.artifactId),
    });
    const id = String(job.body['id']);
    await api.ground.store.transaction(WORKER, (tx) => tx.update(shards, { jobId: id }, { state: 'done', fence: 1 }));
    const { status, body } = await read(OUTPUT_PATH, id);
    expect([status, body['code'], body['detail']]).toEqual([
      404,
      'not-found',
      `There is no output ${OUTPUT_PATH} here.`,
    ]);
    expect(await read('other.txt', id)).toMatchObject({ status: 404, body: { code: 'not-found' } });
    expect(await read('../../etc/passwd', id)).toMatchObject({ status: 404 });
  });
});

describe('offers', () => {
  it('are filtered by country, in any case of letters', async () => {
    const { store } = api.ground;
    await store.transaction(WORKER, async (tx) => {
      const [host] = await tx.find(offers, { source: 'host' });
      if (!host) throw new Error('no host offer');
      const of = (id: string, country: string) => ({ ...host, id, body: { ...host.body, id, country } });
      await tx.insert(offers, [of('list:fi', 'FI'), of('list:se', 'SE')]);
    });
    const list = async (query: string) => {
      const { body } = await api.call(`GET /v1/offers?${query}`, { key: owner.adminKey });
      return (body['items'] as { id: string }[] | undefined)?.map((o) => o.id) ?? body['code'];
    };
    expect(await list('country=FI')).toEqual(['list:fi']);
    expect(await list('country=se')).toEqual(['list:se']);
    expect(await list('country=DE')).toEqual([]);
    expect(await list('country=12')).toBe('invalid-query');
  });
});

describe('machines that nobody wants', () => {
  it('are shown to administrators, confirmed by name, and the sweep pauses and resumes', async () => {
    const { store } = api.ground;
    const provider = await store.transaction(WORKER, (tx) => tx.first(providers, {}));
    const providerId = String(provider?.id);
    const machine = { providerId, vendorId: 'vm-lost' };
    const row = { leaseId: null, attemptId: 'att_lost', reason: 'unknown-attempt', createdAt: null } as const;
    const seen = { firstSeenAt: 1, seenAt: 2, confirmedAt: null, confirmedBy: null };
    await store.transaction(WORKER, (tx) => tx.insert(orphans, { ...machine, ...row, ...seen }));
    const key = api.platformKey;
    const paused = await api.call('PUT /v1/admin/orphans/pause', { key, body: { reason: 'a restore' } });
    expect(paused).toMatchObject({ status: 200, body: { pause: { reason: 'a restore' }, machines: [machine] } });
    const confirm = () =>
      api.call('POST /v1/admin/orphans/confirm', {
        key,
        body: { machines: [machine, { providerId, vendorId: 'vm-other' }] },
      });
    expect((await confirm()).body['machines']).toMatchObject([{ ...machine, confirmedAt: expect.any(String) }]);
    expect((await confirm()).body).toEqual({ machines: [] });
    expect((await api.call('DELETE /v1/admin/orphans/pause', { key })).body['pause']).toBeNull();
    const { body } = await api.call('GET /v1/admin/audit?limit=3', { key });
    expect((body['items'] as { action: string }[]).map((e) => e.action)).toEqual([
      'orphan-sweep.resume',
      'orphan.confirm',
      'orphan-sweep.pause',
    ]);
    expect(await api.call('GET /v1/admin/orphans', { key: owner.adminKey })).toMatchObject({ status: 403 });
  });
});

describe('a key of one project', () => {
  it('sees the usage of its project only, and no invoice, which is over all projects', async () => {
    const get = (path: string, key: string) => api.call(`GET ${path}` as 'GET /', { key });
    const { key } = owner.otherProject;
    expect((await get('/v1/usage?by=project', owner.adminKey)).body['amount']).toBe('5');
    expect(await get('/v1/usage?by=project', key)).toMatchObject({ status: 200, body: { totals: [], amount: '0' } });
    for (const path of ['/v1/invoices', `/v1/invoices/${owner.ids.invoiceId}`, '/v1/ledger/transactions'])
      expect(await get(path, key)).toMatchObject({ status: 403, body: { code: 'role-lacking' } });
    expect(await get('/v1/ledger', key)).toMatchObject({ status: 200 });
  });

  it('lists jobs of its project even when it asks for another', async () => {
    const { key } = owner.otherProject;
    const listed = await api.call(`GET /v1/jobs?projectId=${owner.ids.projectId}`, { key });
    expect(listed.body['items']).toEqual([]);
    const own = await api.ground.store.transaction(WORKER, (tx) => tx.find(jobs, { projectId: owner.ids.projectId }));
    expect(own.length).toBeGreaterThan(0);
  });
});

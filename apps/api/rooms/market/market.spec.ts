import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, usd } from '#kernel';
import { WORKER } from '#platform/database';
import type { Offer } from '#contracts';
import { Catalog, priceEvents, readSnapshot, type PriceEventRow } from '#market/catalog';
import { listings, newListing, providers } from '#compute/providers';
import { openOwner, type Owner } from '../../testing/owned.js';
import { TestApi } from '../../testing/test-api.js';

let api: TestApi;
let owner: Owner;

beforeAll(async () => {
  api = await TestApi.start();
  owner = await openOwner(api, 'Ann');
});
afterAll(async () => {
  await api.close();
});

const START = Date.UTC(2026, 9, 1);
const dayText = (day: number): string => new Date(START + day * DAY).toISOString();

describe('the name of a GPU that nobody knows', () => {
  it.each([
    ['GET /v1/offers?gpu=H10O-SXM', undefined, 'gpu'],
    [
      'POST /v1/placements/preview',
      { workload: { accelerator: { count: 1, models: ['A100', 'H10O-SXM'] } } },
      'workload.accelerator.models.1',
    ],
  ] as const)('is refused by %s with its place and the nearest names', async (line, body, field) => {
    const { status, body: problem } = await api.call(line, { key: owner.adminKey, ...(body ? { body } : {}) });
    expect(status).toBe(400);
    const text = JSON.stringify(problem);
    expect(text).toContain('did you mean H100-SXM');
    expect(text.replaceAll('[1]', '.1')).toContain(field);
  });
});

describe('what is kept aside', () => {
  it('is listed with whatever words its provider uses', async () => {
    const [machine] = (await readSnapshot()).offers;
    if (!machine) throw new Error('the snapshot is empty');
    const odd = { ...machine, id: 'odd', providerId: 'prv_odd', pricing: 'barter' } as unknown as Offer;
    const catalog = api.app.get(Catalog);
    await api.ground.store.transaction(WORKER, (tx) => catalog.relist(tx, 'prv_odd', [odd], 0));
    const { status, body } = await api.call('GET /v1/admin/quarantine', { key: api.platformKey });
    expect([status, body['items']]).toMatchObject([200, [{ id: 'odd', pricing: 'barter' }]]);
  });
});

describe('the history of an offer', () => {
  const id = 'list:a cloud/8x H100 #2/us-east-1/on-demand';
  beforeAll(async () => {
    const event = (day: number, over: Partial<PriceEventRow> = {}): PriceEventRow => ({
      offerId: id,
      at: START + day * DAY,
      kind: 'changed',
      pricePerHour: usd(String(day + 1)),
      stock: null,
      available: true,
      source: 'list',
      why: null,
      ...over,
    });
    await api.ground.store.transaction(WORKER, (tx) =>
      tx.insert(priceEvents, [
        event(0, { kind: 'listed' }),
        event(1),
        event(2, { stock: 3 }),
        event(3, { kind: 'gone', available: false, why: 'withdrawn' }),
      ]),
    );
  });
  const path = `/v1/offers/${encodeURIComponent(id)}/history` as const;
  const days = async (query = ''): Promise<{ days: unknown[]; next: unknown }> => {
    const { body } = await api.call(`GET ${path}?${query}`, { key: owner.adminKey });
    const items = (body['items'] ?? []) as { at: string }[];
    return { days: items.map(({ at }) => (Date.parse(at) - START) / DAY), next: body['nextCursor'] };
  };

  it('is found by an id with slashes, colons and blanks, newest first', async () => {
    const { status, body } = await api.call(`GET ${path}`, { key: owner.adminKey });
    expect(status).toBe(200);
    expect((body['items'] as unknown[])[0]).toEqual({
      at: dayText(3),
      kind: 'gone',
      pricePerHour: '4000000000',
      stock: null,
      available: false,
      source: 'list',
      why: 'withdrawn',
    });
    expect((await days()).days).toEqual([3, 2, 1, 0]);
  });

  it('comes in pages and between two times', async () => {
    const first = await days('limit=3');
    expect(first.days).toEqual([3, 2, 1]);
    expect(await days(`limit=3&cursor=${String(first.next)}`)).toEqual({ days: [0], next: null });
    expect(await days(`from=${dayText(1)}&to=${dayText(3)}`)).toEqual({ days: [2, 1], next: null });
    expect(await days(`from=${dayText(2)}&limit=1`)).toMatchObject({ days: [3], next: expect.any(String) });
    expect(await days(`from=${dayText(9)}`)).toEqual({ days: [], next: null });
  });

  it('of nobody’s offer is not found', async () => {
    expect(await api.call('GET /v1/offers/list%3Anobody%2Fx/history', { key: owner.adminKey })).toMatchObject({
      status: 404,
      body: { code: 'not-found' },
    });
  });
});

describe('providers, to administrators', () => {
  it('show how their lists are read, and are read again when asked', async () => {
    const { store } = api.ground;
    const key = api.platformKey;
    const hosts = await store.transaction(WORKER, (tx) => tx.first(providers, { adapter: 'host' }));
    if (!hosts) throw new Error('no provider');
    const row = {
      id: 'prv_000000000000000000000spec1',
      organizationId: hosts.organizationId,
      name: 'a vendor',
      kind: 'decentralized',
      adapter: 'sandbox',
      state: 'active',
      marginBps: 500,
      settings: { url: 'http://secret.example' },
      createdAt: START,
    } as const;
    const listing = { ...newListing(row.id, Date.now() + DAY), listedAt: START, tookMs: 1_500, offers: 40 };
    await store.transaction(WORKER, async (tx) => {
      await tx.insert(providers, row);
      await tx.insert(listings, { ...listing, failures: 2, error: 'no answer', errorAt: START });
    });
    const { body } = await api.call('GET /v1/admin/providers', { key });
    const shown = (body['items'] as { id: string }[]).find(({ id }) => id === row.id);
    expect(shown).toMatchObject({
      name: 'a vendor',
      listing: { running: false, listedAt: dayText(0), tookMs: 1_500, offers: 40, failures: 2, error: 'no answer' },
    });
    expect(JSON.stringify(body)).not.toContain('secret.example');
    const asked = await api.call(`POST /v1/admin/providers/${row.id}/list`, { key });
    expect(asked.status).toBe(200);
    const after = await store.transaction(WORKER, (tx) => tx.first(listings, { providerId: row.id }));
    expect(after?.nextAt).toBeLessThanOrEqual(Date.now() + 1_000);
    const audit = await api.call(`GET /v1/admin/audit?action=provider.list`, { key });
    expect((audit.body['items'] as { subject: string }[]).map((e) => e.subject)).toEqual([row.id]);
    expect(await api.call(`POST /v1/admin/providers/${hosts.id}/list`, { key })).toMatchObject({
      status: 409,
      body: { code: 'no-list' },
    });
    expect(await api.call('GET /v1/admin/providers', { key: owner.adminKey })).toMatchObject({ status: 403 });
  });
});

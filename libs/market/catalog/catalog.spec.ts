import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ManualClock, usd } from '#kernel';
import type { Offer } from '#contracts';
import { MemoryStore, openStore, WORKER, type OpenStore, type Store } from '#platform/database';
import { patient, testDatabase, type TestDatabase } from '#testing';
import { testOffer as offer } from './catalog.fixture.js';
import { Catalog, offers, toOffer, type OfferFilter, type OfferRow, type OfferSort } from './index.js';

/** Many equal prices, machines without GPU, fractions, and prices beyond 2^53. */
const many: readonly Offer[] = Array.from({ length: 60 }, (_, n) =>
  offer(n, {
    pricePerHour: n === 59 ? 2n ** 60n + 1n : n === 58 ? 2n ** 60n : usd(String((n * 7) % 5)),
    count: [1, 2, 8, 0, 0.5][n % 5] ?? 1,
    accelerator: ['A100-80GB-SXM', 'H100-SXM', 'H100-PCIe', 'CPU', 'A10G'][n % 5] ?? 'T4',
    vramGiB: [80, 80, 80, 0, 24][n % 5] ?? 16,
    region: n % 3 === 0 ? 'eu-north1' : 'us-east1',
    country: n % 3 === 0 ? 'FI' : n % 3 === 1 ? 'US' : null,
    providerId: n % 4 === 0 ? 'other' : 'acme',
    pricing: n % 6 === 0 ? 'spot' : 'on-demand',
    status: n % 10 === 0 ? 'rentable' : 'listed',
  }),
);
const catalog = new Catalog();

function suite(name: string, open: () => Promise<Store>): void {
  describe(`the catalog on ${name}`, () => {
    let store: Store;
    beforeAll(async () => {
      store = await open();
      await store.transaction(WORKER, (tx) => catalog.publish(tx, many));
    });
    const list = (filter: OfferFilter, sort: OfferSort, limit: number, after?: readonly [bigint, string]) =>
      store.transaction(WORKER, (tx) => catalog.list(tx, filter, sort, { limit, ...(after ? { after } : {}) }));
    const ids = async (filter: OfferFilter): Promise<string[]> =>
      (await list(filter, 'price', 200)).map((row) => row.id).sort();
    const expected = (keep: (o: Offer) => boolean): string[] =>
      many
        .filter(keep)
        .map((o) => o.id)
        .sort();

    it.each<[OfferSort, OfferFilter]>([
      ['price', {}],
      ['gpu-price', {}],
      ['price', { minVramGiB: 80 }],
      ['gpu-price', { country: 'FI' }],
      ['price', { country: 'US', minVramGiB: 24, region: 'us-east1' }],
    ])('comes by %s, %j in pages without gap or repeat', async (sort, filter) => {
      const whole = await list(filter, sort, 200);
      const key = (row: OfferRow): bigint => (sort === 'price' ? row.pricePerHour : (row.pricePerGpuHour ?? -1n));
      expect(whole.length).toBeGreaterThan(5);
      for (const [i, row] of whole.entries()) {
        const before = whole[i - 1];
        if (before) expect(key(before) < key(row) || (key(before) === key(row) && before.id < row.id)).toBe(true);
      }
      for (const limit of [1, 7, whole.length]) {
        const seen: string[] = [];
        let after: readonly [bigint, string] | undefined;
        for (;;) {
          const page = await list(filter, sort, limit, after);
          const last = page.at(-1);
          if (!last) break;
          seen.push(...page.map((row) => row.id));
          after = [key(last), last.id];
        }
        expect(seen).toEqual(whole.map((row) => row.id));
      }
    });

    it('leaves machines without a GPU out of prices per GPU', async () => {
      const rows = await list({}, 'gpu-price', 200);
      expect(rows.map((r) => r.id).sort()).toEqual(expected((o) => o.count > 0));
    });

    it.each<[OfferFilter, (o: Offer) => boolean]>([
      [{ gpu: 'H100' }, (o) => o.accelerator.startsWith('H100')],
      [{ gpu: 'h100-pcie' }, (o) => o.accelerator === 'H100-PCIe'],
      [{ gpu: 'A100-80GB' }, (o) => o.accelerator === 'A100-80GB-SXM'],
      [{ gpu: 'A10' }, () => false],
      [{ gpu: 'A10G' }, (o) => o.accelerator === 'A10G'],
      [{ gpu: 'banana' }, () => false],
      [{ count: 8 }, (o) => o.count === 8],
      [{ count: 0.5 }, (o) => o.count === 0.5],
      [{ minVramGiB: 25 }, (o) => o.vramGiB >= 25],
      [{ region: 'eu-north1' }, (o) => o.region === 'eu-north1'],
      [{ country: 'FI' }, (o) => o.country === 'FI'],
      [{ country: 'SE' }, () => false],
      [{ provider: 'other' }, (o) => o.providerId === 'other'],
      [{ pricing: 'spot' }, (o) => o.pricing === 'spot'],
      [{ status: 'rentable' }, (o) => o.status === 'rentable'],
      [{ maxPricePerHour: usd('2') }, (o) => o.pricePerHour <= usd('2')],
      [
        { gpu: 'H100', pricing: 'on-demand', country: 'US' },
        (o) => o.accelerator.startsWith('H100') && o.pricing === 'on-demand' && o.country === 'US',
      ],
    ])('finds %p', async (filter, keep) => {
      expect(await ids(filter)).toEqual(expected(keep));
    });

    it('gives back what was published', async () => {
      const rows = await store.transaction(WORKER, (tx) => tx.find(offers, {}, { orderBy: [['id', 'asc']] }));
      expect(rows.map(toOffer)).toEqual(many);
    });

    it('replaces the offers of one provider and leaves the others alone', async () => {
      const before = await ids({ provider: 'other' });
      const fresh = [offer(1, { pricePerHour: 5n }), offer(900)];
      await store.transaction(WORKER, (tx) => catalog.replace(tx, 'acme', fresh));
      expect(await ids({ provider: 'acme' })).toEqual(fresh.map((o) => o.id));
      expect(await ids({ provider: 'other' })).toEqual(before);
      expect((await list({ provider: 'acme' }, 'price', 1))[0]?.pricePerHour).toBe(5n);
      await store.transaction(WORKER, (tx) => catalog.withdraw(tx, [offer(900).id, 'unknown']));
      expect(await ids({ provider: 'acme' })).toEqual([offer(1).id]);
      await store.transaction(WORKER, (tx) => catalog.replace(tx, 'acme', []));
      expect(await ids({ provider: 'acme' })).toEqual([]);
    });
  });
}

suite('memory', () => Promise.resolve(new MemoryStore(new ManualClock())));

let database: TestDatabase;
let opened: OpenStore;
suite('PostgreSQL', async () => {
  database = await testDatabase();
  opened = await openStore(database.ownerUrl, database.secret, { poolSize: 2, name: 'catalog-spec', ...patient });
  return opened.store;
});
afterAll(async () => {
  await opened.close();
  await database.close();
});

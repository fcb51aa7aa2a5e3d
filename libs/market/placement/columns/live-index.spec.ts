import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Offer } from '#contracts';
import { ManualClock, usd } from '#kernel';
import { MemoryStore, openStore, WORKER, type OpenStore, type Store } from '#platform/database';
import { patient, testDatabase, type TestDatabase } from '#testing';
import { Catalog } from '#market/catalog';
import { NOW, offerWith } from '../placement.fixture.js';
import { offerAt, type OfferIndex } from './catalog-index.js';
import { LiveIndex } from './live-index.js';

const catalog = new Catalog();
const idsOf = (index: OfferIndex): string[] =>
  Array.from({ length: index.size }, (_, i) => offerAt(index, i).id).sort();

function suite(name: string, open: () => Promise<Store>): void {
  describe(`the live index on ${name}`, () => {
    let store: Store;
    beforeAll(async () => {
      store = await open();
    });
    const publish = (...list: Offer[]) => store.transaction(WORKER, (tx) => catalog.publish(tx, list));
    const withdraw = (...ids: string[]) => store.transaction(WORKER, (tx) => catalog.withdraw(tx, ids));
    const look = (live: LiveIndex, nowMs: number) => store.transaction(WORKER, (tx) => live.upToDate(tx, nowMs));

    it('follows what is published, changed, withdrawn, and what becomes rentable or is listed again', async () => {
      const rentable = new LiveIndex(catalog, 'rentable', 1_000);
      const all = new LiveIndex(catalog, null, 1_000);
      await publish(offerWith({ id: 'a' }), offerWith({ id: 'b' }), offerWith({ id: 'c', status: 'listed' }));
      expect(idsOf(await look(rentable, NOW))).toEqual(['a', 'b']);
      expect(idsOf(await look(all, NOW))).toEqual(['a', 'b', 'c']);
      await publish(offerWith({ id: 'a', status: 'listed' }), offerWith({ id: 'c' }), offerWith({ id: 'd' }));
      await withdraw('b');
      expect(idsOf(await look(rentable, NOW + 999))).toEqual(['a', 'b']);
      const first = await look(rentable, NOW + 1_000);
      expect(idsOf(first)).toEqual(['c', 'd']);
      expect(idsOf(await look(all, NOW + 1_000))).toEqual(['a', 'c', 'd']);
      await publish(offerWith({ id: 'd', pricePerHour: usd('7') }));
      const second = await look(rentable, NOW + 2_000);
      expect(second).toBe(first);
      expect(second.offerAt(idsOf(second).length - 1)).toMatchObject({ id: 'd', pricePerHour: usd('7') });
      await withdraw('a', 'c', 'd');
    });

    it('stays as it is during a scan, and takes in what came after it', async () => {
      const live = new LiveIndex(catalog, null, 1_000);
      await publish(offerWith({ id: 'a' }));
      const index = await look(live, NOW);
      await live.unchanged(async () => {
        await publish(offerWith({ id: 'b' }));
        expect(await look(live, NOW + 5_000)).toBe(index);
        expect(idsOf(index)).toEqual(['a']);
        await live.unchanged(async () => {
          await withdraw('a');
          await look(live, NOW + 9_000);
        });
        expect(idsOf(index)).toEqual(['a']);
      });
      expect(idsOf(index)).toEqual(['b']);
      await withdraw('b');
    });

    it('is the catalog after many looks at once, beside writers', async () => {
      const live = new LiveIndex(catalog, null, 0);
      await Promise.all(
        Array.from({ length: 12 }, async (_, i) => {
          await publish(...Array.from({ length: 5 }, (__, k) => offerWith({ id: `w${i}-${k}` })));
          await look(live, NOW + i);
          await withdraw(`w${i}-1`);
          await look(live, NOW + i);
        }),
      );
      const there = await store.transaction(WORKER, async (tx) => {
        const ids: string[] = [];
        for await (const page of catalog.all(tx)) ids.push(...page.map((o) => o.id));
        return ids.sort();
      });
      expect(there).toHaveLength(48);
      expect(idsOf(await look(live, NOW + 100))).toEqual(there);
    });

    it('asks again after a failed look', async () => {
      const live = new LiveIndex(catalog, null, 1_000);
      const failing = store.transaction(WORKER, async (tx) => {
        const broken = Object.assign(Object.create(tx) as typeof tx, {
          call: () => Promise.reject(new Error('the connection is gone')),
        });
        return live.upToDate(broken, NOW);
      });
      await expect(failing).rejects.toThrow('the connection is gone');
      expect(live.fresh(NOW)).toBeNull();
      expect((await look(live, NOW)).size).toBe(48);
    });
  });
}

suite('the store in memory', () => Promise.resolve(new MemoryStore(new ManualClock(NOW))));

let database: TestDatabase;
let opened: OpenStore;
suite('PostgreSQL', async () => {
  database = await testDatabase();
  opened = await openStore(database.ownerUrl, database.secret, { poolSize: 12, name: 'live-index-spec', ...patient });
  return opened.store;
});
afterAll(async () => {
  await opened.close();
  await database.close();
});

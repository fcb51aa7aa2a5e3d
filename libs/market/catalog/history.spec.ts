import { afterAll, describe, expect, it } from '@jest/globals';
import { DAY, ManualClock } from '#kernel';
import { MemoryStore, openStore, WORKER, type Store } from '#platform/database';
import { patient, testDatabase } from '#testing';
import { testOffer as offer } from './catalog.fixture.js';
import { Catalog, forgetPriceEvents, historyOf, priceEvents } from './index.js';

const catalog = new Catalog();
const closing: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closing) await close();
});

describe.each<[string, () => Promise<Store>]>([
  ['memory', () => Promise.resolve(new MemoryStore(new ManualClock(Date.UTC(2026, 10, 21))))],
  [
    'PostgreSQL',
    async () => {
      const database = await testDatabase();
      const opened = await openStore(database.ownerUrl, database.secret, {
        poolSize: 2,
        name: 'history-spec',
        ...patient,
      });
      closing.push(async () => {
        await opened.close();
        await database.close();
      });
      return opened.store;
    },
  ],
])('old prices on %s', (_, open) => {
  it('are forgotten, but for the one in force of an offer that is there', async () => {
    const store = await open();
    const [there, gone] = [offer(1).id, offer(2).id];
    await store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      await catalog.publish(tx, [offer(1)]);
      await tx.remove(priceEvents, { offerId: there });
      const event = {
        kind: 'changed',
        pricePerHour: 1n,
        stock: null,
        available: true,
        source: 's',
        why: null,
      } as const;
      const days = (offerId: string, ...of: number[]) =>
        tx.insert(
          priceEvents,
          of.map((day) => ({ ...event, offerId, at: now - day * DAY })),
        );
      await days(there, 40, 30, 20);
      await days(gone, 40, 30, 5);
    });
    expect(await forgetPriceEvents(store, 10)).toBe(4);
    expect(await forgetPriceEvents(store, 10)).toBe(0);
    await store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      const left = async (id: string) =>
        (await historyOf(tx, id, {}, { limit: 10 }))?.map(({ at }) => Math.round((now - at) / DAY));
      expect([await left(there), await left(gone), await left('nobody')]).toEqual([[20], [5], undefined]);
    });
  });
});

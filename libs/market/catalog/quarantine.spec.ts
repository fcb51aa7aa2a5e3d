import { afterAll, describe, expect, it } from '@jest/globals';
import { ManualClock, usd } from '#kernel';
import { auditLog, BROKER } from '#identity/audit';
import type { Offer } from '#contracts';
import { MemoryStore, openStore, WORKER, type Store } from '#platform/database';
import { testDatabase } from '#testing';
import { testOffer } from './catalog.fixture.js';
import { Catalog, offers, priceEvents, quarantine, quarantinedOffers, release } from './index.js';

const catalog = new Catalog();
const closing: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closing) await close();
});
const offer = (n: number, price: string, over: Partial<Offer> = {}): Offer =>
  testOffer(n, { providerId: 'prv_v', status: 'rentable', pricePerHour: usd(price), ...over });
const usual = [1, 2, 3, 4, 5, 6].map((n) => offer(n, '2'));

describe.each<[string, () => Promise<Store>]>([
  ['memory', () => Promise.resolve(new MemoryStore(new ManualClock(Date.UTC(2026, 10, 21))))],
  [
    'PostgreSQL',
    async () => {
      const database = await testDatabase();
      const opened = await openStore(database.ownerUrl, database.secret, { poolSize: 2, name: 'quarantine-spec' });
      closing.push(async () => {
        await opened.close();
        await database.close();
      });
      return opened.store;
    },
  ],
])('the quarantine on %s', (_, open) => {
  it('keeps what cannot be true out of the catalog, and lets it in once it can', async () => {
    const store = await open();
    const relist = (list: readonly Offer[]) => store.transaction(WORKER, (tx) => catalog.relist(tx, 'prv_v', list, 0));
    const there = async () =>
      (await store.transaction(WORKER, (tx) => tx.find(offers, { providerId: 'prv_v' }))).map((row) => row.id).sort();
    const aside = () => store.transaction(WORKER, (tx) => quarantine(tx, { limit: 10 }));
    const ids = (...of: readonly Offer[]) => of.map((o) => o.id).sort();

    expect(await relist([...usual, offer(7, '0'), offer(8, '3', { count: Number.NaN })])).toMatchObject({
      added: 6,
      quarantined: 2,
    });
    expect(await there()).toEqual(ids(...usual));
    expect((await aside()).map((row) => [row.id, row.reason])).toEqual([
      [offer(7, '0').id, 'the price is zero'],
      [offer(8, '0').id, 'the count of accelerators makes no sense'],
    ]);

    // One that was believed slips a decimal point: it leaves at once, and its history says why.
    const slipped = offer(6, '0.002');
    expect(await relist([...usual.slice(0, 5), slipped, offer(7, '2.5')])).toMatchObject({
      quarantined: 1,
      doubted: false,
    });
    expect(await there()).toEqual(ids(...usual.slice(0, 5), offer(7, '0')));
    const events = await store.transaction(WORKER, (tx) => tx.find(priceEvents, { offerId: slipped.id, kind: 'gone' }));
    expect(events.map((e) => e.why)).toEqual([expect.stringContaining('below a tenth of the median')]);
    expect((await aside()).map((row) => row.id)).toEqual(ids(slipped, offer(8, '0')));

    const believe = (id: string) => store.transaction(WORKER, (tx) => release(tx, BROKER, id, 'asked the vendor'));
    expect(await believe('nobody')).toBeNull();
    expect(await believe(slipped.id)).toMatchObject({ allowedPrice: slipped.pricePerHour });
    expect(await believe(slipped.id)).toBeNull();
    const log = await store.transaction(WORKER, (tx) => tx.find(auditLog, { action: 'offer.release' }));
    expect(log.map((row) => row.subject)).toEqual([slipped.id]);
    expect(await relist([...usual.slice(0, 5), slipped, offer(7, '2.5')])).toMatchObject({ quarantined: 0 });
    expect(await there()).toEqual(ids(...usual.slice(0, 6), offer(7, '0')));

    // Believed at that price only.
    expect(await relist([...usual.slice(0, 5), offer(6, '0.001'), offer(7, '2.5')])).toMatchObject({ quarantined: 1 });
    expect(await there()).toEqual(ids(...usual.slice(0, 5), offer(7, '0')));
    // Plausible again by itself.
    expect(await relist([...usual, offer(7, '2.5')])).toMatchObject({ quarantined: 0 });
    const rows = await store.transaction(WORKER, (tx) => tx.find(quarantinedOffers, {}));
    expect(rows.map((row) => row.id)).toEqual([offer(8, '0').id]);
  });
});

import { afterAll, describe, expect, it } from '@jest/globals';
import { setTimeout } from 'node:timers/promises';
import { DAY, ManualClock, usd } from '#kernel';
import { auditLog, BROKER } from '#identity/audit';
import type { Offer } from '#contracts';
import { MemoryStore, openStore, WORKER, type Store } from '#platform/database';
import { patient, testDatabase } from '#testing';
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
      const opened = await openStore(database.ownerUrl, database.secret, {
        poolSize: 2,
        name: 'quarantine-spec',
        ...patient,
      });
      closing.push(async () => {
        await opened.close();
        await database.close();
      });
      return opened.store;
    },
  ],
])('the quarantine on %s', (_, open) => {
  it('keeps aside what has words of its own, also such as cannot be kept', async () => {
    const store = await open();
    const odd = [
      offer(1, '2', { pricing: 'barter' } as unknown as Partial<Offer>),
      offer(2, '2', { pricing: 'bar\0ter' } as unknown as Partial<Offer>),
      offer(3, '2', { billing: { minimumS: 1e308, incrementS: 1 } }),
      offer(4, '2'),
    ];
    const relisted = await store.transaction(WORKER, (tx) => catalog.relist(tx, 'prv_v', odd, 0));
    expect(relisted).toMatchObject({ added: 1, quarantined: 3 });
    const rows = await store.transaction(WORKER, (tx) => quarantine(tx, { limit: 10 }));
    expect(rows.map((row) => row.pricing)).toEqual(['barter', 'bar\uFFFDter', 'on-demand']);
  });

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

    // What no list tells of for a week is forgotten; what somebody believes is not, as long as it is listed.
    await relist([...usual, slipped]);
    await believe(slipped.id);
    const now = await store.transaction(WORKER, (tx) => tx.now());
    await store.transaction(WORKER, (tx) =>
      tx.update(quarantinedOffers, { providerId: 'prv_v' }, { lastAt: now - 8 * DAY }),
    );
    await relist([...usual.slice(0, 5), slipped]);
    const kept = await store.transaction(WORKER, (tx) => tx.find(quarantinedOffers, {}));
    expect(kept.map((row) => [row.id, row.allowedPrice])).toEqual([[slipped.id, slipped.pricePerHour]]);
  });

  it('keeps aside rows that no database could hold, without failing the list', async () => {
    const store = await open();
    const odd = [
      offer(11, '2', { id: `prv_v/${'x'.repeat(5_000)}` }),
      offer(12, '2', { id: 'prv_v/a\0b', region: '\0', accelerator: 'x\0' }),
      offer(13, '2', { observedAtMs: Number.NaN }),
      offer(14, '2', { pricePerHour: 10n ** 40n }),
    ];
    const relisted = await store.transaction(WORKER, (tx) => catalog.relist(tx, 'prv_v', [...usual, ...odd], 0));
    expect(relisted).toMatchObject({ added: 6, quarantined: 4 });
  });

  it('loses no release that comes while a list is read', async () => {
    const store = await open();
    const list = [...usual, offer(7, '0.001')];
    const relist = (): Promise<unknown> => store.transaction(WORKER, (tx) => catalog.relist(tx, 'prv_v', list, 0));
    await store.transaction(WORKER, (tx) => catalog.relist(tx, 'prv_v', usual, 0));
    await relist();
    let releasing: Promise<unknown> | undefined;
    await store.transaction(WORKER, async (tx) => {
      const seen = new Proxy(tx, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== 'function') return value;
          return async (...args: unknown[]): Promise<unknown> => {
            const answer: unknown = await Reflect.apply(value, target, args);
            if (name === 'find' && args[0] === quarantinedOffers && releasing === undefined) {
              releasing = store.transaction(WORKER, (other) => release(other, BROKER, offer(7, '0').id, 'asked'));
              // Long enough for a release that nothing holds back.
              await Promise.race([releasing, setTimeout(300)]);
            }
            return answer;
          };
        },
      });
      await catalog.relist(seen, 'prv_v', list, 0);
    });
    await releasing;
    const row = await store.transaction(WORKER, (tx) => tx.first(quarantinedOffers, { id: offer(7, '0').id }));
    expect(row?.allowedPrice).toBe(offer(7, '0.001').pricePerHour);
  });
});

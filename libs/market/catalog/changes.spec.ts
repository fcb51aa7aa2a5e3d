import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { HOUR, ManualClock, MINUTE, usd } from '#kernel';
import type { Offer } from '#contracts';
import { MemoryStore, openStore, WORKER, type OpenStore, type Store, type Tx } from '#platform/database';
import { patient, testDatabase, type TestDatabase } from '#testing';
import { testOffer as offer } from './catalog.fixture.js';
import { catalogHorizon, REMOVALS_KNOWN_ABOVE } from './writes.js';
import { Catalog, catalogMarks, offerRemovals, offers, priceEvents, type PriceEventRow } from './index.js';

const catalog = new Catalog();
const ids = (list: readonly Offer[]): string[] => list.map((o) => o.id).sort();

/** A reader's copy of the catalog, kept by changes alone. */
class Copy {
  readonly offers = new Map<string, Offer>();
  revision = 0n;
  reloads = 0;

  async look(tx: Tx): Promise<number> {
    const changes = this.reloads === 0 ? null : await catalog.changesSince(tx, this.revision);
    if (!changes) {
      this.reloads++;
      this.revision = await catalog.revision(tx);
      this.offers.clear();
      for await (const page of catalog.all(tx, undefined, 2)) for (const o of page) this.offers.set(o.id, o);
      return this.offers.size;
    }
    this.revision = changes.revision;
    for (const id of changes.removedIds) this.offers.delete(id);
    for (const o of changes.upserts) this.offers.set(o.id, o);
    return changes.upserts.length + changes.removedIds.length;
  }
}

/** Transaction numbers are the server's, not the database's: waits until what other specs had begun is over. */
async function othersAreDone(store: Store): Promise<void> {
  const horizon = () => store.transaction(WORKER, (tx) => tx.call(catalogHorizon, {}));
  const { high } = await horizon();
  while ((await horizon()).low < high) await setTimeout(20);
}

function suite(name: string, open: () => Promise<Store>, settle: (store: Store) => Promise<void>): void {
  describe(`changes of the catalog on ${name}`, () => {
    let store: Store;
    beforeAll(async () => {
      store = await open();
    });
    const tx = async <T>(work: (tx: Tx) => Promise<T>): Promise<T> => {
      await settle(store);
      return store.transaction(WORKER, work);
    };
    const publish = (...list: Offer[]) => tx((t) => catalog.publish(t, list));
    const events = (offerId: string): Promise<PriceEventRow[]> =>
      tx((t) => t.find(priceEvents, { offerId }, { orderBy: [['at', 'asc']] }));

    it('are seen by a reader who asks for nothing else', async () => {
      await publish(offer(1), offer(2), offer(3));
      const copy = new Copy();
      expect(await tx((t) => copy.look(t))).toBe(3);
      expect(await tx((t) => copy.look(t))).toBe(0);
      await publish(offer(1), offer(2, { pricePerHour: 7n }), offer(4));
      await tx((t) => catalog.withdraw(t, [offer(3).id, 'nobody']));
      expect(await tx((t) => copy.look(t))).toBe(3);
      const there = await tx((t) => t.find(offers, {}));
      expect([...copy.offers.keys()].sort()).toEqual(there.map((row) => row.id).sort());
      expect(copy.offers.get(offer(2).id)).toEqual(offer(2, { pricePerHour: 7n }));
      expect(copy.reloads).toBe(1);
    });

    it('leave out what stayed the same, and tell of it once it was seen again after five minutes', async () => {
      const at = (ms: number): Offer => offer(10, { observedAtMs: offer(10).observedAtMs + ms });
      await publish(at(0));
      const copy = new Copy();
      await tx((t) => copy.look(t));
      expect(await publish(at(4 * MINUTE))).toEqual({ added: 0, changed: 0, refreshed: 0, unchanged: 1 });
      expect(await tx((t) => copy.look(t))).toBe(0);
      expect(await publish(at(5 * MINUTE))).toEqual({ added: 0, changed: 0, refreshed: 1, unchanged: 0 });
      expect(await tx((t) => copy.look(t))).toBe(1);
      expect(copy.offers.get(at(0).id)?.observedAtMs).toBe(at(5 * MINUTE).observedAtMs);
    });

    it('give an offer that came back as an offer, not as a removal', async () => {
      await publish(offer(20));
      const copy = new Copy();
      await tx((t) => copy.look(t));
      await tx((t) => catalog.withdraw(t, [offer(20).id]));
      await publish(offer(20, { pricePerHour: 9n }));
      const changes = await tx((t) => catalog.changesSince(t, copy.revision));
      expect(changes?.removedIds).toEqual([]);
      expect(ids(changes?.upserts ?? [])).toEqual([offer(20).id]);
    });

    it('keep what an offer cost: a row for each change of price or availability, and for nothing else', async () => {
      const id = offer(30).id;
      await publish(offer(30, { stock: 3 }));
      await publish(offer(30, { stock: 2 }));
      await publish(offer(30, { stock: 2, confidence: 0.9 }));
      expect(await events(id)).toHaveLength(1);
      await publish(offer(30, { stock: 0 }));
      await publish(offer(30, { pricePerHour: usd('3'), stock: 1 }));
      await publish(offer(30, { pricePerHour: usd('3'), stock: 1, doubts: ['who sells this?'] }));
      await tx((t) => catalog.withdraw(t, [id], 'sold'));
      await publish(offer(30, { stock: 5 }));
      expect((await events(id)).map((e) => [e.kind, e.pricePerHour, e.stock, e.available, e.why])).toEqual([
        ['listed', usd('2'), 3, true, null],
        ['changed', usd('2'), 0, false, null],
        ['changed', usd('3'), 1, true, null],
        ['changed', usd('3'), 1, false, 'who sells this?'],
        ['gone', usd('3'), 0, false, 'sold'],
        ['listed', usd('2'), 5, true, null],
      ]);
    });

    it('survive that the whole list of a provider is replaced', async () => {
      const mine = (n: number, over: Partial<Offer> = {}): Offer => offer(n, { providerId: 'prv_x', ...over });
      await tx((t) => catalog.replace(t, 'prv_x', [mine(40), mine(41)]));
      await tx((t) => catalog.replace(t, 'prv_x', [mine(40, { pricePerHour: 5n })]));
      expect((await events(mine(40).id)).map((e) => e.pricePerHour)).toEqual([usd('2'), 5n]);
      expect((await events(mine(41).id)).map((e) => e.kind)).toEqual(['listed', 'gone']);
    });

    it('send a reader who looked before removals were forgotten back to the whole catalog', async () => {
      await publish(offer(50), offer(51));
      const copy = new Copy();
      await tx((t) => copy.look(t));
      await tx((t) => catalog.withdraw(t, [offer(50).id]));
      const late = new Copy();
      await tx((t) => late.look(t));
      await tx(async (t) => {
        await t.update(offerRemovals, { id: offer(50).id }, { removedAt: (await t.now()) - 2 * HOUR });
        expect(await catalog.forgetRemovals(t)).toBeGreaterThan(0);
      });
      expect(await tx((t) => catalog.changesSince(t, copy.revision))).toBeNull();
      expect(await tx((t) => catalog.changesSince(t, late.revision))).not.toBeNull();
      await tx((t) => copy.look(t));
      expect([copy.reloads, copy.offers.has(offer(50).id), copy.offers.has(offer(51).id)]).toEqual([2, false, true]);
    });

    it('go by no mark and no removal of a higher database', async () => {
      await publish(offer(55));
      const copy = new Copy();
      await tx((t) => copy.look(t));
      const beyond = copy.revision + 1_000_000_000n;
      await tx(async (t) => {
        await t.upsert(catalogMarks, [{ name: REMOVALS_KNOWN_ABOVE, value: beyond }]);
        const removedAt = (await t.now()) - 2 * HOUR;
        await t.upsert(offerRemovals, [{ id: 'of another database', revision: beyond, removedAt }]);
      });
      await tx((t) => catalog.withdraw(t, [offer(55).id]));
      expect(await tx((t) => catalog.changesSince(t, copy.revision))).toMatchObject({ removedIds: [offer(55).id] });
      await tx(async (t) => {
        await t.update(offerRemovals, { id: offer(55).id }, { removedAt: (await t.now()) - 2 * HOUR });
        expect(await catalog.forgetRemovals(t)).toBe(2);
      });
      const mark = await tx((t) => t.first(catalogMarks, { name: REMOVALS_KNOWN_ABOVE }));
      expect(mark?.value).toBeLessThan(beyond);
      expect(await tx((t) => catalog.changesSince(t, copy.revision))).toBeNull();
      await tx((t) => copy.look(t));
      expect(await tx((t) => catalog.changesSince(t, copy.revision))).not.toBeNull();
    });

    it('believe no revision of the future: the database is an older one', async () => {
      const now = await tx((t) => catalog.revision(t));
      expect(await tx((t) => catalog.changesSince(t, now + 1_000_000n))).toBeNull();
    });
  });
}

let clockOfMemory: ManualClock;
suite(
  'memory',
  () => {
    clockOfMemory = new ManualClock();
    // Each transaction is a moment later, as on PostgreSQL.
    const memory = new MemoryStore(clockOfMemory);
    return Promise.resolve({
      transaction: (actor, work) => {
        clockOfMemory.advance(1);
        return memory.transaction(actor, work);
      },
    });
  },
  () => Promise.resolve(),
);

let database: TestDatabase;
let opened: OpenStore;
suite(
  'PostgreSQL',
  async () => {
    database = await testDatabase();
    opened = await openStore(database.ownerUrl, database.secret, {
      poolSize: 6,
      name: 'catalog-changes-spec',
      ...patient,
    });
    return opened.store;
  },
  othersAreDone,
);
afterAll(async () => {
  await opened.close();
  await database.close();
});

describe('changes of writers at the same time on PostgreSQL', () => {
  const tx = <T>(work: (tx: Tx) => Promise<T>): Promise<T> => opened.store.transaction(WORKER, work);
  beforeEach(() => othersAreDone(opened.store));

  it('reach a reader who looked between two commits in the wrong order', async () => {
    const copy = new Copy();
    await tx((t) => copy.look(t));
    let finish = (): void => undefined;
    const held = new Promise<void>((resolve) => (finish = resolve));
    let begun = (): void => undefined;
    const started = new Promise<void>((resolve) => (begun = resolve));
    const early = tx(async (t) => {
      await catalog.publish(t, [offer(60)]);
      begun();
      await held;
    });
    await started;
    await tx((t) => catalog.publish(t, [offer(61)]));
    await tx((t) => copy.look(t));
    expect([copy.offers.has(offer(60).id), copy.offers.has(offer(61).id)]).toEqual([false, true]);
    finish();
    await early;
    await tx((t) => copy.look(t));
    expect([copy.offers.has(offer(60).id), copy.reloads]).toEqual([true, 1]);
  });

  it('leave every copy as the catalog is, whatever the order', async () => {
    const copies = [new Copy(), new Copy()];
    const writer = async (seed: number): Promise<void> => {
      for (let i = 0; i < 25; i++) {
        const n = 70 + ((seed * 7 + i * 3) % 10);
        if ((seed + i) % 3 === 0) await tx((t) => catalog.withdraw(t, [offer(n).id]));
        else await tx((t) => catalog.publish(t, [offer(n, { pricePerHour: BigInt(seed * 1_000 + i + 1) })]));
      }
    };
    let writing = true;
    const reader = async (copy: Copy): Promise<void> => {
      while (writing) await tx((t) => copy.look(t));
    };
    const reading = copies.map(reader);
    await Promise.all([1, 2, 3].map(writer));
    writing = false;
    await Promise.all(reading);
    const there = new Map((await tx((t) => t.find(offers, {}))).map((row) => [row.id, row.pricePerHour]));
    for (const copy of copies) {
      await tx((t) => copy.look(t));
      expect(copy.reloads).toBe(1);
      expect(new Map([...copy.offers].map(([id, o]) => [id, o.pricePerHour]))).toEqual(there);
    }
  });

  it('do not hand out rows of another database again and again', async () => {
    const copy = new Copy();
    await tx((t) => copy.look(t));
    await tx((t) => t.update(offers, { id: offer(1).id }, { revision: copy.revision + 1_000_000_000n }));
    await othersAreDone(opened.store);
    expect(await tx((t) => copy.look(t))).toBe(0);
    expect(await tx((t) => t.find(catalogMarks, {}))).toHaveLength(1);
  });
});

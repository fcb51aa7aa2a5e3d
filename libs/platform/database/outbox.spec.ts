import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SeededRandom } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { Outbox, outbox, type OutboxRow } from './outbox.js';
import { WORKER, type Tx } from './table.js';

/** Claims outlast a machine that stands still for as long as it may. */
const times = { claimMs: 600_000, backoffMs: 1_000, maxBackoffMs: 8_000 };

describe.each(specStores)('the outbox $name', ({ name, open }) => {
  const onPostgres = name === 'PostgreSQL' ? it : it.skip;
  let opened: SpecStore;
  let box: Outbox;
  beforeAll(async () => {
    opened = await open();
    box = new Outbox(opened.store, new SeededRandom('outbox'), times);
  });
  afterAll(async () => opened.close());
  beforeEach(async () => {
    await tx((t) => t.remove(outbox, { attempts: { gte: 0 } }));
  });

  const tx = <T>(work: (t: Tx) => Promise<T>): Promise<T> => opened.store.transaction(WORKER, work);
  const add = (n: number, topic = 'job.ended'): Promise<string[]> =>
    tx(async (t) => {
      const ids: string[] = [];
      for (let i = 0; i < n; i++) ids.push(await box.add(t, { organizationId: 'org_1', topic, payload: { i } }));
      return ids;
    });
  const all = (): Promise<OutboxRow[]> => tx((t) => t.find(outbox, {}, { orderBy: [['id', 'asc']] }));
  /** As if so much time had passed: everything that is waited for comes nearer. */
  const pass = async (ms: number): Promise<void> => {
    for (const row of await all())
      await tx((t) =>
        t.update(
          outbox,
          { id: row.id },
          { nextAt: row.nextAt - ms, ...(row.doneAt === null ? {} : { doneAt: row.doneAt - ms }) },
        ),
      );
  };
  const only = <T>(list: readonly T[]): T => {
    const [first] = list;
    if (first === undefined || list.length !== 1) throw new Error(`${list.length} events, not one`);
    return first;
  };

  it('holds what was added with the change, and nothing of a change that was undone', async () => {
    await expect(
      tx(async (t) => {
        await box.add(t, { organizationId: 'org_1', topic: 'lost', payload: {} });
        throw new Error('on purpose');
      }),
    ).rejects.toThrow('on purpose');
    await add(1);
    expect(only(await box.claim(10))).toMatchObject({
      organizationId: 'org_1',
      topic: 'job.ended',
      payload: { i: 0 },
      attempts: 1,
      doneAt: null,
    });
  });

  it('hands an event to one of many workers that ask at once', async () => {
    const ids = await add(40);
    const got = (await Promise.all(Array.from({ length: 8 }, () => box.claim(10)))).flat().map((e) => e.id);
    expect(got.toSorted()).toEqual([...new Set(got)].sort());
    const later = (await box.claim(100)).map((e) => e.id);
    expect([...got, ...later].sort()).toEqual(ids.toSorted());
    expect(await box.claim(10)).toEqual([]);
  });

  it('hands it out again when its worker died between claim and done', async () => {
    await add(1);
    const first = only(await box.claim(10));
    await pass(times.claimMs - 60_000);
    expect(await box.claim(10)).toEqual([]);
    await pass(60_000);
    const second = only(await box.claim(10));
    expect([second.id, second.attempts]).toEqual([first.id, 2]);
    // The first was only slow: what it says of the event that is no longer its own must not disturb the second.
    await box.failed(first);
    expect(only(await all()).nextAt).toBe(second.nextAt);
    await box.done(first);
    await box.failed(second);
    await pass(10 * times.claimMs);
    expect(await box.claim(10)).toEqual([]);
  });

  it('waits longer after each failure, up to a limit', async () => {
    await add(1);
    for (let n = 0; n < 6; n++) {
      const claimed = only(await box.claim(10));
      const before = await tx((t) => t.now());
      await box.failed(claimed);
      const after = await tx((t) => t.now());
      const { nextAt } = only(await all());
      const full = Math.min(1_000 * 2 ** n, times.maxBackoffMs);
      expect(nextAt - after).toBeLessThanOrEqual(full);
      expect(nextAt - before).toBeGreaterThanOrEqual(full / 2);
      await pass(times.maxBackoffMs);
    }
  });

  it('hands out what is longest due first, and no more than asked for', async () => {
    const [late, early] = [only(await add(1)), only(await add(1))];
    await tx(async (t) => t.update(outbox, { id: early }, { nextAt: (await t.now()) - 60_000 }));
    expect(only(await box.claim(1)).id).toBe(early);
    expect(only(await box.claim(1)).id).toBe(late);
  });

  onPostgres('does not pass over an event whose transaction commits after a later one', async () => {
    let commit = (): void => undefined;
    const gate = new Promise<void>((resolve) => (commit = resolve));
    let added = (): void => undefined;
    const inside = new Promise<void>((resolve) => (added = resolve));
    const slow = tx(async (t) => {
      const id = await box.add(t, { organizationId: 'org_1', topic: 'slow', payload: {} });
      added();
      await gate;
      return id;
    });
    await inside;
    const [quick] = await add(1);
    expect((await box.claim(10)).map((e) => e.id)).toEqual([quick]);
    commit();
    const id = await slow;
    expect((await box.claim(10)).map((e) => e.id)).toEqual([id]);
  });

  it('forgets what was delivered long ago, and only that', async () => {
    const [old, open] = await add(2);
    const claimed = await box.claim(10);
    for (const e of claimed) if (e.id === old) await box.done(e);
    expect(await box.removeDone(60_000)).toBe(0);
    await pass(61_000);
    expect(await box.removeDone(60_000)).toBe(1);
    expect((await all()).map((e) => e.id)).toEqual([open]);
  });
});

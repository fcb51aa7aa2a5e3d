import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { HOUR, ManualClock, newId, SeededRandom, usd } from '#kernel';
import { auditLog, BROKER } from '#identity/audit';
import { MemoryStore, openStore, WORKER, type Store } from '#platform/database';
import { patient, testDatabase } from '#testing';
import { covers, reservations, Reservations, reservationUses, reservedNow, type NewReservation } from './index.js';

const closing: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closing) await close();
});

const clock = new ManualClock(Date.UTC(2026, 10, 21));
const room = new Reservations(clock, new SeededRandom(1));
const PROVIDER = newId('provider');

describe.each<[string, () => Promise<Store>]>([
  ['memory', () => Promise.resolve(new MemoryStore(clock))],
  [
    'PostgreSQL',
    async () => {
      const database = await testDatabase();
      const opened = await openStore(database.ownerUrl, database.secret, {
        poolSize: 20,
        name: 'reservations-spec',
        ...patient,
      });
      closing.push(async () => {
        await opened.close();
        await database.close();
      });
      const worker = new pg.Client({ connectionString: database.urlFor('berth_worker') });
      await worker.connect();
      await worker.query("insert into organizations values ('org_p', 'p', 'platform', 'active', now())");
      await worker.query(
        `insert into providers (id, organization_id, name, kind, adapter, state, margin_bps, settings, created_at)
         values ($1, 'org_p', 'p', 'hyperscaler', 'sandbox', 'active', 0, '{}', now())`,
        [PROVIDER],
      );
      await worker.end();
      return opened.store;
    },
  ],
])('reservations on %s', (_, open) => {
  let store: Store;
  let nowMs: number;
  beforeAll(async () => {
    store = await open();
    nowMs = await store.transaction(WORKER, (tx) => tx.now());
  });
  const add = (over: Partial<NewReservation> = {}) =>
    store.transaction(WORKER, (tx) =>
      room.add(tx, BROKER, {
        providerId: PROVIDER,
        machine: { sku: 'gpu-8x' },
        region: 'eu-1',
        zone: null,
        machines: 4,
        fromAt: nowMs - HOUR,
        untilAt: nowMs + 1_000 * HOUR,
        paidPerHour: usd('1.5'),
        note: '1 year, order 17',
        ...over,
      }),
    );
  const claim = (ids: readonly string[], lease: string) =>
    store.transaction(WORKER, (tx) => room.claim(tx, ids, lease));
  const usesOf = async (id: string) =>
    (await store.transaction(WORKER, (tx) => tx.find(reservationUses, { reservationId: id }))).length;

  it('give 200 leases that come at once no more machines than there are, and the freed ones again', async () => {
    const { id } = await add({ machines: 7 });
    const got = await Promise.all(Array.from({ length: 200 }, (__, i) => claim([id], `${id}-lease-${i}`)));
    expect(got.filter((row) => row?.id === id)).toHaveLength(7);
    expect(await usesOf(id)).toBe(7);
    const first = got.findIndex((row) => row !== null);
    await store.transaction(WORKER, (tx) => room.release(tx, `${id}-lease-${first}`));
    const again = await Promise.all(Array.from({ length: 20 }, (__, i) => claim([id], `${id}-again-${i}`)));
    expect(again.filter((row) => row !== null)).toHaveLength(1);
    expect(await usesOf(id)).toBe(7);
  });

  it('are asked one after the other, and only while they are in force', async () => {
    const [full, next] = [await add({ machines: 1 }), await add({ machines: 1 })];
    expect((await claim([full.id, next.id], `${full.id}-a`))?.id).toBe(full.id);
    expect((await claim([full.id, next.id], `${full.id}-b`))?.id).toBe(next.id);
    expect(await claim([full.id, next.id], `${full.id}-c`)).toBeNull();
    const later = await add({ fromAt: nowMs + HOUR });
    const over = await add({ fromAt: nowMs - 2 * HOUR, untilAt: nowMs - HOUR });
    expect(await claim([later.id, over.id, 'rsv_nobody'], `${full.id}-d`)).toBeNull();
    const known = (await store.transaction(WORKER, reservedNow)).map((r) => r.reservation.id);
    expect(known).toEqual(expect.arrayContaining([full.id, next.id]));
    expect(known).not.toEqual(expect.arrayContaining([later.id]));
    expect(known).not.toEqual(expect.arrayContaining([over.id]));
  });

  it('say how much of them is taken', async () => {
    const { id } = await add({ machines: 4 });
    await claim([id], `${id}-a`);
    const found = (await store.transaction(WORKER, reservedNow)).find((r) => r.reservation.id === id);
    expect(found).toMatchObject({ used: 1, reservation: { machines: 4, sku: 'gpu-8x', accelerator: null } });
  });

  it('are ended once, give nothing out from then on, and tell the audit log before and after', async () => {
    const { id } = await add();
    const ended = await store.transaction(WORKER, (tx) => room.end(tx, BROKER, id));
    expect(ended.state).toBe('ended');
    expect(ended.untilAt).toBeLessThan(nowMs + HOUR);
    expect(await store.transaction(WORKER, (tx) => room.end(tx, BROKER, id))).toEqual(ended);
    expect(await claim([id], `${id}-late`)).toBeNull();
    const log = await store.transaction(WORKER, (tx) => tx.find(auditLog, { subject: id }));
    expect(log.map((row) => row.action).sort()).toEqual(['reservation.add', 'reservation.end']);
    const end = log.find((row) => row.action === 'reservation.end');
    expect(end).toMatchObject({ before: { state: 'open', paidPerHour: '1500000000' }, after: { state: 'ended' } });
    await expect(store.transaction(WORKER, (tx) => room.end(tx, BROKER, 'rsv_nobody'))).rejects.toThrow('rsv_nobody');
    expect(await store.transaction(WORKER, (tx) => tx.first(reservations, { id }))).toEqual(ended);
  });

  it('are refused where they end before they begin', async () => {
    await expect(add({ untilAt: nowMs - 2 * HOUR })).rejects.toThrow('ends before it begins');
  });
});

describe('what a reservation is about', () => {
  const offer = {
    providerId: PROVIDER,
    sku: 'gpu-8x',
    accelerator: 'H100-SXM',
    count: 8,
    region: 'eu-1',
    zone: 'eu-1a',
    pricing: 'on-demand',
    via: { kind: 'market' },
  } as const;
  const bySku = {
    providerId: PROVIDER,
    sku: 'gpu-8x',
    accelerator: null,
    gpusPerMachine: null,
    region: 'eu-1',
    zone: null,
  };
  const byModel = { ...bySku, sku: null, accelerator: 'H100-SXM', gpusPerMachine: 8 };

  it('is a machine by its SKU, or by its accelerators, in a region or one zone of it', () => {
    expect(covers(bySku, offer)).toBe(true);
    expect(covers(byModel, { ...offer, sku: 'another' })).toBe(true);
    expect(covers(byModel, { ...offer, count: 4 })).toBe(false);
    expect(covers(bySku, { ...offer, sku: 'another' })).toBe(false);
    expect(covers(bySku, { ...offer, region: 'eu-2' })).toBe(false);
    expect(covers({ ...bySku, zone: 'eu-1a' }, offer)).toBe(true);
    expect(covers({ ...bySku, zone: 'eu-1b' }, offer)).toBe(false);
    expect(covers({ ...bySku, zone: 'eu-1a' }, { ...offer, zone: null })).toBe(false);
    expect(covers(bySku, { ...offer, providerId: 'other' })).toBe(false);
  });

  it('is never what may be taken away, nor a machine that is ours', () => {
    expect(covers(bySku, { ...offer, pricing: 'spot' })).toBe(false);
    expect(covers(bySku, { ...offer, via: { kind: 'host', hostId: 'host_1' } })).toBe(false);
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { describeProviderConformance, createRequest } from '#adapters/conformance';
import { ManualClock } from '#kernel';
import type { CreateOutcome, Offer } from '#contracts';
import { openStore, WORKER, type OpenStore } from '#platform/database';
import { testDatabase, type TestDatabase } from '#testing';
import { gpuFacts, INSTALL, openHosts, type HostWorld } from './hosts.fixture.js';
import { hosts, slots } from './hosts.table.js';

async function world(slotCount: number, options: Parameters<typeof openHosts>[0] = {}): Promise<HostWorld> {
  const opened = await openHosts(options);
  const { token } = await opened.add('box', slotCount);
  await opened.enrol(token, gpuFacts(slotCount));
  return opened;
}

// One database is one installation, and registered machines have no vendor that could fail.
describeProviderConformance(
  'a registered host',
  async () => {
    const opened = await world(8);
    return {
      port: opened.port,
      now: () => opened.clock.now(),
      advance: (ms) => Promise.resolve(opened.clock.advance(ms)),
      close: () => Promise.resolve(),
    };
  },
  { oneInstall: true },
);

const want = (offers: readonly Offer[], count: number, n: number, nowMs: number) => {
  const offer = offers.find((o) => o.count === count);
  if (!offer) throw new Error(`no offer of ${count}`);
  return createRequest(offer, { install: INSTALL, n }, nowMs);
};
const kinds = (outcomes: readonly CreateOutcome[]): string[] =>
  outcomes.map((o) => (o.kind === 'failed' ? o.error.kind : o.kind));

describe('slots', () => {
  it('of one lease are taken together, shown once, and come back together', async () => {
    const opened = await world(8);
    const offers = await opened.hostOffers();
    const request = want(offers, 4, 1, opened.clock.now());
    expect((await opened.port.create(request)).kind).toBe('created');
    expect((await opened.port.create(request)).kind).toBe('created');
    expect(await opened.store.transaction(WORKER, (tx) => tx.find(slots, {}))).toHaveLength(4);
    const listed = [];
    for await (const machine of opened.port.list(INSTALL)) listed.push(machine.vendorId);
    expect(listed).toEqual([request.leaseId]);
    expect((await opened.hostOffers()).map((o) => o.stock)).toEqual([4, 2, 1, 0]);
    await opened.port.terminate(request.leaseId);
    expect((await opened.hostOffers()).map((o) => o.stock)).toEqual([8, 4, 2, 1]);
  });

  it('that are busy are no capacity, for a moment only', async () => {
    const opened = await world(2);
    const offers = await opened.hostOffers();
    await opened.port.create(want(offers, 2, 1, opened.clock.now()));
    const outcome = await opened.port.create(want(offers, 1, 2, opened.clock.now()));
    expect(outcome).toMatchObject({
      kind: 'failed',
      vendorId: null,
      error: { kind: 'no-capacity', scope: 'offer', retryAfterMs: 2_000 },
    });
  });

  it.each(['enrolling', 'cordoned', 'lost'] as const)('of a host that is %s are not there', async (state) => {
    const opened = await world(2);
    const request = want(await opened.hostOffers(), 1, 1, opened.clock.now());
    await opened.store.transaction(WORKER, (tx) => tx.update(hosts, { state: 'ready' }, { state }));
    expect(kinds([await opened.port.create(request)])).toEqual(['no-capacity']);
  });

  it('of a lost host are of unknown state: the lease decides by its agent', async () => {
    const opened = await world(2);
    const request = want(await opened.hostOffers(), 1, 1, opened.clock.now());
    await opened.port.create(request);
    await opened.store.transaction(WORKER, (tx) => tx.update(hosts, { state: 'ready' }, { state: 'lost' }));
    expect((await opened.port.get(request.leaseId))?.state).toBe('unknown');
  });
});

describe('slots on PostgreSQL', () => {
  let database: TestDatabase;
  let opened: OpenStore;
  beforeAll(async () => {
    database = await testDatabase();
    opened = await openStore(database.ownerUrl, database.secret, { poolSize: 8, name: 'host-spec' });
  });
  afterAll(async () => {
    await opened.close();
    await database.close();
  });

  it('are never taken twice by 50 creates at once, and repeated ones get their own again', async () => {
    const on = await world(8, { store: opened.store, clock: new ManualClock(Date.now()) });
    const offers = await on.hostOffers();
    const soon = Date.now() + 60_000;
    const requests = Array.from({ length: 25 }, (_, n) => want(offers, n % 3 === 0 ? 2 : 1, n, soon));
    const outcomes = await Promise.all([...requests, ...requests].map((r) => on.port.create(r)));
    const taken = await on.store.transaction(WORKER, (tx) => tx.find(slots, {}));
    expect(taken).toHaveLength(8);
    expect(new Set(taken.map((s) => s.n)).size).toBe(8);
    expect(new Set(kinds(outcomes))).toEqual(new Set(['created', 'no-capacity']));
    for (const [n, request] of requests.entries()) {
      const own = taken.filter((s) => s.leaseId === request.leaseId).length;
      const answers = kinds([outcomes[n], outcomes[n + 25]].filter((o) => o !== undefined));
      if (own === 0) expect(answers).toEqual(['no-capacity', 'no-capacity']);
      else expect([own, answers.includes('created')]).toEqual([request.offer.count, true]);
    }
    const free = await on.hostOffers();
    expect(free.map((o) => o.stock)).toEqual([0, 0, 0, 0]);
    await Promise.all(requests.flatMap((r) => [on.port.terminate(r.leaseId), on.port.terminate(r.leaseId)]));
    expect(await on.store.transaction(WORKER, (tx) => tx.find(slots, {}))).toEqual([]);
    expect((await on.hostOffers()).map((o) => o.stock)).toEqual([8, 4, 2, 1]);
  });
});

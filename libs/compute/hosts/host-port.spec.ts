import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { describeProviderConformance, createRequest } from '#adapters/conformance';
import { ManualClock } from '#kernel';
import type { CreateOutcome, Offer } from '#contracts';
import { openStore, UniqueViolation, WORKER, type OpenStore } from '#platform/database';
import { agents } from '#compute/agents';
import { patient, testDatabase, type TestDatabase } from '#testing';
import { GPU_SHARES } from './gpu-parts.js';
import { cpuFacts, gpuFacts, INSTALL, openHosts, withMig, type HostWorld } from './hosts.fixture.js';
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

describe('the GPUs of slots', () => {
  const indices = (opened: HostWorld, leaseId: string) =>
    opened.store.transaction(
      WORKER,
      async (tx) => (await opened.broker.hosts.devicesOf(tx, [leaseId])).get(leaseId)?.indices,
    );

  it('are named by the index that the driver gives them, lowest first, and are free again when the slots are', async () => {
    const opened = await world(4);
    const offers = await opened.hostOffers();
    const [one, two, three] = [1, 2, 1].map((count, n) => want(offers, count, n, opened.clock.now()));
    if (!one || !two || !three) throw new Error('three requests were made');
    for (const request of [one, two, three]) await opened.port.create(request);
    expect(await indices(opened, one.leaseId)).toEqual([0]);
    expect(await indices(opened, two.leaseId)).toEqual([1, 2]);
    await opened.port.terminate(two.leaseId);
    expect(await indices(opened, two.leaseId)).toBeUndefined();
    const again = want(offers, 2, 9, opened.clock.now());
    await opened.port.create(again);
    expect([await indices(opened, again.leaseId), await indices(opened, three.leaseId)]).toEqual([[1, 2], [3]]);
  });

  it('lie in one NVLink domain where one could hold them, the fullest that has room', async () => {
    const opened = await openHosts();
    const { token } = await opened.add('halves', 8);
    await opened.enrol(token, {
      ...gpuFacts(8),
      linkDomains: [
        [0, 2, 4, 6],
        [1, 3, 5, 7],
      ],
    });
    const offers = await opened.hostOffers();
    const take = async (count: number, n: number) => {
      const request = want(offers, count, n, opened.clock.now());
      const { kind } = await opened.port.create(request);
      return kind === 'created' ? await indices(opened, request.leaseId) : kind;
    };
    expect([await take(1, 1), await take(2, 2), await take(4, 3)]).toEqual([[0], [2, 4], [1, 3, 5, 7]]);
    expect([await take(2, 4), await take(1, 5)]).toEqual(['failed', [6]]);
  });

  it('are only those of the accelerator that is sold, each once, whatever order the driver lists them in', async () => {
    const opened = await openHosts();
    const { host, token } = await opened.add('mixed', 8);
    const facts = gpuFacts(4);
    const [a, b, c, d] = facts.gpus;
    if (!a || !b || !c || !d) throw new Error('four GPUs were made');
    const gpus = [d, { ...a, name: 'Tesla T4', vramGiB: 14.6 }, c, { ...c, uuid: 'GPU-again' }, b];
    await opened.enrol(token, { ...facts, gpus });
    expect((await opened.host(host.id)).slotCount).toBe(3);
    const request = want(await opened.hostOffers(), 3, 1, opened.clock.now());
    await opened.port.create(request);
    expect(await indices(opened, request.leaseId)).toEqual([1, 2, 3]);
  });

  it('are none for shares of a CPU machine', async () => {
    const opened = await openHosts();
    const { token } = await opened.add('cpus', 2);
    await opened.enrol(token, cpuFacts);
    const request = want(await opened.hostOffers(), 0, 1, opened.clock.now());
    expect((await opened.port.create(request)).kind).toBe('created');
    expect(await indices(opened, request.leaseId)).toBeUndefined();
  });

  it('belong to one lease at a time, whatever is taken, freed and measured anew in between', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('take' as const), count: fc.constantFrom(1, 2, 3, 4, 8) }),
      fc.record({ do: fc.constant('free' as const), nth: fc.nat(7) }),
      // The machine comes back with other GPUs, perhaps without one that is taken.
      fc.record({ do: fc.constant('measure' as const), of: fc.uniqueArray(fc.nat(9), { minLength: 1, maxLength: 8 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const opened = await openHosts();
        const { host, token } = await opened.add('box', 8);
        const { agentId } = await opened.enrol(token, gpuFacts(8));
        const offer = (await opened.hostOffers())[0];
        if (!offer) throw new Error('the host offers nothing');
        let there = [0, 1, 2, 3, 4, 5, 6, 7];
        const held = new Map<string, readonly number[]>();
        for (const [n, now] of steps.entries()) {
          if (now.do === 'measure') {
            there = now.of;
            const all = gpuFacts(10).gpus;
            const facts = { ...gpuFacts(0), gpus: all.filter((g) => there.includes(g.index)) };
            await opened.store.transaction(WORKER, (tx) => tx.update(agents, { id: agentId }, { facts }));
          } else if (now.do === 'free') {
            const leaseId = [...held.keys()][now.nth];
            if (leaseId === undefined) continue;
            await opened.port.terminate(leaseId);
            held.delete(leaseId);
          } else {
            const request = createRequest({ ...offer, count: now.count }, { install: INSTALL, n }, opened.clock.now());
            const outcome = await opened.port.create(request);
            const busy = new Set([...held.values()].flat());
            const free = there.filter((index) => !busy.has(index)).length;
            const slotsFree = (await opened.host(host.id)).slotCount - busy.size;
            expect(outcome.kind).toBe(Math.min(free, slotsFree) >= now.count ? 'created' : 'failed');
            if (outcome.kind !== 'created') continue;
            const own = (await indices(opened, request.leaseId)) ?? [];
            expect(own).toHaveLength(now.count);
            expect(own.filter((index) => busy.has(index) || !there.includes(index))).toEqual([]);
            held.set(request.leaseId, own);
          }
        }
        for (const [leaseId, own] of held) expect(await indices(opened, leaseId)).toEqual(own);
      }),
      { numRuns: 60 },
    );
  });
});

describe('slots on PostgreSQL', () => {
  let database: TestDatabase;
  let opened: OpenStore;
  beforeAll(async () => {
    database = await testDatabase();
    opened = await openStore(database.ownerUrl, database.secret, { poolSize: 8, name: 'host-spec', ...patient });
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
    expect(taken.map((s) => s.gpuIndex).toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
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
    // They are all there for the next.
    const whole = want(offers, 8, 99, soon);
    await on.port.create(whole);
    const [next] = await on.store.transaction(WORKER, async (tx) => [
      ...(await on.broker.hosts.devicesOf(tx, [whole.leaseId])).values(),
    ]);
    expect(next?.indices).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('are claimed once each by 200 claims at once over several hosts, none is lost, and all come back', async () => {
    const on = await openHosts({ store: opened.store, clock: new ManualClock(Date.now()), seed: 3 });
    const own = new Set<string>();
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      const { host, token } = await on.add(`claims-${name}`, 8);
      own.add(host.id);
      await on.enrol(token, {
        ...gpuFacts(8),
        linkDomains: [
          [0, 1, 2, 3],
          [4, 5, 6, 7],
        ],
      });
    }
    const offers = (await on.hostOffers()).filter((o) => o.via.kind === 'host' && own.has(o.via.hostId));
    const soon = Date.now() + 60_000;
    const sizes = [1, 2, 4, 1, 8, 2, 1, 4];
    const requests = Array.from({ length: 200 }, (_, n) => {
      const fitting = offers.filter((o) => o.count === sizes[n % sizes.length]);
      // The harness's ids repeat among so many.
      return {
        ...want(
          [fitting[Math.floor(n / sizes.length) % fitting.length] as Offer],
          fitting[0]?.count ?? 0,
          1_000 + n,
          soon,
        ),
        leaseId: `lease_claim${n}`,
        attemptId: `att_claim${n}`,
      };
    });
    const outcomes = await Promise.all(requests.map((r) => on.port.create(r)));
    const taken = await on.store.transaction(WORKER, (tx) => tx.find(slots, { hostId: { in: [...own] } }));
    expect(new Set(taken.map((s) => `${s.hostId}/${s.gpuIndex}`)).size).toBe(taken.length);
    for (const [n, request] of requests.entries()) {
      const held = taken.filter((s) => s.leaseId === request.leaseId);
      const created = outcomes[n]?.kind === 'created';
      expect(held).toHaveLength(created ? request.offer.count : 0);
      const halves = new Set(held.map((s) => Math.floor((s.gpuIndex ?? 0) / 4)));
      if (created) expect(halves.size).toBe(request.offer.count === 8 ? 2 : 1);
    }
    // What was refused is refused because nothing of it was left: every host is full.
    expect(taken).toHaveLength(40);
    await Promise.all(requests.map((r) => on.port.terminate(r.leaseId)));
    expect(await on.store.transaction(WORKER, (tx) => tx.find(slots, { hostId: { in: [...own] } }))).toEqual([]);
  });

  it('of parts are claimed once each by 200 claims at once, beside whole GPUs, and no GPU is given out more than once over', async () => {
    const on = await openHosts({ store: opened.store, clock: new ManualClock(Date.now()), seed: 4 });
    const { host, token } = await on.add('parts', 6, 4);
    const facts = withMig(gpuFacts(6), {
      0: ['1g.10gb', '1g.10gb', '2g.20gb', '3g.40gb'],
      1: ['4g.40gb', '1g.20gb', '1g.20gb'],
    });
    await on.enrol(token, facts);
    const offers = (await on.hostOffers()).filter((o) => o.via.kind === 'host' && o.via.hostId === host.id);
    const names = ['1of4', '1g.10gb', '1', '2g.20gb', '1of4', '3g.40gb', '1g.20gb', '4g.40gb', '2', '1of4'];
    const soon = Date.now() + 60_000;
    const requests = Array.from({ length: 200 }, (_, n) => {
      const offer = offers.find((o) => o.id === `${host.id}:${names[n % names.length]}`);
      if (!offer) throw new Error(`no offer ${names[n % names.length]}`);
      return {
        ...createRequest(offer, { install: INSTALL, n: 2_000 + n }, soon),
        leaseId: `lease_part${n}`,
        attemptId: `att_part${n}`,
      };
    });
    const outcomes = await Promise.all(requests.map((r) => on.port.create(r)));
    const taken = await on.store.transaction(WORKER, (tx) => tx.find(slots, { hostId: host.id }));
    for (const gpu of [0, 1, 2, 3, 4, 5]) {
      const own = taken.filter((s) => s.gpuIndex === gpu).toSorted((a, b) => a.shareFrom - b.shareFrom);
      own.forEach((s, i) => expect(s.shareFrom).toBeGreaterThanOrEqual(own[i - 1]?.shareTo ?? 0));
      expect(own.at(-1)?.shareTo ?? 0).toBeLessThanOrEqual(GPU_SHARES);
    }
    // All instances are given out, each to one lease, and the four other GPUs whole or in quarters.
    const devices = taken.flatMap((s) => s.device ?? []);
    expect([devices.length, new Set(devices).size]).toEqual([7, 7]);
    const rest = taken.filter((s) => s.device === null);
    expect(rest.reduce((sum, s) => sum + s.shareTo - s.shareFrom, 0)).toBe(4 * GPU_SHARES);
    for (const [n, request] of requests.entries()) {
      const held = taken.filter((s) => s.leaseId === request.leaseId);
      expect(held).toHaveLength(outcomes[n]?.kind === 'created' ? Math.ceil(request.offer.count) : 0);
      if (request.offer.isolation === 'mig' && held[0]) expect(held[0].device).toMatch(/^MIG-[01]-/);
    }
    expect((await on.hostOffers()).flatMap((o) => (o.id.startsWith(host.id) ? [o.stock] : []))).toEqual(
      offers.map(() => 0),
    );
    await Promise.all(requests.map((r) => on.port.terminate(r.leaseId)));
    const back = (await on.hostOffers()).filter((o) => o.id.startsWith(host.id));
    expect(back.map((o) => [o.id, o.stock])).toEqual(offers.map((o) => [o.id, o.stock]));
  });

  it('cannot hold shares of one GPU that overlap, whoever writes them', async () => {
    const clock = new ManualClock(Date.now());
    const on = await openHosts({ store: opened.store, clock, seed: 5 });
    const { host } = await on.add('shares', 2);
    const slot = { hostId: host.id, attemptId: 'att_1', claimedAt: clock.now(), gpuIndex: 1, device: null };
    const write = (n: number, shareFrom: number, shareTo: number) =>
      on.store.transaction(WORKER, (tx) => tx.insert(slots, { ...slot, n, shareFrom, shareTo, leaseId: `lease_${n}` }));
    await write(0, 0, 210);
    await write(1, 420, 840);
    await expect(write(2, 105, 315)).rejects.toBeInstanceOf(UniqueViolation);
    await expect(write(2, 0, 840)).rejects.toBeInstanceOf(UniqueViolation);
    await write(2, 210, 420);
  });

  it('cannot hold one GPU twice, whoever writes them', async () => {
    const clock = new ManualClock(Date.now());
    const on = await openHosts({ store: opened.store, clock, seed: 2 });
    const { host, token } = await on.add('twice', 2);
    await on.enrol(token, gpuFacts(2));
    const slot = {
      hostId: host.id,
      attemptId: 'att_1',
      claimedAt: clock.now(),
      gpuIndex: 1,
      shareFrom: 0,
      shareTo: 840,
      device: null,
    };
    const write = (n: number, leaseId: string) =>
      on.store.transaction(WORKER, (tx) => tx.insert(slots, { ...slot, n, leaseId }));
    await write(0, 'lease_a');
    await expect(write(1, 'lease_b')).rejects.toBeInstanceOf(UniqueViolation);
  });
});

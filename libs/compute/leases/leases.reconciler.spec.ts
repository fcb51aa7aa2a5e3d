import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '#kernel';
import { createJobSchema } from '#contracts';
import { MemoryStore, WORKER } from '#platform/database';
import { failureMemory } from '#market/reliability';
import { openWorld, type World } from '#testing/world';
import { leaseAttempts, leases } from './index.js';

const start = async (world: World): Promise<void> => {
  await world.credit('25');
  await world.broker.jobs.submit({
    organizationId: world.organizationId,
    projectId: world.projectId,
    actor: WORKER,
    request: createJobSchema.parse({ spec: { kind: 'command', command: ['sleep'] }, maxCost: '5000000000' }),
  });
};
/** Agents hold their work for ever, so that leases last. */
const busy = (world: World): void => {
  world.broker.work.desired = () => Promise.resolve([]);
};

describe('a lease', () => {
  it('asks again when the vendor said it may, and not before', async () => {
    const world = await openWorld({ faults: [{ point: 'create', kind: 'rate-limited', occurrence: 1, arg: 30_000 }] });
    await start(world);
    await world.run(60_000);
    const tries = await world.store.transaction(WORKER, (tx) =>
      tx.find(leaseAttempts, {}, { orderBy: [['n', 'asc']] }),
    );
    expect(tries.map((t) => t.state)).toEqual(['failed', 'created']);
    expect((tries[1]?.intentAt ?? 0) - (tries[0]?.intentAt ?? 0)).toBeGreaterThanOrEqual(30_000);
    expect(world.failures).toEqual([]);
  });

  it('that is lost by silence is one strike against its offer', async () => {
    const world = await openWorld({ faults: [{ point: 'machine', kind: 'silent-death', occurrence: 1, arg: 5_000 }] });
    busy(world);
    await start(world);
    await world.run(200_000);
    const [first] = await world.store.transaction(WORKER, (tx) => tx.find(leases, {}, { orderBy: [['id', 'asc']] }));
    expect([first?.state, first?.endReason]).toEqual(['ended', 'lost']);
    const memory = await world.store.transaction(WORKER, (tx) => tx.find(failureMemory, {}));
    expect(memory.map((m) => [m.kind, m.strikes])).toEqual([['lost', 1]]);
  });

  it.each([
    ['with notice', 20_000],
    ['without', undefined],
  ])('that is preempted %s is one strike against its offer', async (_, noticeMs) => {
    const rule = { point: 'machine', kind: 'preemption', occurrence: 1, arg: 60_000 } as const;
    const world = await openWorld({ faults: [{ ...rule, ...(noticeMs === undefined ? {} : { noticeMs }) }] });
    busy(world);
    await start(world);
    await world.run(180_000);
    const memory = await world.store.transaction(WORKER, (tx) => tx.find(failureMemory, {}));
    expect(memory.map((m) => [m.kind, m.strikes])).toEqual([['preempted', 1]]);
    expect(world.failures).toEqual([]);
  });

  it('goes by the database’s clock, whatever the worker’s own says', async () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 21));
    const store = new MemoryStore({ now: () => clock.now() - 180_000 });
    const faults = [{ point: 'create', kind: 'rate-limited', occurrence: 1, arg: 30_000 }] as const;
    const world = await openWorld({ clock, store, faults });
    await start(world);
    await world.run(60_000);
    const tries = await store.transaction(WORKER, (tx) => tx.find(leaseAttempts, {}, { orderBy: [['n', 'asc']] }));
    expect((tries[1]?.intentAt ?? 0) - (tries[0]?.intentAt ?? 0)).toBeGreaterThanOrEqual(30_000);
    expect(world.repairs).toEqual([]);
  });

  it('is not lost for the time that the broker was away, though its clock is behind the database’s', async () => {
    const clock = new ManualClock(Date.UTC(2026, 10, 21));
    const store = new MemoryStore({ now: () => clock.now() + 600_000 });
    const world = await openWorld({ clock, store });
    busy(world);
    await start(world);
    await world.run(60_000);
    world.broker.awake.beat();
    clock.advance(200_000);
    world.broker.awake.beat();
    const [lease] = await store.transaction(WORKER, (tx) => tx.find(leases, {}));
    await world.broker.loop.reconcile('lease', lease?.id ?? '');
    expect((await store.transaction(WORKER, (tx) => tx.find(leases, {}))).map((l) => l.state)).toEqual(['ready']);
  });

  it('ends no lease by one "not there" that may be from before its machine', async () => {
    const world = await openWorld({
      settings: { windowMs: 3_000 },
      faults: [
        { point: 'create', kind: 'failed-with-resource', occurrence: 1 },
        { point: 'terminate', kind: 'terminate-lies', occurrence: 1 },
      ],
    });
    busy(world);
    await start(world);
    await world.run(20_000);
    const [left] = world.cloud.machines();
    expect([left?.state, left?.endedAtMs === null]).toEqual(['terminated', false]);
    const [first] = await world.store.transaction(WORKER, (tx) => tx.find(leases, {}, { orderBy: [['id', 'asc']] }));
    expect([first?.state, first?.endReason, first?.vendorId]).toEqual(['ended', 'rejected', left?.id]);
    expect(world.failures).toEqual([]);
  });

  it('charges the tenant nothing more once its termination has begun, while the vendor is owed on', async () => {
    const world = await openWorld();
    busy(world);
    await start(world);
    await world.run(90_000);
    const { amounts, patch, through } = await world.store.transaction(WORKER, async (tx) => {
      const lease = await tx.first(leases, { state: 'ready' });
      if (!lease) throw new Error('no lease is ready');
      const through = lease.chargedThrough ?? 0;
      const metered = await world.broker.leases.meter(tx, { ...lease, state: 'terminating' }, through + 60_000);
      return { ...metered, through };
    });
    expect([amounts.chargedNano, patch.chargedThrough]).toEqual([0n, undefined]);
    expect(patch.costThrough).toBe(through + 60_000);
    expect(amounts.costNano).toBeGreaterThan(0n);
  });
});

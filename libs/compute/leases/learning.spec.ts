import { describe, expect, it } from '@jest/globals';
import { createJobSchema } from '#contracts';
import { WORKER } from '#platform/database';
import { leaseOutcomes, reliabilityEvidence } from '#market/reliability';
import { openWorld, type World } from '#testing/world';
import { learnFromLeases } from './index.js';

const start = async (world: World): Promise<void> => {
  await world.credit('250');
  await world.broker.jobs.submit({
    organizationId: world.organizationId,
    projectId: world.projectId,
    actor: WORKER,
    request: createJobSchema.parse({ spec: { kind: 'command', command: ['sleep'] }, maxCost: '50000000000' }),
  });
};
/** Agents hold their work for ever, so that leases last. */
const busy = (world: World): void => {
  world.broker.work.desired = () => Promise.resolve([]);
};
const outcomes = (world: World) =>
  world.store.transaction(WORKER, (tx) => tx.find(leaseOutcomes, {}, { orderBy: [['at', 'asc']] }));

describe('what leases tell of their providers', () => {
  it('a start that worked with its time, and the loss with its age', async () => {
    const world = await openWorld({ faults: [{ point: 'machine', kind: 'silent-death', occurrence: 1, arg: 5_000 }] });
    busy(world);
    await start(world);
    await world.run(200_000);
    const [started, lost] = await outcomes(world);
    expect(started).toMatchObject({ kind: 'started', fromAgeS: null });
    expect(started?.bootS).toBeGreaterThan(0);
    expect(lost).toMatchObject({ kind: 'lost', fromAgeS: 0 });
    expect(lost?.ageS).toBeGreaterThan(0);
  });

  it('the hours of a lease that still runs, each once, and folds all of it', async () => {
    const world = await openWorld();
    busy(world);
    await start(world);
    await world.run(60_000);
    expect(await learnFromLeases(world.store)).toBe(1);
    world.clock.advance(2.5 * 3_600_000);
    expect(await learnFromLeases(world.store)).toBe(1);
    expect(await learnFromLeases(world.store)).toBe(0);
    const rows = await world.store.transaction(WORKER, (tx) => tx.find(reliabilityEvidence, { depth: 1 }));
    expect(rows).toHaveLength(1);
    const expected = rows[0]?.evidence.hazard.expected.at(-1) ?? 0;
    expect(expected).toBeGreaterThan(0);
    expect(rows[0]?.evidence.hazard.seenEvents).toBe(0);
  });
});

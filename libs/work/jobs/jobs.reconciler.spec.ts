import { describe, expect, it } from '@jest/globals';
import { createJobSchema } from '#contracts';
import { WORKER } from '#platform/database';
import { events } from '#platform/reconcile';
import { cpuSku, openWorld, type World, type WorldOptions } from '#testing/world';
import { jobs, type JobRow } from './index.js';

const RATE = { kind: 'rate-limited', point: 'create', occurrence: 1, arg: 1_000 } as const;

async function start(options: WorldOptions): Promise<{ world: World; job: () => Promise<JobRow> }> {
  const world = await openWorld(options);
  await world.credit('25');
  const { id } = await world.broker.jobs.submit({
    organizationId: world.organizationId,
    projectId: world.projectId,
    actor: WORKER,
    request: createJobSchema.parse({ spec: { kind: 'command', command: ['true'] }, maxCost: '5000000000' }),
  });
  return { world, job: () => world.broker.jobs.get(WORKER, id) };
}
const told = async ({ world }: { world: World }): Promise<string[]> => {
  const { found, ids } = await world.store.transaction(WORKER, async (tx) => ({
    ids: (await tx.find(jobs, {})).map((j) => j.id),
    found: await tx.find(events, {}, { orderBy: [['n', 'asc']] }),
  }));
  return found.filter((e) => ids.includes(e.subjectId)).map((e) => `${e.toState}: ${e.message}`);
};
const noCapacity = (n: number) => ({ point: 'create', kind: 'no-capacity', occurrence: n }) as const;

describe('a job whose lease fails before it starts', () => {
  it('is placing until another machine is found, and says why, and that it waits', async () => {
    const s = await start({ faults: [noCapacity(1)] });
    await s.world.run(5_000);
    const shown = new Set<string>();
    for (let n = 0; n < 20; n++) {
      await s.world.run(5_000);
      shown.add((await s.job()).state);
    }
    expect([...shown]).toEqual(['placing']);
    expect((await s.job()).reason).toBe('1 offers looked at, none fits (1 by cooling-down)');
    await s.world.run(120_000);
    expect(await told(s)).toEqual([
      'queued: submitted with 1 shard',
      'starting: renting cpu-4x in eu-test-1',
      'placing: cpu-4x in eu-test-1: no-capacity: No such machine is free; looking for another machine',
      'placing: no machine yet: 1 offers looked at, none fits (1 by cooling-down)',
      'starting: renting cpu-4x in eu-test-1',
      'running: running on cpu-4x',
      'succeeded: 1 of 1 done',
    ]);
  });

  it('says of each machine in turn why it was not that one', async () => {
    const dearer = { ...cpuSku, name: 'cpu-8x', priceUsdPerHour: '0.50' };
    const slow = { point: 'machine', kind: 'slow-boot', occurrence: 1, arg: 3_600_000 } as const;
    const s = await start({ skus: [cpuSku, dearer], faults: [noCapacity(1), slow] });
    await s.world.run(1_500_000, 5_000);
    expect(await told(s)).toEqual([
      'queued: submitted with 1 shard',
      'starting: renting cpu-4x in eu-test-1',
      'placing: cpu-4x in eu-test-1: no-capacity: No such machine is free; looking for another machine',
      'starting: renting cpu-8x in eu-test-1',
      'placing: cpu-8x in eu-test-1: the machine did not start in time; looking for another machine',
      'placing: no machine yet: 2 offers looked at, none fits (2 by cooling-down)',
      'starting: renting cpu-4x in eu-test-1',
      'running: running on cpu-4x',
      'succeeded: 1 of 1 done',
    ]);
  });

  it('is not placed anew while its lease asks the same vendor again', async () => {
    const s = await start({ faults: [RATE] });
    await s.world.run(120_000);
    expect((await told(s)).filter((line) => line.startsWith('placing'))).toEqual([]);
  });
});

it('a job that was running when its machine was announced to go says so', async () => {
  const rule = { point: 'machine', kind: 'preemption', occurrence: 1, arg: 60_000, noticeMs: 20_000 } as const;
  const s = await start({ faults: [rule] });
  s.world.broker.work.desired = () => Promise.resolve([]);
  await s.world.run(90_000);
  expect(await told(s)).toContain(
    'recovering: cpu-4x in eu-test-1: the vendor takes the machine back; looking for another machine',
  );
});

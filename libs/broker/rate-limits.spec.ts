import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { MINUTE } from '#kernel';
import { createJobSchema } from '#contracts';
import { WORKER } from '#platform/database';
import { quotas } from '#money/quotas';
import { leases } from '#compute/leases';
import { shards } from '#work/jobs';
import { openWorld, type World } from '#testing/world';

async function limit(
  world: World,
  dimension: 'requests' | 'tokens',
  limitN: bigint,
  per: 'minute' | 'hour' = 'minute',
): Promise<void> {
  const { organizationId } = world;
  await world.store.transaction(WORKER, (tx) =>
    world.broker.quotas.set(tx, {
      organizationId,
      scope: 'organization',
      scopeId: organizationId,
      projectId: null,
      dimension,
      limitN,
      per,
      mode: 'hard',
      policy: 'keep',
      cohort: null,
      borrowingLimit: null,
      lendingLimit: null,
    }),
  );
}

async function submit(world: World, lines: number, linesPerShard = 10) {
  const inputArtifactId = (await world.upload(lines)) as never;
  const model = 'universal-sentence-encoder';
  const spec = { kind: 'batch-inference', model, inputArtifactId, linesPerShard } as const;
  const { organizationId, projectId } = world;
  const request = createJobSchema.parse({ spec });
  return world.broker.jobs.submit({ organizationId, projectId, actor: WORKER, request });
}

/** In which minutes the shards were handed out. */
async function minutes(world: World): Promise<number[]> {
  const rows = await world.store.transaction(WORKER, (tx) => tx.find(shards, { state: 'done' }));
  const counts = new Map<number, number>();
  for (const { assignedAt } of rows) {
    const minute = Math.floor((assignedAt ?? 0) / MINUTE);
    counts.set(minute, (counts.get(minute) ?? 0) + 1);
  }
  return [...counts].sort(([a], [b]) => a - b).map(([, n]) => n);
}

describe('limits on requests and tokens per minute', () => {
  it('hold shards back until the next minute, and fail none', async () => {
    const world = await openWorld();
    await world.credit('25');
    await limit(world, 'requests', 25n);
    const job = await submit(world, 50);
    await world.run(10 * MINUTE);
    const after = await world.broker.jobs.get(WORKER, job.id);
    expect([after.state, after.linesOk]).toEqual(['succeeded', 50]);
    const perMinute = await minutes(world);
    expect(perMinute).toEqual([3, 2]);
    const doc = readFileSync(join(process.cwd(), 'docs/billing.md'), 'utf8').replace(/\s+/g, ' ');
    expect(doc).toContain(
      `With 25 requests a minute, of 5 shards of 10 lines ${perMinute[0]} go in the first minute and ${perMinute[1]} in the second.`,
    );
    expect(world.failures).toEqual([]);
  });

  it('count the most tokens that lines can have, and let a shard go that is more than a minute has', async () => {
    const world = await openWorld();
    await world.credit('25');
    // 10 lines of 6 bytes and 16 around each are 220.
    await limit(world, 'tokens', 100n);
    const job = await submit(world, 20);
    await world.run(10 * MINUTE);
    expect((await world.broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
    expect(await minutes(world)).toEqual([1, 1]);
  });

  it('let what is more than the rest of a minute go, and the next minute have so much less', async () => {
    const world = await openWorld();
    await world.credit('25');
    await limit(world, 'requests', 15n);
    const job = await submit(world, 25);
    await world.run(10 * MINUTE);
    expect((await world.broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
    // Twice 10 of 15; the 5 too many are the next minute's, and it has room for the last 5.
    expect(await minutes(world)).toEqual([2, 1]);
  });

  it('hand shards of several jobs out in turn, a large one too, however small the others are', async () => {
    const world = await openWorld();
    await world.credit('25');
    await limit(world, 'requests', 30n);
    const small = await submit(world, 270, 10);
    await world.run(2 * MINUTE);
    const large = await submit(world, 80, 40);
    await world.run(6 * MINUTE);
    expect((await world.broker.jobs.get(WORKER, large.id)).state).toBe('succeeded');
    // Its 27 shards fill 9 minutes even alone.
    expect((await world.broker.jobs.get(WORKER, small.id)).state).toBe('running');
    await world.run(6 * MINUTE);
    expect((await world.broker.jobs.get(WORKER, small.id)).state).toBe('succeeded');
    expect(world.failures).toEqual([]);
  });

  it('let a machine go that has nothing to do for long, and rent one when there is room again', async () => {
    const world = await openWorld();
    await world.credit('25');
    await limit(world, 'requests', 10n, 'hour');
    const job = await submit(world, 20);
    await world.run(10 * MINUTE);
    const waiting = await world.broker.jobs.get(WORKER, job.id);
    expect([waiting.state, waiting.shardsDone]).toEqual(['recovering', 1]);
    expect(waiting.reason).toBe('the limits on requests and tokens have no room now');
    const rented = () => world.store.transaction(WORKER, (tx) => tx.find(leases, {}));
    expect((await rented()).map((l) => l.state)).toEqual(['ended']);
    await world.run(45 * MINUTE);
    // Not once for the whole hour.
    expect(await rented()).toHaveLength(1);
    await world.run(15 * MINUTE);
    expect((await world.broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
    expect((await rented()).map((l) => l.state)).toEqual(['ended', 'ended']);
    expect(world.failures).toEqual([]);
  });

  it('leave a machine to a job whose room comes back soon', async () => {
    const world = await openWorld();
    await world.credit('25');
    // A shard of 10 uses more than three minutes.
    await limit(world, 'requests', 3n);
    const job = await submit(world, 20);
    await world.run(10 * MINUTE);
    expect((await world.broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
    expect(await world.store.transaction(WORKER, (tx) => tx.find(leases, {}))).toHaveLength(1);
  });

  it('that allow nothing hold everything back until they are raised', async () => {
    const world = await openWorld();
    await world.credit('25');
    await limit(world, 'requests', 0n);
    const job = await submit(world, 20);
    await world.run(5 * MINUTE);
    const waiting = await world.broker.jobs.get(WORKER, job.id);
    expect([waiting.state, waiting.shardsDone]).toEqual(['placing', 0]);
    expect(waiting.reason).toBe('the limits on requests and tokens have no room now');
    // Nothing was rented that would have been paid for in vain.
    expect(await world.store.transaction(WORKER, (tx) => tx.find(leases, {}))).toEqual([]);
    await world.store.transaction(WORKER, (tx) => tx.remove(quotas, { organizationId: world.organizationId }));
    await world.run(3 * MINUTE);
    expect((await world.broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
  });
});

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

async function limit(world: World, dimension: 'requests' | 'tokens', limitN: bigint): Promise<void> {
  const { organizationId } = world;
  await world.store.transaction(WORKER, (tx) =>
    world.broker.quotas.set(tx, {
      organizationId,
      scope: 'organization',
      scopeId: organizationId,
      projectId: null,
      dimension,
      limitN,
      per: 'minute',
      mode: 'hard',
      policy: 'keep',
      cohort: null,
      borrowingLimit: null,
      lendingLimit: null,
    }),
  );
}

async function submit(world: World, lines: number) {
  const inputArtifactId = (await world.upload(lines)) as never;
  const model = 'universal-sentence-encoder';
  const spec = { kind: 'batch-inference', model, inputArtifactId, linesPerShard: 10 } as const;
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
    const job = await submit(world, 40);
    await world.run(10 * MINUTE);
    const after = await world.broker.jobs.get(WORKER, job.id);
    expect([after.state, after.linesOk]).toEqual(['succeeded', 40]);
    const perMinute = await minutes(world);
    expect(perMinute).toEqual([2, 2]);
    const doc = readFileSync(join(process.cwd(), 'docs/billing.md'), 'utf8').replace(/\s+/g, ' ');
    expect(doc).toContain(`With 25 requests a minute, 4 shards of 10 lines are handed out ${perMinute[0]} a minute.`);
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

  it('let a shard go that fits, though one before it waits', async () => {
    const world = await openWorld();
    await world.credit('25');
    await limit(world, 'requests', 15n);
    const job = await submit(world, 25);
    await world.run(10 * MINUTE);
    expect((await world.broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
    // 10 and 5, and then the 10 that waited.
    expect(await minutes(world)).toEqual([2, 1]);
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

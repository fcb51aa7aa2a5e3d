import { beforeEach, describe, expect, it } from '@jest/globals';
import type { BatchResultLine } from '#contracts';
import { MemoryStore, WORKER } from '#platform/database';
import { openWorld, type World } from '#testing/world';
import { planBatch } from './intake/batch-input.js';
import { jobWith, shardWith } from './jobs.fixture.js';
import { jobs, resultKey, shards, type JobRow, type ShardRow } from './jobs.table.js';
import { batchResults } from './results.js';

let world: World;
let store: MemoryStore;
let job: JobRow;
let cut: ShardRow[];

/** A batch of 10 lines in 5 shards of which nothing has run. */
beforeEach(async () => {
  world = await openWorld();
  store = world.store as MemoryStore;
  const { organizationId, projectId } = world;
  const artifactId = await world.upload(10);
  const spec = {
    kind: 'batch-inference',
    model: 'universal-sentence-encoder',
    inputArtifactId: artifactId as never,
  } as const;
  job = jobWith({ organizationId, projectId, spec, state: 'running', shardsTotal: 5, linesTotal: 10 });
  const input = await world.broker.artifacts.bytes(await world.broker.artifacts.get(WORKER, artifactId));
  cut = planBatch(input, spec.model, 2).slices.map((slice, n) =>
    shardWith({ ...slice, id: `shd_${n}`, n, organizationId, projectId }),
  );
  await store.transaction(WORKER, async (tx) => {
    await tx.insert(jobs, job);
    await tx.insert(shards, cut);
  });
});

const answer = (id: string): string =>
  JSON.stringify({ id: `x-${id}`, custom_id: id, response: { ok: true }, error: null });
async function finish(n: number): Promise<void> {
  const shard = cut[n] ?? shardWith();
  const key = resultKey(shard, 1);
  const ids = [2 * n, 2 * n + 1].map((i) => `r${i}`);
  await world.broker.artifacts.objects.put(key, Buffer.from(ids.map((id) => `${answer(id)}\n`).join('')));
  await store.transaction(WORKER, (tx) => tx.update(shards, { id: shard.id }, { state: 'done', resultKey: key }));
}
const fail = (n: number, message: string | null) =>
  store.transaction(WORKER, (tx) => tx.update(shards, { id: `shd_${n}` }, { state: 'failed', message }));
async function read(
  state: JobRow['state'],
  actor: Parameters<typeof batchResults>[2] = WORKER,
): Promise<BatchResultLine[]> {
  const parts: Uint8Array[] = [];
  for await (const part of batchResults(store, world.broker.artifacts, actor, { ...job, state })) parts.push(part);
  const text = Buffer.concat(parts).toString();
  expect(text === '' || text.endsWith('\n')).toBe(true);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as BatchResultLine);
}

describe('the results of a batch', () => {
  it('come in the order of the input, whatever the order of finishing', async () => {
    for (const n of [3, 0, 4, 1, 2]) await finish(n);
    const lines = await read('succeeded');
    expect(lines.map((l) => l.custom_id)).toEqual(Array.from({ length: 10 }, (_, i) => `r${i}`));
    expect(lines.every((l) => l.error === null)).toBe(true);
  });

  it('of a running job are what is there; failures are told at the end only', async () => {
    await finish(1);
    await fail(2, 'it broke');
    expect((await read('running')).map((l) => l.custom_id)).toEqual(['r2', 'r3']);
  });

  it('have every custom_id exactly once at the end, with an error where there is no answer', async () => {
    await finish(0);
    await finish(3);
    await fail(1, 'engine: it broke');
    await fail(2, null);
    await fail(4, 'cancelled');
    const lines = await read('failed');
    expect(lines.map((l) => l.custom_id)).toEqual(Array.from({ length: 10 }, (_, i) => `r${i}`));
    expect(new Set(lines.map((l) => l.id)).size).toBe(10);
    for (const { response, error } of lines) expect((response === null) !== (error === null)).toBe(true);
    expect(lines[2]?.error).toEqual({ code: 'shard_failed', message: 'engine: it broke' });
    expect(lines[4]?.error?.message).toBe('the work could not be done');
  });

  it('of a cancelled job say so', async () => {
    await fail(0, 'cancelled by the tenant');
    expect((await read('cancelled'))[0]?.error).toEqual({
      code: 'batch_cancelled',
      message: 'cancelled by the tenant',
    });
  });

  it('are nothing for another project or organization, by the repository alone', async () => {
    await finish(0);
    const { organizationId, projectId } = world;
    const as = (organization: string, projectIds: readonly string[] | 'all') =>
      read('succeeded', { as: 'tenant', organizationId: organization, projectIds });
    expect(await as('org_other', 'all')).toEqual([]);
    expect(await as(organizationId, ['prj_other'])).toEqual([]);
    expect(await as(organizationId, [projectId])).toHaveLength(2);
  });
});

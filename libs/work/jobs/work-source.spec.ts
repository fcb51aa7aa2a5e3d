import { beforeEach, describe, expect, it } from '@jest/globals';
import { newId } from '#kernel';
import type { LogLine, WorkReport } from '#contracts';
import { MemoryStore, WORKER } from '#platform/database';
import { shardTimes } from '#market/speeds';
import { usageRecords } from '#money/metering';
import { leases, type LeaseRow } from '#compute/leases';
import type { AgentRow } from '#compute/agents';
import { slots } from '#compute/hosts';
import { openWorld, type World } from '#testing/world';
import { jobWith, shardWith } from './jobs.fixture.js';
import { jobLogs, jobs, resultKey, shards, type JobRow, type ShardRow } from './jobs.table.js';

let world: World;
let store: MemoryStore;
const agent = { id: 'agt_1' } as AgentRow;
const other = { id: 'agt_2' } as AgentRow;

const leaseWith = (over: Partial<LeaseRow>): LeaseRow =>
  ({
    id: 'lease_1',
    providerId: 'prv_1',
    jobId: 'job_1',
    agentId: 'agt_1',
    state: 'ready',
    want: 'run',
    offer: { hostId: null, count: 0 },
    ...over,
  }) as LeaseRow;

beforeEach(async () => {
  world = await openWorld();
  store = world.store as MemoryStore;
  await put({ lease: {}, job: { state: 'running', leaseId: 'lease_1', wakeAt: null }, shards: [{}, {}] });
});

async function put(rows: {
  lease?: Partial<LeaseRow>;
  job?: Partial<JobRow>;
  shards?: Partial<ShardRow>[];
}): Promise<void> {
  await store.transaction(WORKER, async (tx) => {
    if (rows.lease) await tx.upsert(leases, [leaseWith(rows.lease)]);
    if (rows.job) await tx.upsert(jobs, [jobWith({ shardsTotal: rows.shards?.length ?? 2, ...rows.job })]);
    for (const [n, shard] of (rows.shards ?? []).entries())
      await tx.upsert(shards, [shardWith({ id: `shd_${n + 1}`, n, lineFrom: n * 10, lineTo: n * 10 + 10, ...shard })]);
  });
}
const desired = (capacity: number, known: string[] = [], who = agent) =>
  store.transaction(WORKER, (tx) =>
    world.broker.work.desired(world.broker.work.look(tx, who), capacity, new Set(known)),
  );
const report = (reports: WorkReport[], logs: LogLine[] = [], who = agent) =>
  store.transaction(WORKER, (tx) => world.broker.work.report(world.broker.work.look(tx, who), reports, logs));
const done = (
  workId: string,
  fence: number,
  over: Partial<Extract<WorkReport, { state: 'done' }>> = {},
): WorkReport => ({
  workId,
  fence,
  state: 'done',
  resultSha256: 'aa',
  counts: { ok: 9, failed: 1, inputTokens: 30, outputTokens: 4 },
  exitCode: null,
  busyMs: 1,
  ...over,
});
const failed = (workId: string, fence: number, exitCode: number | null = null): WorkReport => ({
  workId,
  fence,
  state: 'failed',
  code: 'engine',
  message: 'it broke',
  exitCode,
});
const shard = (id: string): ShardRow | undefined => store.rows(shards).find((s) => s.id === id);
const job = (): JobRow | undefined => store.rows(jobs).find((j) => j.id === 'job_1');

describe('desired work', () => {
  it('is handed out in order, each time with a new fence, up to the capacity', async () => {
    const [item, ...rest] = await desired(1);
    expect(rest).toEqual([]);
    expect(item).toMatchObject({
      workId: 'shd_1',
      jobId: 'job_1',
      leaseId: 'lease_1',
      fence: 1,
      spec: { kind: 'batch-inference', inputPath: '/agent/v1/inputs/shd_1', lineFrom: 0, lineTo: 10 },
    });
    expect(shard('shd_1')).toMatchObject({
      state: 'assigned',
      leaseId: 'lease_1',
      fence: 1,
      assignedAt: world.clock.now(),
    });
    expect((await desired(1, ['shd_1'])).map((w) => w.workId)).toEqual(['shd_1', 'shd_2']);
  });

  it('does not pile up when answers are lost', async () => {
    await put({ shards: [{}, {}, {}, {}] });
    for (let i = 0; i < 5; i++) expect((await desired(2)).map((w) => w.workId)).toEqual(['shd_1', 'shd_2']);
    expect(store.rows(shards).filter((s) => s.state === 'assigned')).toHaveLength(2);
  });

  it.each<[string, Partial<LeaseRow>]>([
    ['of another agent', { agentId: 'agt_2' }],
    ['that is draining', { state: 'draining' }],
    ['that was let go', { want: 'release' }],
    ['that is idle', { jobId: null }],
    ['that has ended', { state: 'ended' }],
  ])('is nothing for a lease %s', async (_, lease) => {
    await put({ lease });
    expect(await desired(4)).toEqual([]);
    expect(store.rows(shards).every((s) => s.state === 'pending')).toBe(true);
  });

  it('names the GPUs that a lease of a registered host has, by the indices of its slots', async () => {
    const offer = { hostId: 'host_1', count: 2, acceleratorVendor: 'amd' } as LeaseRow['offer'];
    const slot = { hostId: 'host_1', shareFrom: 0, shareTo: 840, device: null, attemptId: 'att_1', claimedAt: 0 };
    await store.transaction(WORKER, (tx) =>
      tx.insert(slots, [
        { ...slot, n: 1, leaseId: 'lease_1', gpuIndex: 3 },
        { ...slot, n: 0, leaseId: 'lease_1', gpuIndex: 2 },
        { ...slot, n: 2, leaseId: 'lease_2', gpuIndex: 0 },
      ]),
    );
    expect((await desired(1))[0]).not.toHaveProperty('gpus');
    await put({ lease: { offer } });
    expect((await desired(1))[0]?.gpus).toEqual({ vendor: 'amd', indices: [2, 3] });
  });

  it('names the MIG instance that a lease has of a GPU', async () => {
    const offer = {
      hostId: 'host_1',
      count: 0.125,
      isolation: 'mig',
      acceleratorVendor: 'nvidia',
    } as LeaseRow['offer'];
    const slot = { hostId: 'host_1', n: 0, gpuIndex: 2, shareFrom: 105, shareTo: 210, device: 'MIG-7', claimedAt: 0 };
    await store.transaction(WORKER, (tx) => tx.insert(slots, { ...slot, leaseId: 'lease_1', attemptId: 'att_1' }));
    await put({ lease: { offer } });
    expect((await desired(1))[0]?.gpus).toEqual({ vendor: 'nvidia', indices: [2], mig: 'MIG-7' });
  });

  it('is nothing for GPUs of a registered host that are given back already: it would see those of others', async () => {
    await put({ lease: { offer: { hostId: 'host_1', count: 1, acceleratorVendor: 'nvidia' } as LeaseRow['offer'] } });
    expect(await desired(1)).toEqual([]);
    expect(shard('shd_1')?.state).toBe('pending');
    await put({ lease: { offer: { hostId: 'host_1', count: 0, acceleratorVendor: 'cpu' } as LeaseRow['offer'] } });
    expect(await desired(1)).toHaveLength(1);
  });

  it('of a command names its files, and is due at the job’s timeout', async () => {
    const spec = {
      kind: 'command',
      command: ['x'],
      env: {},
      inputs: [{ path: 'in', artifactId: 'art_9' }],
      outputs: ['out'],
    };
    await put({ job: { spec: spec as never, kind: 'command', timeoutAt: world.clock.now() + 60_000 }, shards: [{}] });
    const [item] = await desired(1);
    expect(item).toMatchObject({
      deadlineAt: new Date(world.clock.now() + 60_000).toISOString(),
      spec: {
        kind: 'command',
        command: ['x'],
        inputs: [{ path: 'in', from: '/agent/v1/artifacts/art_9' }],
        outputs: ['out'],
      },
    });
  });
});

describe('a report', () => {
  it('of a result is taken once: shard, counters, tokens', async () => {
    await desired(2);
    expect(await report([done('shd_1', 1)])).toEqual([{ workId: 'shd_1', fence: 1 }]);
    expect(shard('shd_1')).toMatchObject({
      state: 'done',
      linesOk: 9,
      linesFailed: 1,
      resultKey: resultKey({ jobId: 'job_1', id: 'shd_1' }, 1),
    });
    expect(job()).toMatchObject({ shardsDone: 1, linesOk: 9, linesFailed: 1, wakeAt: null });
    const again = await report([done('shd_1', 1), done('shd_1', 1)]);
    expect(again).toEqual([
      { workId: 'shd_1', fence: 1 },
      { workId: 'shd_1', fence: 1 },
    ]);
    expect(job()).toMatchObject({ shardsDone: 1, linesOk: 9 });
    const usage = store.rows(usageRecords).map((u) => [u.meter, u.quantity, u.amountNano]);
    expect(usage.sort()).toEqual([
      ['input-tokens', 30n, 0n],
      ['lines', 9n, 0n],
      ['output-tokens', 4n, 0n],
    ]);
  });

  it('of work in tokens tells how fast the machine was, once', async () => {
    const work = {
      kind: 'tokens',
      inputTokens: 300,
      outputTokens: 40,
      parametersB: 700,
      bytesPerParameter: 2,
    } as const;
    const offer = { hostId: null, accelerator: 'L4', count: 2, vcpus: 16 } as LeaseRow['offer'];
    const { workload, spec } = jobWith({});
    // The size in the work is the tenant's claim; what is learnt from is the model that was served.
    const served = { ...spec, model: 'meta-llama/Llama-3.1-8B' } as JobRow['spec'];
    await put({
      lease: { offer },
      job: { spec: served, workload: { ...workload, work }, leaseId: 'lease_1', state: 'running' },
    });
    await desired(2);
    await report([done('shd_1', 1)]);
    await report([done('shd_1', 1)]);
    expect(store.rows(shardTimes)).toMatchObject([
      { id: 'shd_1/1', leaseId: 'lease_1', accelerator: 'L4', units: 2, tokens: 34, folded: false },
    ]);
    expect(store.rows(shardTimes)[0]?.parametersB).toBeCloseTo(8.03, 1);
  });

  it('of the last shard wakes the job, with a new version', async () => {
    await desired(2);
    await report([done('shd_1', 1), done('shd_2', 1)]);
    expect(job()).toMatchObject({ shardsDone: 2, wakeAt: world.clock.now(), version: 2 });
  });

  it.each<[string, () => Promise<unknown>]>([
    ['an old fence', () => put({ shards: [{ state: 'assigned', leaseId: 'lease_1', fence: 2 }] })],
    ['a fence that was never given', () => put({ shards: [{ state: 'assigned', leaseId: 'lease_1', fence: 0 }] })],
    ['work that went elsewhere', () => put({ shards: [{ state: 'assigned', leaseId: 'lease_2', fence: 1 }] })],
    ['work that waits again', () => put({ shards: [{ fence: 1 }] })],
    ['work that has failed for good', () => put({ shards: [{ state: 'failed', leaseId: 'lease_1', fence: 1 }] })],
    [
      'a lease of another agent',
      () => put({ lease: { agentId: 'agt_2' }, shards: [{ state: 'assigned', leaseId: 'lease_1', fence: 1 }] }),
    ],
    [
      'a lease that was let go',
      () => put({ lease: { want: 'release' }, shards: [{ state: 'assigned', leaseId: 'lease_1', fence: 1 }] }),
    ],
    ['work that never was', () => store.transaction(WORKER, (tx) => tx.remove(shards, { jobId: 'job_1' }))],
  ])('for %s changes nothing, and need not be kept', async (_, arrange) => {
    await arrange();
    const before = [store.rows(shards), store.rows(jobs)];
    for (const one of [done('shd_1', 1), failed('shd_1', 1), failed('shd_1', 1, 1)])
      expect(await report([one])).toEqual([{ workId: 'shd_1', fence: 1 }]);
    expect([store.rows(shards), store.rows(jobs)]).toEqual(before);
    expect(store.rows(usageRecords)).toEqual([]);
  });

  it('of progress is not acknowledged, so the agent goes on keeping its state', async () => {
    await desired(1);
    expect(await report([{ workId: 'shd_1', fence: 1, state: 'running' }])).toEqual([]);
  });

  it('of failure sends the shard back until its tries are used up', async () => {
    await put({ job: { state: 'running', maxAttempts: 3, leaseId: 'lease_1' }, shards: [{}] });
    for (const fence of [1, 2]) {
      await desired(1);
      await report([failed('shd_1', fence)]);
      expect(shard('shd_1')).toMatchObject({
        state: 'pending',
        failures: fence,
        leaseId: null,
        message: 'engine: it broke',
      });
      expect(job()).toMatchObject({ shardsFailed: 0, linesFailed: 0 });
    }
    await desired(1);
    await report([failed('shd_1', 3)]);
    expect(shard('shd_1')).toMatchObject({ state: 'failed', failures: 3, linesFailed: 10 });
    expect(job()).toMatchObject({ shardsFailed: 1, linesFailed: 10, wakeAt: world.clock.now() });
  });

  it.each([
    ['ended badly', done('shd_1', 1, { exitCode: 3 }), 'exit code 3'],
    ['was killed', failed('shd_1', 1, 137), 'engine: it broke'],
  ])('of a command that %s is final', async (_, one, message) => {
    await desired(1);
    await report([one]);
    expect(shard('shd_1')).toMatchObject({ state: 'failed', message, failures: 1 });
    expect(job()).toMatchObject({ shardsFailed: 1, shardsDone: 0 });
  });

  it('of a command that ended well is done', async () => {
    await desired(1);
    await report([done('shd_1', 1, { exitCode: 0, resultSha256: null })]);
    expect(shard('shd_1')).toMatchObject({ state: 'done', exitCode: 0, resultKey: null });
  });

  it('cannot count more lines than the shard has', async () => {
    await desired(2);
    await report([done('shd_1', 1, { counts: { ok: 1_000_000, failed: 1_000_000, inputTokens: 0, outputTokens: 0 } })]);
    expect(job()).toMatchObject({ linesOk: 10, linesFailed: 0 });
    await report([done('shd_2', 1, { counts: { ok: 4, failed: 1_000_000, inputTokens: 0, outputTokens: 0 } })]);
    expect(job()).toMatchObject({ linesOk: 14, linesFailed: 6 });
  });
});

describe('logs', () => {
  const log = (workId: string, n: number, text = 'x'): LogLine => ({
    workId,
    fence: 1,
    n,
    at: '2026-11-21T00:00:00Z',
    stream: 'stdout',
    text,
  });

  it('are kept once, for work that is the agent’s, without what PostgreSQL cannot store', async () => {
    await desired(1);
    await report([], [log('shd_1', 0, 'a\u0000b'), log('shd_2', 0), log('shd_9', 0)]);
    await report([], [log('shd_1', 0, 'again'), log('shd_1', 1)]);
    await report([], [log('shd_1', 2)], other);
    expect(store.rows(jobLogs).map((l) => [l.workId, l.n, l.text, l.projectId])).toEqual([
      ['shd_1', 0, 'ab', 'prj_1'],
      ['shd_1', 1, 'x', 'prj_1'],
    ]);
  });
});

describe('what an agent may read and send', () => {
  const may = (workId: string, fence: number | null, who = agent) =>
    world.broker.work.authorize(who, workId, fence).then(
      ({ shard }) => shard.id,
      (error: { code: string }) => error.code,
    );

  it('is its own work with the live fence', async () => {
    await desired(1);
    expect([await may('shd_1', 1), await may('shd_1', null)]).toEqual(['shd_1', 'shd_1']);
    expect([await may('shd_1', 2), await may('shd_1', 0)]).toEqual(['old-fence', 'old-fence']);
    expect([await may('shd_2', 1), await may(newId('shard'), 1)]).toEqual(['not-your-work', 'not-your-work']);
    expect([await may('shd_1', 1, other), await may('shd_1', null, other)]).toEqual(['not-your-work', 'not-your-work']);
    await report([done('shd_1', 1)]);
    expect(await may('shd_1', 1)).toBe('old-fence');
  });

  it('is nothing any more when the lease has ended', async () => {
    await desired(1);
    await put({ lease: { state: 'ended' } });
    expect(await may('shd_1', 1)).toBe('not-your-work');
  });

  it('names the jobs whose files it may read', async () => {
    expect((await world.broker.work.assignedTo(agent)).map((j) => j.id)).toEqual(['job_1']);
    expect(await world.broker.work.assignedTo(other)).toEqual([]);
  });
});

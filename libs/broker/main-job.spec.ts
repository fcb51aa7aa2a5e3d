import { describe, expect, it } from '@jest/globals';
import { createJobSchema, type CreateJobInput } from '#contracts';
import { WORKER } from '#platform/database';
import { accounts, trialBalance } from '#money/ledger';
import { holds } from '#money/quotas';
import { usageRecords } from '#money/metering';
import { leases } from '#compute/leases';
import { shards, type JobRow } from '#work/jobs';
import { openWorld, type World } from '#testing/world';

const submit = async (world: World, input: CreateJobInput): Promise<JobRow> =>
  world.broker.jobs.submit({
    organizationId: world.organizationId,
    projectId: world.projectId,
    actor: WORKER,
    request: createJobSchema.parse(input),
  });

const batch = async (world: World, lines: number, more: Partial<CreateJobInput> = {}): Promise<JobRow> =>
  submit(world, {
    spec: {
      kind: 'batch-inference',
      model: 'universal-sentence-encoder',
      inputArtifactId: (await world.upload(lines)) as never,
      linesPerShard: 10,
    },
    ...more,
  });

async function booksBalance(world: World): Promise<void> {
  await world.store.transaction(WORKER, async (tx) => {
    const rows = await tx.find(accounts, {});
    for (const row of rows) expect(row.balanceNano).toBe(row.availableNano + row.heldNano);
    const all = await trialBalance(tx, null);
    expect(all.reduce((a, r) => a + r.balanceNano, 0n)).toBe(0n);
    const open = (await tx.find(holds, { state: 'held' })).reduce((a, h) => a + h.remainingNano, 0n);
    expect(rows.filter((a) => a.kind === 'credit').reduce((a, r) => a + r.heldNano, 0n)).toBe(open);
    const charged = (await tx.find(usageRecords, { side: 'charge' })).reduce((a, r) => a + r.amountNano, 0n);
    const granted = -(all.find((a) => a.kind === 'grants')?.balanceNano ?? 0n);
    const credit = all.filter((a) => a.kind === 'credit').reduce((a, r) => a + r.balanceNano, 0n);
    expect(granted - credit).toBe(charged);
  });
}

describe('the main job on a rented machine', () => {
  it('runs from submit to settled books, and leaves no machine', async () => {
    const world = await openWorld();
    await world.credit('25');
    const job = await batch(world, 100);
    await world.run(300_000);
    expect(world.failures).toEqual([]);
    const after = await world.broker.jobs.get(WORKER, job.id);
    expect([after.state, after.linesOk, after.shardsDone]).toEqual(['succeeded', 100, 10]);
    expect(after.chargedNano).toBeGreaterThan(0n);
    expect(after.chargedNano).toBeLessThan(after.capNano);
    const rented = await world.store.transaction(WORKER, (tx) => tx.find(leases, {}));
    expect(rented.map((l) => [l.state, l.endReason])).toEqual([['ended', 'released']]);
    expect(world.cloud.machines().filter((m) => m.state === 'running')).toEqual([]);
    expect(await world.store.transaction(WORKER, (tx) => tx.find(holds, { state: 'held' }))).toEqual([]);
    await booksBalance(world);
    expect(world.repairs).toEqual([]);
  });

  it('refuses a job over the credit and says how much is missing; nothing is rented', async () => {
    const world = await openWorld();
    await world.credit('1');
    await expect(batch(world, 10, { maxCost: '3000000000' })).rejects.toMatchObject({
      kind: 'payment-required',
      details: { facts: { missingNano: '2000000000' } },
    });
    await world.run(10_000);
    expect(world.cloud.machines()).toEqual([]);
    await booksBalance(world);
  });

  it('survives preemption: finished shards stay, the rest moves to another machine, each result once', async () => {
    const world = await openWorld({ faults: [{ point: 'machine', kind: 'preemption', occurrence: 1, arg: 4_000 }] });
    await world.credit('25');
    const job = await batch(world, 100);
    await world.run(600_000);
    expect(world.failures).toEqual([]);
    const after = await world.broker.jobs.get(WORKER, job.id);
    expect([after.state, after.linesOk, after.shardsDone]).toEqual(['succeeded', 100, 10]);
    const rented = await world.store.transaction(WORKER, (tx) => tx.find(leases, {}, { orderBy: [['id', 'asc']] }));
    expect(rented.map((l) => l.endReason)).toEqual(['preempted', 'released']);
    const done = await world.store.transaction(WORKER, (tx) => tx.find(shards, { jobId: job.id }));
    expect(new Set(done.map((s) => s.leaseId)).size).toBe(2);
    await booksBalance(world);
  });

  it('ends with exactly one machine when the vendor without client tokens never answers a create', async () => {
    const world = await openWorld({
      faults: [{ point: 'create', kind: 'answer-lost-after-effect', occurrence: 1 }],
      settings: { windowMs: 5_000 },
    });
    await world.credit('25');
    const job = await batch(world, 20);
    await world.run(600_000);
    expect(world.cloud.machines().length).toBe(1);
    expect((await world.broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
    await booksBalance(world);
  });

  it('removes the machine that a failed create left behind, and goes elsewhere', async () => {
    const world = await openWorld({ faults: [{ point: 'create', kind: 'failed-with-resource', occurrence: 1 }] });
    await world.credit('25');
    const job = await batch(world, 20);
    await world.run(600_000);
    expect((await world.broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
    expect(world.cloud.machines().every((m) => m.state === 'terminated')).toBe(true);
    await booksBalance(world);
  });

  it('stops a job whose cap is used up, charges no more than the cap, and says so', async () => {
    const world = await openWorld({ faults: [{ point: 'machine', kind: 'silent-death', arg: 60_000 }] });
    await world.credit('25');
    const job = await submit(world, {
      spec: { kind: 'command', command: ['sleep', 'x'] },
      maxCost: '30000000',
      workload: {},
    });
    world.broker.work.desired = () => Promise.resolve([]);
    await world.run(1_800_000, 5_000);
    const after = await world.broker.jobs.get(WORKER, job.id);
    expect(after.state).toBe('failed');
    expect(after.chargedNano).toBeLessThanOrEqual(30_000_000n);
    await booksBalance(world);
  });

  it('keeps a machine warm for the next job of the project, which starts without renting', async () => {
    const world = await openWorld();
    await world.credit('25');
    const first = await batch(world, 10, { keepWarmS: 600 });
    await world.run(120_000);
    const second = await batch(world, 10);
    await world.run(20_000);
    const [a, b] = [await world.broker.jobs.get(WORKER, first.id), await world.broker.jobs.get(WORKER, second.id)];
    expect([a.state, b.state]).toEqual(['succeeded', 'succeeded']);
    expect(b.leaseId).toBe(a.leaseId);
    await world.run(60_000);
    expect((await world.store.transaction(WORKER, (tx) => tx.find(leases, {}))).map((l) => l.state)).toEqual(['ended']);
    await booksBalance(world);
  });

  it('cancels: the machine goes, the hold comes back', async () => {
    const world = await openWorld();
    await world.credit('25');
    const job = await batch(world, 100);
    await world.run(30_000);
    await world.broker.jobs.cancel(WORKER, job.id);
    await world.run(60_000);
    expect((await world.broker.jobs.get(WORKER, job.id)).state).toBe('cancelled');
    expect(world.cloud.machines().filter((m) => m.state === 'running' || m.state === 'provisioning')).toEqual([]);
    expect(await world.store.transaction(WORKER, (tx) => tx.find(holds, { state: 'held' }))).toEqual([]);
    await booksBalance(world);
  });
});

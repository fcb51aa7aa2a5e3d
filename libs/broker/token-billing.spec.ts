import { describe, expect, it } from '@jest/globals';
import { HOUR, usd } from '#kernel';
import { createJobSchema, priceTermsSchema, type CreateJobInput } from '#contracts';
import { WORKER } from '#platform/database';
import { account, balancesBefore } from '#money/ledger';
import { usageRecords } from '#money/metering';
import { holds } from '#money/quotas';
import { explainDay, leases } from '#compute/leases';
import { jobs, toJobView, type JobRow } from '#work/jobs';
import { cpuSku, openWorld, type World, type WorldOptions } from '#testing/world';

const MODEL = 'universal-sentence-encoder';
/** Dear, so that the few tokens of the specs pay for a machine. */
const book = priceTermsSchema.parse({
  tokens: { [MODEL]: { input: String(usd('1000')), cached: '0', output: String(usd('3000')) } },
  free: { input: '40' },
});

async function open(options: WorldOptions = {}, terms = book): Promise<World> {
  const world = await openWorld(options);
  await world.credit('25');
  await world.store.transaction(WORKER, (tx) => world.broker.prices.publish(tx, { terms }));
  return world;
}

async function submit(world: World, lines: number, more: Partial<CreateJobInput> = {}): Promise<JobRow> {
  const inputArtifactId = (await world.upload(lines)) as never;
  const spec = {
    kind: 'batch-inference',
    model: MODEL,
    inputArtifactId,
    linesPerShard: 10,
    billing: 'tokens',
  } as const;
  return world.broker.jobs.submit({
    organizationId: world.organizationId,
    projectId: world.projectId,
    actor: WORKER,
    request: createJobSchema.parse({ spec, ...more }),
  });
}

const used = (world: World) => world.store.transaction(WORKER, (tx) => tx.find(usageRecords, {}));
const balance = async (world: World, id: string): Promise<bigint> =>
  (await world.store.transaction(WORKER, (tx) => balancesBefore(tx, null))).get(id) ?? 0n;

describe('a batch that is paid by tokens', () => {
  it('holds the most that they can cost, is charged for what was used, and its machine is the broker’s cost', async () => {
    const world = await open({ tokensOf: () => ({ inputTokens: 30, outputTokens: 0 }) });
    const job = await submit(world, 100);
    // "text 0".."text 99": 6 or 7 bytes, and 16 around each.
    expect(job.capNano).toBe((usd('1000') / 1_000_000n) * BigInt(10 * 22 + 90 * 23) + 10n);
    await world.run(300_000);
    expect(world.failures).toEqual([]);
    const after = await world.broker.jobs.get(WORKER, job.id);
    expect([after.state, after.linesOk]).toEqual(['succeeded', 100]);
    // 10 shards of 30 tokens, of which 40 are free.
    expect(after.chargedNano).toBe(usd('0.26'));
    expect(toJobView(after, { heldNano: 0n, chargedNano: after.chargedNano, runningNano: 0n }).billing).toBe('tokens');
    const records = await used(world);
    const sum = (side: 'charge' | 'cost', meter: string): bigint =>
      records.reduce((n, r) => (r.side === side && r.meter === meter ? n + r.amountNano : n), 0n);
    expect([sum('charge', 'input-tokens'), sum('charge', 'lease-time')]).toEqual([usd('0.26'), 0n]);
    const cost = sum('cost', 'lease-time');
    expect(cost).toBeGreaterThan(0n);
    expect(await balance(world, account.revenue)).toBe(usd('0.26') - cost);
    expect(await balance(world, account.credit(world.organizationId))).toBe(usd('24.74'));
    expect(await world.store.transaction(WORKER, (tx) => tx.find(holds, { state: 'held' }))).toEqual([]);
    // All of it hangs on the lease, so that its margin shows.
    const [lease] = await world.store.transaction(WORKER, (tx) => tx.find(leases, {}));
    expect(lease).toMatchObject({ chargePerHour: 0n, state: 'ended', chargeTerms: { paidBy: 'tokens' } });
    expect(records.every((r) => r.leaseId === lease?.id && r.jobId !== undefined)).toBe(true);
    const tenant = { as: 'tenant', organizationId: world.organizationId, projectIds: 'all' } as const;
    const day = await world.store.transaction(WORKER, (tx) => explainDay(tx, tenant, Date.UTC(2026, 10, 21)));
    expect(day.chargedNano).toBe(usd('0.26'));
    const why = new Set(day.hours.flatMap((h) => h.lines.map((l) => l.why)));
    expect([...why].sort()).toEqual([
      '$1,000.00 a million, less what is free each month',
      '$1,000.00 a million; free this month',
      'counted',
      'nothing: the tokens are what is paid',
    ]);
  });

  it('is charged no more than its lines can have, whatever a machine tells', async () => {
    const world = await open({ tokensOf: () => ({ inputTokens: 9_999_999, outputTokens: 5 }) });
    const job = await submit(world, 20);
    await world.run(300_000);
    const after = await world.broker.jobs.get(WORKER, job.id);
    expect(after.state).toBe('succeeded');
    expect(after.chargedNano).toBe(job.capNano - 10n - usd('0.04'));
    expect(await balance(world, account.exposure)).toBe(0n);
  });

  it('that is cancelled pays for the shards that were done, and not for time', async () => {
    const world = await open({ tokensOf: () => ({ inputTokens: 50, outputTokens: 0 }) }, { ...book, free: {} });
    const job = await submit(world, 1_000);
    for (let n = 0; n < 300; n++) {
      await world.run(1_000);
      if ((await world.broker.jobs.get(WORKER, job.id)).shardsDone >= 3) break;
    }
    await world.broker.jobs.cancel(WORKER, job.id);
    await world.run(120_000);
    const after = await world.broker.jobs.get(WORKER, job.id);
    expect(after.state).toBe('cancelled');
    expect(after.shardsDone).toBeGreaterThanOrEqual(3);
    expect(after.chargedNano).toBe(usd('0.05') * BigInt(after.shardsDone));
    expect(await world.store.transaction(WORKER, (tx) => tx.find(holds, { state: 'held' }))).toEqual([]);
    expect(world.failures).toEqual([]);
  });

  it('survives the loss of its machine: each shard is charged once', async () => {
    const world = await open(
      {
        faults: [{ point: 'machine', kind: 'preemption', occurrence: 1, arg: 4_000 }],
        tokensOf: () => ({ inputTokens: 50, outputTokens: 0 }),
      },
      { ...book, free: {} },
    );
    const job = await submit(world, 100);
    await world.run(600_000);
    const after = await world.broker.jobs.get(WORKER, job.id);
    expect([after.state, after.shardsDone, after.chargedNano]).toEqual(['succeeded', 10, usd('0.5')]);
  });

  it('costs at least what a request costs at least', async () => {
    const terms = { ...book, free: {}, requestMinimumNano: String(usd('0.02')) };
    const world = await open({ tokensOf: () => ({ inputTokens: 50, outputTokens: 0 }) }, terms);
    const job = await submit(world, 20);
    await world.run(300_000);
    const after = await world.broker.jobs.get(WORKER, job.id);
    expect([after.state, after.chargedNano]).toEqual(['succeeded', usd('0.4')]);
    expect(after.chargedNano).toBeLessThanOrEqual(job.capNano);
  });

  it('is refused without a price, with a cap below its tokens, with a warm machine, and where the machine costs more', async () => {
    const world = await open();
    await expect(submit(world, 10, { maxCost: '5' })).rejects.toMatchObject({ code: 'cap-below-tokens' });
    await expect(submit(world, 10, { keepWarmS: 60 })).rejects.toMatchObject({ code: 'not-kept-warm' });
    const bare = await open({}, priceTermsSchema.parse({}));
    await expect(submit(bare, 10)).rejects.toMatchObject({
      code: 'no-token-price',
      details: { field: 'spec.billing' },
    });
    const cheap = priceTermsSchema.parse({ tokens: { [MODEL]: { input: '1', cached: '0', output: '0' } } });
    await expect(submit(await open({}, cheap), 10)).rejects.toMatchObject({ code: 'tokens-below-machine' });
  });

  it('is refused with a warm machine among many too, whatever those before it want, and no idle machine is free', async () => {
    const world = await open({ tokensOf: () => ({ inputTokens: 50, outputTokens: 0 }) });
    const inputArtifactId = (await world.upload(100)) as never;
    const { organizationId, projectId, broker } = world;
    const of = { organizationId, projectId, actor: WORKER };
    const spec = { kind: 'batch-inference', model: MODEL, inputArtifactId, billing: 'tokens' } as const;
    const requests = [{ spec }, { spec, keepWarmS: 600 }].map((input) => createJobSchema.parse(input));
    await expect(broker.jobs.submitMany(of, requests)).rejects.toMatchObject({
      code: 'not-kept-warm',
      details: { field: 'jobs.1.keepWarmS' },
    });
    // Even a job that should have been refused leaves no machine behind that another job has for nothing.
    const job = await submit(world, 100);
    await world.store.transaction(WORKER, (tx) =>
      tx.update(jobs, { id: job.id }, { spec: { ...job.spec, keepWarmS: 600 } }),
    );
    await world.run(120_000);
    expect((await broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
    const [lease] = await world.store.transaction(WORKER, (tx) => tx.find(leases, {}));
    expect(lease).toMatchObject({ state: 'ended', jobId: null });
    const idle = { state: 'ready', want: 'run', endedAt: null } as const;
    await world.store.transaction(WORKER, (tx) => tx.update(leases, { id: lease?.id ?? '' }, idle));
    expect(await world.store.transaction(WORKER, (tx) => broker.leases.warm(tx, projectId))).toEqual([]);
  });

  it('ends when its machine has cost as much as its tokens can bring; what was done is charged', async () => {
    const dear = { ...cpuSku, priceUsdPerHour: '40' };
    const world = await open(
      { skus: [dear], tokensOf: () => ({ inputTokens: 50, outputTokens: 0 }) },
      { ...book, free: {} },
    );
    const job = await submit(world, 100);
    const now = () => world.broker.jobs.get(WORKER, job.id);
    for (let n = 0; n < 300 && (await now()).shardsDone === 0; n++) await world.run(1_000);
    world.broker.work.desired = () => Promise.resolve([]);
    await world.run(120_000);
    expect((await now()).state).toBe('running');
    await world.run(300_000);
    const after = await now();
    expect([after.state, after.reason]).toEqual(['failed', expect.stringMatching(/^tokens-below-machine: /)]);
    expect(after.shardsDone).toBeGreaterThan(0);
    expect(after.chargedNano).toBe(usd('0.05') * BigInt(after.shardsDone));
    const records = await used(world);
    const cost = records.reduce((n, r) => (r.side === 'cost' ? n + r.amountNano : n), 0n);
    expect(cost).toBeGreaterThan(job.capNano);
    // Two looks of 5 s and the end of the machine at $40 an hour.
    expect(cost - job.capNano).toBeLessThan(usd('0.4'));
    expect(await world.store.transaction(WORKER, (tx) => tx.find(holds, { state: 'held' }))).toEqual([]);
    expect(world.failures).toEqual([]);
  });

  it('is not believed to be less work than its lines are', async () => {
    const small = { workload: { work: { kind: 'wall-hours', hours: 1e-6 } } } as const;
    const terms = priceTermsSchema.parse({
      tokens: { [MODEL]: { input: String(usd('26')), cached: '0', output: '0' } },
    });
    const dear = { ...cpuSku, priceUsdPerHour: '200' };
    await expect(submit(await open({ skus: [dear] }, terms), 20_000, small)).rejects.toMatchObject({
      code: 'tokens-below-machine',
    });
  });

  it('keeps the price of its submission, less the plan’s discount', async () => {
    const plans = { lab: { discountBps: 5_000 } };
    const world = await open({ tokensOf: () => ({ inputTokens: 50, outputTokens: 0 }) }, { ...book, free: {}, plans });
    await world.store.transaction(WORKER, (tx) => world.broker.prices.setPlan(tx, world.organizationId, 'lab'));
    const job = await submit(world, 40);
    world.clock.advance(1);
    await world.store.transaction(WORKER, (tx) =>
      world.broker.prices.publish(tx, { terms: priceTermsSchema.parse({ tokens: {} }) }),
    );
    await world.run(HOUR / 6);
    const after = await world.broker.jobs.get(WORKER, job.id);
    expect([after.state, after.chargedNano]).toEqual(['succeeded', usd('0.1')]);
  });

  it('pays by nothing else on the machine that it moves to for its deadline', async () => {
    const spot = { ...cpuSku, name: 'cpu-4x-spot', pricing: 'spot', priceUsdPerHour: '0.10' } as const;
    const world = await open({ skus: [cpuSku, spot], tokensOf: () => ({ inputTokens: 30, outputTokens: 0 }) });
    const { work } = world.broker;
    const desired = work.desired.bind(work);
    work.desired = async (sight, capacity, known) =>
      (await sight.leases()).some((l) => l.offer.pricing === 'spot') ? [] : desired(sight, capacity, known);
    const job = await submit(world, 100, {
      workload: {
        work: { kind: 'wall-hours', hours: 1 },
        objective: 'cheapest',
        constraints: { deadlineS: 1.8 * 3_600 },
      },
    });
    await world.run(1.5 * HOUR, 5_000);
    expect(world.failures).toEqual([]);
    expect((await world.broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
    const rented = await world.store.transaction(WORKER, (tx) => tx.find(leases, {}));
    expect(rented.map((l) => [l.offer.pricing, l.chargeTerms?.paidBy]).sort()).toEqual([
      ['on-demand', 'tokens'],
      ['spot', 'tokens'],
    ]);
    expect((await balance(world, account.credit(world.organizationId))) > usd('24.7')).toBe(true);
  });
});

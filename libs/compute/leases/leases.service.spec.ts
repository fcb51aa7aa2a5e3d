import { describe, expect, it } from '@jest/globals';
import { createJobSchema } from '#contracts';
import { WORKER } from '#platform/database';
import { usageRecords } from '#money/metering';
import { quotaUses } from '#money/quotas';
import { costTail, plainTerms } from '#money/rating';
import { openWorld, type World } from '#testing/world';
import { leases, unmeteredCharge, warmOffer, type LeaseRow } from './index.js';
import { leaseWith } from '#testing';

/** A job of one command, whose machine is to be kept for ten minutes. */
async function submit(world: World, maxCost: string): Promise<string> {
  const job = await world.broker.jobs.submit({
    organizationId: world.organizationId,
    projectId: world.projectId,
    actor: WORKER,
    request: createJobSchema.parse({ spec: { kind: 'command', command: ['true'] }, keepWarmS: 600, maxCost }),
  });
  return job.id;
}
const leaseOf = (world: World): Promise<LeaseRow | null> =>
  world.store.transaction(WORKER, (tx) => tx.first(leases, {}));

describe('a lease whose job is done and that is to be kept warm', () => {
  it('is released when the credit does not cover the time', async () => {
    const world = await openWorld();
    await world.credit('0.05');
    const id = await submit(world, '50000000');
    // Until the job ends the whole credit is held for it.
    await world.run(120_000);
    expect((await world.broker.jobs.get(WORKER, id)).state).toBe('succeeded');
    const lease = await leaseOf(world);
    expect([lease?.want, lease?.endReason, world.failures]).toEqual(['release', 'released', []]);
  });

  it('outlives any other failure to set the money aside: the job is settled again, and it is kept', async () => {
    const world = await openWorld();
    await world.credit('25');
    const id = await submit(world, '5000000000');
    const take = world.broker.holds.take.bind(world.broker.holds);
    const lost = new Error('the connection was lost');
    let failed = 0;
    world.broker.holds.take = (tx, request) =>
      request.leaseId !== undefined && failed++ < 2 ? Promise.reject(lost) : take(tx, request);
    await world.run(120_000);
    expect((await world.broker.jobs.get(WORKER, id)).state).toBe('succeeded');
    const lease = await leaseOf(world);
    expect([lease?.state, lease?.want, lease?.jobId]).toEqual(['ready', 'run', null]);
    expect(world.failures.map((f) => [f.id, f.error])).toEqual([
      [id, lost],
      [id, lost],
    ]);
  });
});

describe('the end of a machine', () => {
  it('costs what the vendor bills, and what nobody used of it is a record of its own', async () => {
    const world = await openWorld();
    await world.credit('25');
    const job = await world.broker.jobs.submit({
      organizationId: world.organizationId,
      projectId: world.projectId,
      actor: WORKER,
      request: createJobSchema.parse({ spec: { kind: 'command', command: ['true'] }, maxCost: '1000000000' }),
    });
    // The vendor bills at least five minutes, and then by the minute.
    const billing = { minimumS: 300, incrementS: 60 };
    for (let i = 0; i < 100 && (await leaseOf(world)) === null; i++) await world.run(100);
    const bill = (lease: LeaseRow) => ({ offer: { ...lease.offer, billing } });
    const began = await leaseOf(world);
    if (!began) throw new Error('no machine was asked for');
    await world.store.transaction(WORKER, (tx) => tx.update(leases, { id: began.id }, bill(began)));
    await world.run(240_000);
    expect((await world.broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
    const lease = await leaseOf(world);
    if (lease?.bootedAt == null || lease.endedAt === null) throw new Error('the machine has not ended');
    const records = await world.store.transaction(WORKER, (tx) =>
      tx.find(usageRecords, { leaseId: lease.id, side: 'cost' }, { orderBy: [['fromAt', 'asc']] }),
    );
    const tail = costTail(lease.costPerHour, lease.bootedAt, lease.endedAt, billing);
    expect(tail.billedMs).toBe(300_000);
    const sumOf = (source: string) => records.filter((r) => r.source === source).reduce((n, r) => n + r.amountNano, 0n);
    expect([sumOf('lease'), sumOf('lease-tail')]).toEqual([tail.usedNano, tail.tailNano]);
    expect(tail.tailNano).toBeGreaterThan(0n);
    expect(records.at(-1)).toMatchObject({
      source: 'lease-tail',
      fromAt: lease.endedAt,
      toAt: lease.bootedAt + 300_000,
    });
  });
});

describe('an owner of lent GPUs that wants them back', () => {
  const now = Date.UTC(2026, 10, 21);

  it('has the newest borrowed machines stopped, as many as it lacks and the borrower lets be stopped', async () => {
    const world = await openWorld();
    await world.credit('25');
    const { leases: of, quotas, holds } = world.broker;
    const owner = { organizationId: world.organizationId, projectId: world.projectId };
    const machine = { ...leaseWith({}).offer, count: 2, accelerator: 'H100' };
    const offer = warmOffer(leaseWith({ offer: machine }), now);
    const borrowed = async (organizationId: string, policy: 'keep' | 'stop-newest') => {
      await limit(organizationId, 2n, policy);
      for (const n of [1, 2, 3]) {
        const id = `lease_${organizationId}_${n}`;
        const lease = leaseWith({
          id,
          organizationId,
          projectId: `prj_${organizationId}`,
          state: 'ready',
          want: 'run',
          offer: machine,
        });
        await world.store.transaction(WORKER, async (tx) => {
          await tx.insert(leases, lease);
          await quotas.take(tx, { ...lease, holder: id }, { gpus: 2n });
          await tx.update(quotaUses, { holder: id }, { takenAt: now + n * 1_000 });
        });
      }
    };
    const limit = (organizationId: string, limitN: bigint, policy: 'keep' | 'stop-newest' = 'keep') =>
      world.store.transaction(WORKER, (tx) =>
        quotas.set(tx, {
          organizationId,
          projectId: null,
          scope: 'organization',
          scopeId: organizationId,
          dimension: 'gpus',
          per: 'ever',
          limitN,
          mode: 'hard',
          policy,
          cohort: 'research',
          borrowingLimit: null,
          lendingLimit: null,
        }),
      );
    await limit(owner.organizationId, 8n);
    await borrowed('org_keeps', 'keep');
    await borrowed('org_yields', 'stop-newest');
    const ask = () =>
      world.store.transaction(WORKER, async (tx) => {
        const hold = await holds.take(tx, { ...owner, jobId: 'job_spec', amountNano: 5_000_000_000n });
        const request = {
          ...owner,
          jobId: 'job_spec',
          jobHoldId: hold.id,
          placementId: null,
          offer,
          terms: plainTerms(0),
        };
        return of.request(tx, { ...request, placementId: 'placement_spec' }).catch((error: unknown) => error);
      });
    const going = async () =>
      (await world.store.transaction(WORKER, (tx) => tx.find(leases, { want: 'release' }))).map((l) => l.id);
    expect(await ask()).toMatchObject({ code: 'quota-exceeded' });
    expect(await going()).toEqual(['lease_org_yields_3']);
    // What is let go already is not asked for again.
    expect(await ask()).toMatchObject({ code: 'quota-exceeded' });
    expect(await going()).toEqual(['lease_org_yields_3']);
    await world.store.transaction(WORKER, (tx) => quotas.release(tx, 'lease_org_yields_3', ['gpus']));
    expect(await ask()).toMatchObject({ state: 'requested' });
  });
});

describe('the time of a machine that is not metered yet', () => {
  const acceptedAt = Date.UTC(2026, 10, 21);
  const ready = leaseWith({ state: 'ready', acceptedAt, chargePerHour: 3_600_000_000n });

  it('costs from the last metering on, or from the first moment of use', () => {
    expect(unmeteredCharge(ready, acceptedAt + 5_000)).toBe(5_000_000n);
    expect(unmeteredCharge({ ...ready, chargedThrough: acceptedAt + 4_000 }, acceptedAt + 5_000)).toBe(1_000_000n);
  });

  it('costs nothing before the machine is of use, while it is ended, and never less than nothing', () => {
    expect(unmeteredCharge({ ...ready, acceptedAt: null }, acceptedAt)).toBe(0n);
    expect(unmeteredCharge({ ...ready, state: 'terminating' }, acceptedAt + 5_000)).toBe(0n);
    expect(unmeteredCharge({ ...ready, chargedThrough: acceptedAt + 4_000 }, acceptedAt)).toBe(0n);
  });
});

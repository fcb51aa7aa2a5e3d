import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { usd } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { holds, quotas, quotaUses, renewalOf, type HoldRow, type NewQuota, type Renewal } from './index.js';

describe('what a part of a hold is renewed by', () => {
  it.each([
    ['it has more than past and future cost', 100n, 30n, 60n, 50n, 0n],
    ['it lacks a part of what is ahead', 50n, 30n, 60n, 50n, 40n],
    ['it has exactly what it needs', 90n, 30n, 60n, 50n, 0n],
    ['it lacks the smallest part', 89n, 30n, 60n, 50n, 1n],
    ['it has nothing', 0n, 30n, 60n, 50n, 90n],
    ['what ran beyond it is as much as the most', 0n, 50n, 60n, 50n, 110n],
    ['what ran beyond it is more than the most: an outage', 0n, 51n, 60n, 50n, 50n],
    ['the outage was long', 10n, 1_000n, 60n, 50n, 50n],
  ] as const)('%s', (_, remaining, pastNano, aheadNano, mostNano, moved) => {
    expect(renewalOf(remaining, { pastNano, aheadNano, mostNano })).toBe(moved);
  });
});

describe.each(specStores)('parts of holds $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
  });
  afterAll(async () => opened.close());

  const take = (tenant: Tenant, amountNano: bigint, more: { jobId?: string; jobs?: bigint } = {}): Promise<HoldRow> =>
    till.tx((tx) =>
      till.holds.take(tx, {
        ...tenant,
        amountNano,
        ...(more.jobId === undefined ? {} : { jobId: more.jobId }),
        quotas: more.jobs === undefined ? {} : { 'jobs-queued': more.jobs },
      }),
    );
  const carve = async (parent: HoldRow, wanted: bigint, least = wanted): Promise<HoldRow> => {
    const made = await till.tx((tx) => till.holds.carve(tx, parent.id, 'lease_spec', wanted, least));
    if (!made) throw new Error('could not carve');
    return made;
  };
  const get = async ({ id }: HoldRow): Promise<HoldRow | null> => till.tx((tx) => till.holds.get(tx, id));
  const rest = async (hold: HoldRow): Promise<bigint | undefined> => (await get(hold))?.remainingNano;
  const settle = ({ id }: HoldRow): Promise<bigint | null> => till.tx((tx) => till.holds.settle(tx, id));
  const renew = (renewals: Readonly<Record<string, Renewal>>) => till.tx((tx) => till.holds.renewMany(tx, renewals));
  const need = (aheadNano: bigint): Renewal => ({ pastNano: 0n, aheadNano, mostNano: 1_000n });
  const use = (hold: HoldRow, dimension: string) =>
    till.tx(async (tx) => (await tx.first(quotaUses, { holder: hold.id, dimension }))?.amount);

  it('are renewed out of their parents, many at once, and asking again moves nothing more', async () => {
    const [a, b] = [await take(await till.tenant('1'), 100n), await take(await till.tenant('1'), 50n)];
    const [a1, a2, b1] = [await carve(a, 10n), await carve(a, 20n), await carve(b, 5n)];
    const wanted = { [a1.id]: need(40n), [a2.id]: need(20n), [b1.id]: need(30n) };
    const done = await renew(wanted);
    expect(done).toEqual({
      [a1.id]: { movedNano: '30', remainingNano: '40', parentNano: '40' },
      [a2.id]: { movedNano: '0', remainingNano: '20', parentNano: '40' },
      [b1.id]: { movedNano: '25', remainingNano: '30', parentNano: '20' },
    });
    expect(await get(a1)).toMatchObject({ remainingNano: 40n, amountNano: 40n });
    expect([await rest(a), await rest(a2), await rest(b)]).toEqual([40n, 20n, 20n]);
    const again = await renew(wanted);
    expect(Object.values(again).map((r) => r.movedNano)).toEqual(['0', '0', '0']);
    await till.audit();
  });

  it('get what the parent has, in the order of their ids, when that is less than all want', async () => {
    const parent = await take(await till.tenant('1'), 100n);
    const parts = [await carve(parent, 10n), await carve(parent, 10n), await carve(parent, 10n)];
    const done = await renew(Object.fromEntries(parts.map((p) => [p.id, need(60n)])));
    const inOrder = parts.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    expect(inOrder.map((p) => done[p.id]?.movedNano)).toEqual(['50', '20', '0']);
    expect(await rest(parent)).toBe(0n);
    expect(Object.values(done).map((r) => r.parentNano)).toEqual(['0', '0', '0']);
  });

  it('that have ended are not renewed, and those whose parent has ended get nothing', async () => {
    const parent = await take(await till.tenant('1'), 100n);
    const [ended, orphan] = [await carve(parent, 10n), await carve(parent, 10n)];
    await settle(ended);
    await settle(parent);
    expect(await renew({ [ended.id]: need(50n), [orphan.id]: need(50n) })).toEqual({
      [orphan.id]: { movedNano: '0', remainingNano: '10', parentNano: '0' },
    });
    expect(await rest(orphan)).toBe(10n);
    // A job's own hold has nobody to be renewed by.
    const whole = await take(await till.tenant('1'), 7n);
    expect(await renew({ [whole.id]: need(50n) })).toEqual({
      [whole.id]: { movedNano: '0', remainingNano: '7', parentNano: '0' },
    });
    expect(await renew({})).toEqual({});
  });

  it('are carved as large as wanted, or as large as what is left, down to the least', async () => {
    const parent = await take(await till.tenant('1'), 100n, { jobId: 'job_spec' });
    expect(await carve(parent, 60n, 10n)).toMatchObject({
      amountNano: 60n,
      parentId: parent.id,
      leaseId: 'lease_spec',
      jobId: null,
      state: 'held',
    });
    expect(await carve(parent, 60n, 40n)).toMatchObject({ amountNano: 40n });
    expect(await till.tx((tx) => till.holds.carve(tx, parent.id, 'lease_spec', 60n, 1n))).toBeNull();
    expect(await get(parent)).toMatchObject({ jobId: 'job_spec', leaseId: null, parentId: null, endedAt: null });
  });

  it('are extended by no more than the parent has', async () => {
    const parent = await take(await till.tenant('1'), 30n);
    const part = await carve(parent, 10n);
    expect(await till.tx((tx) => till.holds.extend(tx, part, 15n))).toBe(15n);
    expect(await get(part)).toMatchObject({ remainingNano: 25n, amountNano: 25n });
    expect(await till.tx((tx) => till.holds.extend(tx, part, 15n))).toBe(5n);
    expect(await till.tx((tx) => till.holds.extend(tx, part, 15n))).toBe(0n);
  });

  it('give back to the limits what nobody spent, whichever of them ends last; the job stands in line until its own hold ends', async () => {
    const tenant = await till.tenant('1');
    const { organizationId } = tenant;
    const quota = (dimension: string, per: NewQuota['per']): NewQuota => ({
      organizationId,
      projectId: null,
      scope: 'organization',
      scopeId: organizationId,
      dimension,
      per,
      limitN: 100n,
      mode: 'hard',
      policy: 'keep',
      cohort: null,
      borrowingLimit: null,
      lendingLimit: null,
    });
    await till.tx((tx) => till.quotas.set(tx, quota('spend', 'month')));
    await till.tx((tx) => till.quotas.set(tx, quota('jobs-queued', 'ever')));
    const used = async () =>
      (await till.tx((tx) => tx.find(quotas, { organizationId }, { orderBy: [['dimension', 'asc']] }))).map(
        (q) => q.used,
      );
    const job = await take(tenant, 80n, { jobs: 1n });
    const outer = await carve(job, 50n);
    const inner = await carve(outer, 20n);
    expect([await used(), await use(job, 'spend'), await use(outer, 'spend')]).toEqual([[1n, 80n], 80n, undefined]);
    await settle(outer);
    expect(await used()).toEqual([1n, 80n]);
    await settle(job);
    expect([await used(), await use(job, 'jobs-queued')]).toEqual([[0n, 20n], undefined]);
    expect(await settle(inner)).toBe(20n);
    expect([await used(), await use(job, 'spend')]).toEqual([[0n, 0n], 0n]);
    expect(await settle(inner)).toBeNull();
    await till.audit();
  });

  it('that a limit refuses leave nothing behind', async () => {
    const tenant = await till.tenant('1');
    const { organizationId } = tenant;
    const limit = { limitN: 1n, mode: 'hard', policy: 'keep', cohort: null, borrowingLimit: null, lendingLimit: null };
    const order = {
      organizationId,
      projectId: null,
      scope: 'organization',
      scopeId: organizationId,
      ...limit,
    } as const;
    await till.tx((tx) =>
      till.quotas.set(tx, { ...order, dimension: 'jobs-queued', per: 'ever', mode: 'hard', policy: 'keep' }),
    );
    await take(tenant, 10n, { jobs: 1n });
    await expect(take(tenant, 10n, { jobs: 1n })).rejects.toMatchObject({ code: 'quota-exceeded' });
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
    expect([credit.availableNano, credit.heldNano]).toEqual([usd('1') - 10n, 10n]);
    expect(await till.tx((tx) => tx.find(holds, { organizationId }))).toHaveLength(1);
    // What is exactly there can be taken.
    await take(tenant, usd('1') - 10n);
    await expect(take(tenant, 1n)).rejects.toMatchObject({ code: 'insufficient-credit' });
    await till.audit();
  });
});

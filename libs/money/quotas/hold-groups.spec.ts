import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId, SeededRandom, usd } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { holds, quotas, quotaUses, type HoldRow, type NewQuota } from './index.js';

/** Several holds in one call, one step at a time; contention.spec.ts asks the same of many at once. */
describe.each(specStores)('holds that come together, $name', ({ name, open }) => {
  let opened: SpecStore;
  let till: Till;
  const random = new SeededRandom(`groups ${name}`);
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, random);
  });
  afterAll(() => opened.close());

  const limit = (
    { organizationId }: Tenant,
    what: Partial<NewQuota> & Pick<NewQuota, 'dimension' | 'limitN' | 'per'>,
  ) =>
    till.tx((tx) =>
      till.quotas.set(tx, {
        organizationId,
        scope: 'organization',
        scopeId: organizationId,
        projectId: null,
        mode: 'hard',
        policy: 'keep',
        cohort: null,
        borrowingLimit: null,
        lendingLimit: null,
        ...what,
      }),
    );
  const used = async ({ organizationId }: Tenant, dimension: string): Promise<bigint | undefined> =>
    (await till.tx((tx) => tx.first(quotas, { organizationId, dimension })))?.used;
  const usesOf = ({ organizationId }: Tenant) =>
    till.tx((tx) =>
      tx.find(
        quotaUses,
        { organizationId },
        {
          orderBy: [
            ['dimension', 'asc'],
            ['holder', 'asc'],
          ],
        },
      ),
    );
  const pockets = async ({ organizationId }: Tenant): Promise<bigint[]> => {
    const { availableNano, heldNano } = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
    return [availableNano, heldNano];
  };
  const shared = (tenant: Tenant, ...dollars: string[]): Promise<HoldRow[]> =>
    till.tx((tx) =>
      till.holds.takeShared(
        tx,
        { ...tenant, keyId: 'key_a' },
        dollars.map((d) => ({ jobId: newId('job', 0, random), amountNano: usd(d) })),
      ),
    );

  it('of many jobs are one that is carved out whole: each job keeps its own part', async () => {
    const tenant = await till.tenant('10');
    await limit(tenant, { dimension: 'spend', per: 'month', limitN: usd('9') });
    await limit(tenant, { dimension: 'jobs-queued', per: 'ever', limitN: 3n });
    const parts = await shared(tenant, '1', '2.5', '0');
    const rows = await till.tx((tx) => tx.find(holds, { organizationId: tenant.organizationId }));
    const [whole] = rows.filter((h) => h.parentId === null);
    expect(whole).toMatchObject({
      state: 'settled',
      amountNano: usd('3.5'),
      remainingNano: 0n,
      jobId: null,
      leaseId: null,
    });
    expect(whole?.endedAt).toBe(whole?.createdAt);
    for (const part of parts) {
      expect(part).toMatchObject({ parentId: whole?.id, state: 'held', leaseId: null, endedAt: null });
      expect(rows).toContainEqual(part);
    }
    expect(parts.map((p) => p.remainingNano)).toEqual([usd('1'), usd('2.5'), 0n]);
    expect(new Set(parts.map((p) => p.jobId)).size).toBe(3);
    expect(await pockets(tenant)).toEqual([usd('6.5'), usd('3.5')]);
    const uses = await usesOf(tenant);
    const queued = uses.filter((u) => u.dimension === 'jobs-queued');
    expect(queued.map((u) => [u.holder, u.amount, u.keyId, u.projectId])).toEqual(
      parts
        .map((p) => p.id)
        .sort()
        .map((id) => [id, 1n, 'key_a', tenant.projectId]),
    );
    expect(uses.filter((u) => u.dimension === 'spend').map((u) => [u.holder, u.amount])).toEqual([
      [whole?.id, usd('3.5')],
    ]);
    expect(new Set(uses.map((u) => u.takenAt)).size).toBe(1);
    expect([await used(tenant, 'spend'), await used(tenant, 'jobs-queued')]).toEqual([usd('3.5'), 3n]);
    expect(await till.tx((tx) => till.quotas.keyOf(tx, parts[1]?.id ?? ''))).toBe('key_a');
    await till.tx((tx) => till.holds.settle(tx, parts[1]?.id ?? ''));
    expect([await used(tenant, 'spend'), await used(tenant, 'jobs-queued')]).toEqual([usd('1'), 2n]);
    expect(await pockets(tenant)).toEqual([usd('9'), usd('1')]);
    await till.audit();
  });

  it('of many jobs are refused together, by the credit or by a limit, and leave nothing', async () => {
    const tenant = await till.tenant('3');
    await limit(tenant, { dimension: 'jobs-queued', per: 'ever', limitN: 2n });
    await expect(shared(tenant, '1', '2.5')).rejects.toMatchObject({
      code: 'insufficient-credit',
      details: { facts: { neededNano: String(usd('3.5')), missingNano: String(usd('0.5')) } },
    });
    await expect(shared(tenant, '0.1', '0.1', '0.1')).rejects.toMatchObject({
      code: 'quota-exceeded',
      details: { facts: { asked: '3', room: '2' } },
    });
    expect([await pockets(tenant), await usesOf(tenant), await used(tenant, 'jobs-queued')]).toEqual([
      [usd('3'), 0n],
      [],
      0n,
    ]);
    expect(await till.tx((tx) => tx.find(holds, { organizationId: tenant.organizationId }))).toEqual([]);
    expect(await shared(tenant)).toEqual([]);
    await expect(shared(tenant, '1', '-0.5')).rejects.toBeInstanceOf(RangeError);
    expect(await shared(tenant, '2', '1')).toHaveLength(2);
    expect(await pockets(tenant)).toEqual([0n, usd('3')]);
  });

  it('that are each for itself are answered in their order, and one that is refused keeps none of the others', async () => {
    const tenant = await till.tenant('3');
    await limit(tenant, { dimension: 'jobs-queued', per: 'ever', limitN: 2n });
    const ask = (dollars: string, jobs: bigint) => ({
      ...tenant,
      jobId: newId('job', 0, random),
      keyId: 'key_b',
      amountNano: usd(dollars),
      quotas: { 'jobs-queued': jobs },
    });
    const asked = [ask('2', 1n), ask('2', 1n), ask('0.25', 2n), ask('1', 1n), ask('0', 1n)];
    const answers = await till.tx((tx) => till.holds.takeMany(tx, asked));
    expect(answers.map((a) => ('code' in a ? a.code : [a.amountNano, a.jobId, a.parentId]))).toEqual([
      [usd('2'), asked[0]?.jobId, null],
      'insufficient-credit',
      'quota-exceeded',
      [usd('1'), asked[3]?.jobId, null],
      'quota-exceeded',
    ]);
    const open = await till.tx((tx) => tx.find(holds, { organizationId: tenant.organizationId, state: 'held' }));
    expect(open.map((h) => h.amountNano).sort()).toEqual([usd('1'), usd('2')]);
    expect([await pockets(tenant), await used(tenant, 'jobs-queued')]).toEqual([[0n, usd('3')], 2n]);
    expect(await till.tx((tx) => till.holds.takeMany(tx, []))).toEqual([]);
    const other = await till.tenant('1');
    await expect(
      till.tx((tx) => till.holds.takeMany(tx, [ask('0', 0n), { ...ask('0', 0n), ...other }])),
    ).rejects.toBeInstanceOf(RangeError);
    await till.audit();
  });
});

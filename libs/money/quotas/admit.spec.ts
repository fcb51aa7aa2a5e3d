import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId, SeededRandom } from '#kernel';
import { outbox } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { quotas, type NewQuota, type QuotaRow } from './index.js';
import { windowAfter } from './room.js';

describe.each(specStores)('limits on work that comes in pieces, $name', ({ name, open }) => {
  let opened: SpecStore;
  let till: Till;
  const random = new SeededRandom(`admit ${name}`);
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, random);
  });
  afterAll(() => opened.close());

  const set = ({ organizationId }: Tenant, what: Partial<NewQuota> & Pick<NewQuota, 'dimension' | 'limitN'>) =>
    till.tx((tx) =>
      till.quotas.set(tx, {
        organizationId,
        scope: 'organization',
        scopeId: organizationId,
        projectId: null,
        per: 'month',
        mode: 'hard',
        policy: 'keep',
        cohort: null,
        borrowingLimit: null,
        lendingLimit: null,
        ...what,
      }),
    );
  const admit = (
    tenant: Tenant,
    requests: bigint,
    tokens = 0n,
    keyId: string | null = null,
    who = { id: 'job', sinceMs: 0 },
  ): Promise<boolean> =>
    till.tx(async (tx) =>
      till.quotas.withRates(tx, await till.quotas.ratesOf(tx, [tenant.organizationId]), (windows) =>
        windows.admit(who, [tenant.organizationId, tenant.projectId, keyId], { requests, tokens }),
      ),
    );
  const used = async ({ quota: { id } }: { quota: QuotaRow }): Promise<bigint | undefined> =>
    (await till.tx((tx) => tx.first(quotas, { id })))?.used;

  /** As if a month had passed since the last piece. */
  const lastMonth = ({ quota: { id, windowStart: start } }: { quota: QuotaRow }) =>
    till.tx((tx) => tx.update(quotas, { id }, { windowStart: windowAfter('month', start, -1) }));

  it('let in what finds room, count it whole, and nothing of what waits', async () => {
    const tenant = await till.tenant('0');
    expect(await admit(tenant, 10n ** 12n)).toBe(true);
    const requests = await set(tenant, { dimension: 'requests', limitN: 25n });
    const tokens = await set(tenant, { dimension: 'tokens', limitN: 1_000n });
    expect([await admit(tenant, 10n, 400n), await admit(tenant, 10n, 700n), await admit(tenant, 1n, 1n)]).toEqual([
      true,
      true,
      false,
    ]);
    expect([await used(requests), await used(tokens)]).toEqual([20n, 1_100n]);
    expect(await admit(tenant, 5n)).toBe(true);
    await lastMonth(requests);
    await lastMonth(tokens);
    // What was too much is owed by the window after it.
    expect(await admit(tenant, 25n, 900n)).toBe(true);
    expect([await used(requests), await used(tokens)]).toEqual([25n, 1_000n]);
  });

  it('let a piece go that is larger than a limit, have the next windows pay for it, and none through a limit of nothing', async () => {
    const tenant = await till.tenant('0');
    const wide = await set(tenant, { dimension: 'requests', limitN: 30n });
    const of = { scope: 'project', scopeId: tenant.projectId, projectId: tenant.projectId } as const;
    const narrow = await set(tenant, { dimension: 'requests', limitN: 20n, ...of });
    const elsewhere = { ...tenant, projectId: newId('project') };
    expect(await admit(tenant, 65n)).toBe(true);
    // Whole on each of them.
    expect([await used(wide), await used(narrow)]).toEqual([65n, 65n]);
    expect([await admit(tenant, 1n), await admit(elsewhere, 1n)]).toEqual([false, false]);
    await lastMonth(wide);
    await lastMonth(narrow);
    expect([await admit(tenant, 1n), await admit(elsewhere, 1n)]).toEqual([false, false]);
    const closed = await till.tenant('0');
    await set(closed, { dimension: 'requests', limitN: 0n });
    expect([await admit(closed, 1n), await admit(closed, 0n)]).toEqual([false, true]);
  });

  it('keep the room of who waits longer from who waits for less long', async () => {
    const tenant = await till.tenant('0');
    const limit = await set(tenant, { dimension: 'requests', limitN: 10n });
    const [old, young] = [
      { id: 'old', sinceMs: 1 },
      { id: 'young', sinceMs: 2 },
    ];
    expect(await admit(tenant, 10n, 0n, null, young)).toBe(true);
    expect(await admit(tenant, 8n, 0n, null, old)).toBe(false);
    await lastMonth(limit);
    expect([await admit(tenant, 3n, 0n, null, young), await admit(tenant, 2n, 0n, null, young)]).toEqual([false, true]);
    expect(await admit(tenant, 8n, 0n, null, old)).toBe(true);
    const row = await till.tx((tx) => tx.first(quotas, { id: limit.quota.id }));
    expect([row?.used, row?.claims]).toEqual([10n, []]);
  });

  it('look at the limits of the organization, the project and the key, at no others', async () => {
    const tenant = await till.tenant('0');
    const key = await set(tenant, { dimension: 'requests', limitN: 3n, scope: 'key', scopeId: 'key_a' });
    expect(await admit(tenant, 10n, 0n, 'key_b')).toBe(true);
    expect(await admit(tenant, 3n, 0n, 'key_a')).toBe(true);
    expect(await admit(tenant, 1n, 0n, 'key_a')).toBe(false);
    expect(await used(key)).toBe(3n);
    const rates = await till.tx((tx) => till.quotas.ratesOf(tx, [tenant.organizationId]));
    expect(rates.map((q) => q.id)).toEqual([key.quota.id]);
    await set(tenant, { dimension: 'leases', limitN: 3n, per: 'ever' });
    expect(await till.tx((tx) => till.quotas.ratesOf(tx, [tenant.organizationId]))).toHaveLength(1);
  });

  it('tell of soft limits and hold nothing back', async () => {
    const tenant = await till.tenant('0');
    await set(tenant, { dimension: 'requests', limitN: 10n, mode: 'soft' });
    expect([await admit(tenant, 5n), await admit(tenant, 50n)]).toEqual([true, true]);
    const told = await till.tx((tx) => tx.find(outbox, { organizationId: tenant.organizationId }));
    expect(told.map((e) => (e.payload as { percent: number }).percent).sort()).toEqual([100, 50]);
  });
});

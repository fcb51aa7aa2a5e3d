import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId, SeededRandom } from '#kernel';
import { outbox } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { quotas, type NewQuota, type QuotaRow } from './index.js';

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
  const admit = (tenant: Tenant, requests: bigint, tokens = 0n, keyId: string | null = null): Promise<boolean> =>
    till.tx(async (tx) =>
      till.quotas.withRates(tx, await till.quotas.ratesOf(tx, [tenant.organizationId]), (windows) =>
        windows.admit([tenant.organizationId, tenant.projectId, keyId], { requests, tokens }),
      ),
    );
  const used = async ({ quota: { id } }: { quota: QuotaRow }): Promise<bigint | undefined> =>
    (await till.tx((tx) => tx.first(quotas, { id })))?.used;

  it('let in what there is room for, and count nothing of what waits', async () => {
    const tenant = await till.tenant('0');
    expect(await admit(tenant, 10n ** 12n)).toBe(true);
    const requests = await set(tenant, { dimension: 'requests', limitN: 25n });
    const tokens = await set(tenant, { dimension: 'tokens', limitN: 1_000n });
    expect([await admit(tenant, 10n, 400n), await admit(tenant, 10n, 700n), await admit(tenant, 10n, 600n)]).toEqual([
      true,
      false,
      true,
    ]);
    expect(await admit(tenant, 6n)).toBe(false);
    expect([await used(requests), await used(tokens)]).toEqual([20n, 1_000n]);
    expect(await admit(tenant, 5n)).toBe(true);
    await till.tx((tx) => tx.update(quotas, { id: requests.quota.id }, { windowStart: 0 }));
    expect(await admit(tenant, 25n)).toBe(true);
  });

  it('let a piece that is too large through where nothing else went, and none through a limit of nothing', async () => {
    const tenant = await till.tenant('0');
    const wide = await set(tenant, { dimension: 'requests', limitN: 30n });
    const narrow = await set(tenant, {
      dimension: 'requests',
      limitN: 20n,
      scope: 'project',
      scopeId: tenant.projectId,
      projectId: tenant.projectId,
    });
    const elsewhere = { ...tenant, projectId: newId('project') };
    expect(await admit(tenant, 25n)).toBe(true);
    // Whole on each of them, though the narrow one has only 20.
    expect([await used(wide), await used(narrow)]).toEqual([25n, 25n]);
    expect([await admit(tenant, 1n), await admit(elsewhere, 6n), await admit(elsewhere, 5n)]).toEqual([
      false,
      false,
      true,
    ]);
    // Nothing else went in the narrow window, but in the wide one did.
    await till.tx((tx) => tx.update(quotas, { id: narrow.quota.id }, { used: 0n }));
    expect(await admit(tenant, 25n)).toBe(false);
    await till.tx((tx) => tx.update(quotas, { id: wide.quota.id }, { windowStart: 0 }));
    expect(await admit(tenant, 50n)).toBe(true);
    expect([await used(wide), await used(narrow)]).toEqual([50n, 50n]);
    const closed = await till.tenant('0');
    await set(closed, { dimension: 'requests', limitN: 0n });
    expect([await admit(closed, 1n), await admit(closed, 0n)]).toEqual([false, true]);
  });

  it('look at the limits of the organization, the project and the key, at no others', async () => {
    const tenant = await till.tenant('0');
    const key = await set(tenant, { dimension: 'requests', limitN: 3n, scope: 'key', scopeId: 'key_a' });
    expect(await admit(tenant, 10n, 0n, 'key_b')).toBe(true);
    expect(await admit(tenant, 2n, 0n, 'key_a')).toBe(true);
    expect(await admit(tenant, 2n, 0n, 'key_a')).toBe(false);
    expect(await used(key)).toBe(2n);
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

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, HOUR, newId, SeededRandom } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { cohorts, quotas, quotaUses, type QuotaRow } from './index.js';
import { quotaGiveBack, quotaRelease, quotaSet, quotaTake, type QuotaAmounts } from './quotas.procedures.js';
import { windowStart } from './room.js';

/** The functions behind limits, asked one by one: what is at a boundary, and what belongs to somebody else. */
describe.each(specStores)('counting for limits, $name', ({ name, open }) => {
  let opened: SpecStore;
  let till: Till;
  let now: number;
  const random = new SeededRandom(`counting ${name}`);
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, random);
    now = await till.tx((tx) => tx.now());
  });
  afterAll(() => opened.close());

  const set = async (
    tenant: Tenant,
    over: Partial<QuotaRow> & Pick<QuotaRow, 'dimension' | 'limitN'>,
  ): Promise<string> => {
    const { organizationId } = tenant;
    const { id } = await till.tx((tx) =>
      tx.call(quotaSet, {
        id: newId('quota', now, random),
        organizationId,
        projectId: null,
        keyId: null,
        scope: 'organization',
        scopeId: organizationId,
        per: 'ever',
        mode: 'hard',
        policy: 'keep',
        cohortId: null,
        borrowingLimit: null,
        lendingLimit: null,
        at: now,
        ...over,
      }),
    );
    return id;
  };
  const get = async (id: string): Promise<QuotaRow> => {
    const row = await till.tx((tx) => tx.first(quotas, { id }));
    if (!row) throw new Error(`no quota ${id}`);
    return row;
  };
  const take = (
    tenant: Tenant,
    holder: string | null,
    amounts: QuotaAmounts,
    at: number | null = null,
    keyId: string | null = null,
  ) => till.tx((tx) => tx.call(quotaTake, { holder, ...tenant, keyId, at, amounts }));
  const uses = (holder: string) => till.tx((tx) => tx.find(quotaUses, { holder }, { orderBy: [['dimension', 'asc']] }));

  it('lets in exactly what there is room for; nothing, and less than nothing, always', async () => {
    const tenant = await till.tenant('0');
    const id = await set(tenant, { dimension: 'gpus', limitN: 4n });
    expect(await take(tenant, 'a', { gpus: 5n })).toMatchObject({
      taken: false,
      refusal: { asked: '5', room: '4', used: '0' },
    });
    expect(await take(tenant, 'a', { gpus: 4n })).toEqual({ taken: true, refusal: null, alerts: [] });
    await till.tx((tx) => tx.update(quotas, { id }, { limitN: 1n }));
    expect(await take(tenant, 'b', { gpus: 1n })).toMatchObject({
      taken: false,
      refusal: { room: '0', used: '4', limit: '1' },
    });
    expect((await take(tenant, 'c', { gpus: 0n })).taken).toBe(true);
    expect((await get(id)).used).toBe(4n);
  });

  it('keeps of a refused holder what it counted for before', async () => {
    const tenant = await till.tenant('0');
    const [leases, gpus] = [
      await set(tenant, { dimension: 'leases', limitN: 5n }),
      await set(tenant, { dimension: 'gpus', limitN: 1n }),
    ];
    const holder = newId('lease', now, random);
    await take(tenant, holder, { leases: 1n });
    expect((await take(tenant, holder, { leases: 1n, gpus: 2n })).taken).toBe(false);
    expect((await uses(holder)).map((u) => [u.dimension, u.amount])).toEqual([['leases', 1n]]);
    expect([(await get(leases)).used, (await get(gpus)).used]).toEqual([1n, 0n]);
    await take(tenant, holder, { leases: 1n, gpus: 1n });
    expect((await uses(holder)).map((u) => u.dimension)).toEqual(['gpus', 'leases']);
    expect([(await get(leases)).used, (await get(gpus)).used]).toEqual([1n, 1n]);
  });

  it('counts by the time that is given, but never before the window that has begun', async () => {
    const tenant = await till.tenant('0');
    const id = await set(tenant, { dimension: 'spend', limitN: 10n, per: 'day' });
    const start = windowStart('day', now);
    const early = newId('hold', now, random);
    await take(tenant, early, { spend: 4n }, start - HOUR);
    expect([(await get(id)).used, (await uses(early))[0]?.takenAt]).toEqual([4n, start]);
    await take(tenant, newId('hold', now, random), { spend: 5n }, start + DAY);
    expect(await get(id)).toMatchObject({ used: 5n, windowStart: start + DAY });
    expect((await take(tenant, null, { spend: 6n }, start + DAY)).taken).toBe(false);
    expect((await take(tenant, null, { spend: 6n }, start + 2 * DAY)).taken).toBe(true);
  });

  it('tells once of what is reached: of budgets and soft limits only', async () => {
    const tenant = await till.tenant('0');
    const id = await set(tenant, { dimension: 'gpus', limitN: 10n });
    const soft = await set(tenant, { dimension: 'leases', limitN: 10n, mode: 'soft' });
    expect((await take(tenant, 'hard', { gpus: 9n })).alerts).toEqual([]);
    expect((await get(id)).alerted).toBe(0);
    expect((await take(tenant, 's1', { leases: 4n })).alerts).toEqual([]);
    const { alerts } = await take(tenant, 's2', { leases: 1n });
    expect(alerts).toMatchObject([
      { quotaId: soft, percent: 50, used: '5', limit: '10', dimension: 'leases', per: 'ever' },
    ]);
    expect((await take(tenant, 's3', { leases: 1n })).alerts).toEqual([]);
    expect((await take(tenant, 's4', { leases: 20n })).alerts).toMatchObject([{ percent: 100, used: '26' }]);
    await till.tx((tx) => tx.call(quotaRelease, { holder: 's4', dimensions: ['leases'] }));
    // Still above the half: told of already.
    expect(await get(soft)).toMatchObject({ used: 6n, alerted: 100 });
    await till.tx((tx) => tx.call(quotaRelease, { holder: 's2', dimensions: ['leases'] }));
    expect(await get(soft)).toMatchObject({ used: 5n, alerted: 100 });
    await till.tx((tx) => tx.call(quotaRelease, { holder: 's3', dimensions: ['leases'] }));
    expect(await get(soft)).toMatchObject({ used: 4n, alerted: 0 });
  });

  it('releases what a holder counts for in these dimensions, for its own scopes, and never what adds up in a window', async () => {
    const tenant = await till.tenant('0');
    const { projectId } = tenant;
    const wide = await set(tenant, { dimension: 'leases', limitN: 9n });
    const narrow = await set(tenant, {
      dimension: 'leases',
      limitN: 9n,
      scope: 'project',
      scopeId: projectId,
      projectId,
    });
    const ofKey = await set(tenant, {
      dimension: 'leases',
      limitN: 9n,
      scope: 'key',
      scopeId: 'key_x',
      keyId: 'key_x',
    });
    const spend = await set(tenant, { dimension: 'spend', limitN: 9n, per: 'month' });
    const holder = newId('lease', now, random);
    await take(tenant, holder, { leases: 2n, spend: 3n }, null, 'key_x');
    await take({ ...tenant, projectId: newId('project', now, random) }, newId('lease', now, random), { leases: 1n });
    const counted = () => Promise.all([wide, narrow, ofKey, spend].map(async (id) => (await get(id)).used));
    expect(await counted()).toEqual([3n, 2n, 2n, 3n]);
    const release = (...dimensions: string[]) => till.tx((tx) => tx.call(quotaRelease, { holder, dimensions }));
    expect(await release('gpus')).toEqual({ released: 0 });
    expect(await release('leases', 'gpus')).toEqual({ released: 1 });
    expect(await counted()).toEqual([1n, 0n, 0n, 3n]);
    expect(await release('spend')).toEqual({ released: 1 });
    expect(await release('spend', 'leases')).toEqual({ released: 0 });
    expect(await counted()).toEqual([1n, 0n, 0n, 3n]);
  });

  it('gives spend back to the window that it was taken from, no more than was taken', async () => {
    const tenant = await till.tenant('0');
    const [month, day] = [
      await set(tenant, { dimension: 'spend', limitN: 100n, per: 'month' }),
      await set(tenant, { dimension: 'spend', limitN: 100n, per: 'day' }),
    ];
    const [holder, other] = [newId('hold', now, random), newId('hold', now, random)];
    await take(tenant, holder, { spend: 10n });
    await take(tenant, other, { spend: 5n });
    const back = (amountNano: bigint, who = holder) =>
      till.tx((tx) => tx.call(quotaGiveBack, { holder: who, amountNano, at: now }));
    expect(await back(4n, 'hold_nobody')).toEqual({ givenNano: 0n });
    expect(await back(4n)).toEqual({ givenNano: 4n });
    expect([(await get(month)).used, (await uses(holder))[0]?.amount]).toEqual([11n, 6n]);
    await till.tx((tx) => tx.update(quotas, { id: day }, { windowStart: windowStart('day', now) + DAY, used: 50n }));
    expect(await back(99n)).toEqual({ givenNano: 6n });
    expect([(await get(month)).used, (await get(day)).used]).toEqual([5n, 50n]);
    expect(await back(1n)).toEqual({ givenNano: 0n });
  });

  it('starts from what is held in its scope and window, and keeps its counter when it is set again', async () => {
    const tenant = await till.tenant('0');
    const { organizationId, projectId } = tenant;
    const second = { organizationId, projectId: newId('project', now, random) };
    const start = windowStart('month', now);
    await take(tenant, newId('hold', now, random), { spend: 1n, leases: 1n }, null, 'key_y');
    await take(second, newId('hold', now, random), { spend: 2n });
    await take(tenant, newId('hold', now, random), { spend: 4n }, start - 1);
    await take(tenant, newId('hold', now, random), { spend: 8n }, start);
    const month = await set(tenant, { dimension: 'spend', limitN: 9n, per: 'month' });
    const project = await set(tenant, {
      dimension: 'spend',
      limitN: 9n,
      per: 'month',
      scope: 'project',
      scopeId: projectId,
      projectId,
    });
    const key = await set(tenant, {
      dimension: 'spend',
      limitN: 9n,
      per: 'month',
      scope: 'key',
      scopeId: 'key_y',
      keyId: 'key_y',
    });
    expect([(await get(month)).used, (await get(project)).used, (await get(key)).used]).toEqual([11n, 9n, 1n]);
    expect(await get(month)).toMatchObject({
      windowStart: start,
      alerted: 0,
      wantedN: 0n,
      wantedUntil: null,
      createdAt: now,
    });
    await till.tx((tx) => tx.update(quotas, { id: month }, { alerted: 80 }));
    expect(await set(tenant, { dimension: 'spend', limitN: 70n, per: 'month', mode: 'soft' })).toBe(month);
    expect(await get(month)).toMatchObject({ limitN: 70n, mode: 'soft', used: 11n, alerted: 0 });
  });

  it('remembers what an owner was refused of its own part, and forgets it when it has it', async () => {
    const [owner, borrower] = [await till.tenant('0'), await till.tenant('0')];
    const cohortId = newId('cohort', now, random);
    const share = { dimension: 'gpus', limitN: 4n, cohortId };
    await till.tx((tx) => tx.insert(cohorts, { id: cohortId, name: cohortId, createdAt: now }));
    const [own, theirs] = [await set(owner, share), await set(borrower, share)];
    const lease = newId('lease', now, random);
    await take(borrower, lease, { gpus: 8n });
    // What it would have to borrow it has no claim on.
    await take(owner, 'o1', { gpus: 5n });
    expect((await get(own)).wantedUntil).toBeNull();
    const refused = await take(owner, 'o1', { gpus: 4n });
    expect(refused.refusal).toMatchObject({ cohortId, room: '0' });
    const { wantedN, wantedUntil } = await get(own);
    expect([wantedN, (wantedUntil ?? 0) - now >= 120_000]).toEqual([4n, true]);
    await till.tx((tx) => tx.call(quotaRelease, { holder: lease, dimensions: ['gpus'] }));
    expect((await take(borrower, newId('lease', now, random), { gpus: 5n })).taken).toBe(false);
    expect((await take(owner, 'o1', { gpus: 4n })).taken).toBe(true);
    expect(await get(own)).toMatchObject({ wantedN: 0n, wantedUntil: null, used: 4n });
    expect((await get(theirs)).used).toBe(0n);
  });
});

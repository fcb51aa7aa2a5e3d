import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, HOUR, newId, SeededRandom } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { cohorts, quotas, quotaUses, type QuotaRow } from './index.js';
import {
  quotaGiveBack,
  quotaRelease,
  quotaSet,
  quotaSpend,
  quotaTake,
  type QuotaAmounts,
} from './quotas.procedures.js';
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
    const budget = await set(tenant, { dimension: 'spend', limitN: 10n, per: 'month' });
    expect((await take(tenant, newId('hold', now, random), { spend: 8n })).alerts).toMatchObject([
      { quotaId: budget, percent: 80, used: '8' },
    ]);
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
    expect(await get(month)).toMatchObject({ limitN: 70n, mode: 'soft', used: 11n, alerted: 0, owed: 0n, claims: [] });
    expect(await get(project)).toMatchObject({ limitN: 9n, mode: 'hard', used: 9n });
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
    expect(refused).toEqual({
      taken: false,
      alerts: [],
      refusal: {
        quotaId: own,
        scope: 'organization',
        scopeId: owner.organizationId,
        dimension: 'gpus',
        per: 'ever',
        cohortId,
        limit: '4',
        used: '0',
        asked: '4',
        room: '0',
      },
    });
    expect(await get(theirs)).toMatchObject({ wantedN: 0n, wantedUntil: null });
    const { wantedN, wantedUntil } = await get(own);
    expect([wantedN, (wantedUntil ?? 0) - now >= 120_000]).toEqual([4n, true]);
    await till.tx((tx) => tx.call(quotaRelease, { holder: lease, dimensions: ['gpus'] }));
    expect((await take(borrower, newId('lease', now, random), { gpus: 5n })).taken).toBe(false);
    expect((await take(owner, 'o1', { gpus: 4n })).taken).toBe(true);
    expect(await get(own)).toMatchObject({ wantedN: 0n, wantedUntil: null, used: 4n });
    expect((await get(theirs)).used).toBe(0n);
  });

  it('has no claim on more of its own part than what is left of it', async () => {
    const [owner, borrower] = [await till.tenant('0'), await till.tenant('0')];
    const cohortId = newId('cohort', now, random);
    const share = { dimension: 'gpus', limitN: 4n, cohortId };
    await till.tx((tx) => tx.insert(cohorts, { id: cohortId, name: cohortId, createdAt: now }));
    const own = await set(owner, share);
    await set(borrower, share);
    await take(owner, newId('lease', now, random), { gpus: 1n });
    await take(borrower, newId('lease', now, random), { gpus: 7n });
    expect((await take(owner, newId('lease', now, random), { gpus: 4n })).taken).toBe(false);
    expect(await get(own)).toMatchObject({ used: 1n, wantedN: 0n, wantedUntil: null });
    expect((await take(owner, newId('lease', now, random), { gpus: 3n })).taken).toBe(false);
    expect((await get(own)).wantedN).toBe(3n);
  });

  it('borrows of the same cohort in the same dimension, and of nobody else', async () => {
    const [borrower, mate, stranger] = [await till.tenant('0'), await till.tenant('0'), await till.tenant('0')];
    const [cohortId, other] = [newId('cohort', now, random), newId('cohort', now, random)];
    await till.tx((tx) =>
      tx.insert(
        cohorts,
        [cohortId, other].map((id) => ({ id, name: id, createdAt: now })),
      ),
    );
    await set(borrower, { dimension: 'gpus', limitN: 2n, cohortId });
    await set(mate, { dimension: 'gpus', limitN: 3n, cohortId });
    await set(mate, { dimension: 'gpus:H100', limitN: 90n, cohortId });
    await set(stranger, { dimension: 'gpus', limitN: 90n, cohortId: other });
    expect((await take(borrower, newId('lease', now, random), { gpus: 6n })).refusal).toMatchObject({ room: '5' });
    expect((await take(borrower, newId('lease', now, random), { gpus: 5n })).taken).toBe(true);
  });

  it('names the first of several limits that say no, by their ids', async () => {
    const tenant = await till.tenant('0');
    const { projectId } = tenant;
    const [first, second] = [newId('quota', now, random), newId('quota', now, random)].sort() as [string, string];
    await set(tenant, { id: second, dimension: 'gpus', limitN: 1n });
    await set(tenant, { id: first, dimension: 'gpus', limitN: 1n, scope: 'project', scopeId: projectId, projectId });
    expect((await take(tenant, null, { gpus: 2n })).refusal).toMatchObject({ quotaId: first, scope: 'project' });
  });

  it('counts what was spent without a hold for budgets of its project and organization, whatever they allow, once', async () => {
    const tenant = await till.tenant('0');
    const { organizationId, projectId } = tenant;
    const second = newId('project', now, random);
    const ids = [0, 1, 2, 3].map(() => newId('quota', now, random)).sort() as [string, string, string, string];
    const budget = { dimension: 'spend', per: 'month' } as const;
    const of = (id: string) => ({ scope: 'project', scopeId: id, projectId: id }) as const;
    await set(tenant, { ...budget, id: ids[2], limitN: 4n, ...of(projectId) });
    await set(tenant, { ...budget, id: ids[0], limitN: 10n });
    await set(tenant, { ...budget, id: ids[1], limitN: 100n, ...of(second) });
    const third = await set(tenant, { ...budget, limitN: 4n, ...of(newId('project', now, random)) });
    const ofKey = await set(tenant, { ...budget, limitN: 4n, scope: 'key', scopeId: 'key_z', keyId: 'key_z' });
    const apart = await set(tenant, { dimension: 'gpus', limitN: 4n });
    const stranger = await set(await till.tenant('0'), { ...budget, limitN: 4n });
    const [a, b, c] = [0, 1, 2].map(() => newId('hold', now, random)) as [string, string, string];
    const spend = (...spent: [holder: string, projectId: string, amountNano: bigint][]) =>
      till.tx((tx) =>
        tx.call(quotaSpend, {
          organizationId,
          spent: spent.map(([holder, project, amountNano]) => ({ holder, projectId: project, amountNano })),
        }),
      );
    const alert = (quotaId: string, scope: string, scopeId: string, limit: string, used: string, percent: number) => ({
      ...{ quotaId, scope, scopeId, dimension: 'spend', per: 'month', limit, used, percent },
    });
    const counted = () =>
      Promise.all([...ids.slice(0, 3), third, ofKey, apart, stranger].map(async (id) => (await get(id)).used));
    expect(await spend([a, projectId, 3n], [b, second, 2n])).toEqual({
      alerts: [
        alert(ids[0], 'organization', organizationId, '10', '5', 50),
        alert(ids[2], 'project', projectId, '4', '3', 50),
      ],
    });
    expect(await counted()).toEqual([5n, 2n, 3n, 0n, 0n, 0n, 0n]);
    expect(await uses(b)).toEqual([
      {
        holder: b,
        dimension: 'spend',
        organizationId,
        projectId: second,
        keyId: null,
        amount: 2n,
        takenAt: expect.any(Number),
      },
    ]);
    expect(await spend([a, projectId, 3n], [b, second, 2n])).toEqual({ alerts: [] });
    expect(await counted()).toEqual([5n, 2n, 3n, 0n, 0n, 0n, 0n]);
    expect(await spend([a, projectId, 3n], [c, projectId, 3n])).toEqual({
      alerts: [
        alert(ids[0], 'organization', organizationId, '10', '8', 80),
        alert(ids[2], 'project', projectId, '4', '6', 100),
      ],
    });
    // Nothing is told again in the same window.
    expect(await spend([newId('hold', now, random), projectId, 1n])).toEqual({ alerts: [] });
    expect(await counted()).toEqual([9n, 2n, 7n, 0n, 0n, 0n, 0n]);
  });

  it('counts what was spent without a hold in the window that is, and in one that has begun ahead', async () => {
    const tenant = await till.tenant('0');
    const { organizationId, projectId } = tenant;
    const start = windowStart('month', await till.tx((tx) => tx.now()));
    const month = await set(tenant, { dimension: 'spend', per: 'month', limitN: 10n });
    const spend = async (amountNano: bigint) => {
      const holder = newId('hold', now, random);
      const { alerts } = await till.tx((tx) =>
        tx.call(quotaSpend, { organizationId, spent: [{ holder, projectId, amountNano }] }),
      );
      return [alerts.map((x) => x.percent), (await uses(holder))[0]?.takenAt] as const;
    };
    await till.tx((tx) => tx.update(quotas, { id: month }, { used: 9n, alerted: 80, windowStart: start - 1 }));
    expect((await spend(5n))[0]).toEqual([50]);
    expect(await get(month)).toMatchObject({ used: 5n, alerted: 50, windowStart: start });
    const ahead = windowStart('month', start + 40 * DAY);
    await till.tx((tx) => tx.update(quotas, { id: month }, { windowStart: ahead }));
    expect(await spend(1n)).toEqual([[], ahead]);
    expect(await get(month)).toMatchObject({ used: 6n, alerted: 50, windowStart: ahead });
  });
});

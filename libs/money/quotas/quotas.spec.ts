import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ManualClock, usd } from '#kernel';
import { outbox, type Actor, type OutboxRow } from '#platform/database';
import { account, accounts } from '#money/ledger';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { quotas, quotaUses, type NewQuota, type QuotaRow } from './index.js';

describe.each(specStores)('quotas $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
  });
  afterAll(async () => opened.close());

  const order = (
    { organizationId }: Tenant,
    what: Partial<NewQuota> & Pick<NewQuota, 'dimension' | 'limitN'>,
  ): NewQuota => ({
    organizationId,
    scope: 'organization',
    scopeId: organizationId,
    projectId: null,
    per: what.dimension === 'spend' ? 'month' : 'ever',
    mode: 'hard',
    policy: 'keep',
    cohort: null,
    borrowingLimit: null,
    lendingLimit: null,
    ...what,
  });
  const set = (tenant: Tenant, what: Parameters<typeof order>[1]) =>
    till.tx((tx) => till.quotas.set(tx, order(tenant, what)));
  const take = (tenant: Tenant, holder: string | null, amounts: Record<string, bigint>): Promise<void> =>
    till.tx((tx) => till.quotas.take(tx, { ...tenant, holder }, amounts));
  const release = (holder: string, ...dimensions: string[]): Promise<void> =>
    till.tx((tx) => till.quotas.release(tx, holder, dimensions));
  const used = async ({ id }: QuotaRow): Promise<bigint | undefined> =>
    (await till.tx((tx) => tx.first(quotas, { id })))?.used;
  const told = ({ organizationId }: Tenant): Promise<OutboxRow[]> =>
    till.tx((tx) => tx.find(outbox, { organizationId }, { orderBy: [['id', 'asc']] }));

  it('let in up to the limit, then say which limit, what is in use and what was asked', async () => {
    const tenant = await till.tenant('0');
    const { quota } = await set(tenant, { dimension: 'gpus', limitN: 8n });
    await take(tenant, 'lease_a', { leases: 1n, gpus: 6n });
    await expect(take(tenant, 'lease_b', { leases: 1n, gpus: 3n })).rejects.toMatchObject({
      kind: 'rate-limited',
      code: 'quota-exceeded',
      message: expect.stringContaining('may use 8 GPUs; 6 GPUs are in use and 3 GPUs were asked for'),
      details: {
        facts: {
          quotaId: quota.id,
          scope: 'organization',
          dimension: 'gpus',
          limit: '8',
          used: '6',
          asked: '3',
          room: '2',
        },
      },
    });
    expect(await till.tx((tx) => tx.find(quotaUses, { holder: 'lease_b' }))).toEqual([]);
    await take(tenant, 'lease_c', { leases: 1n, gpus: 2n });
    expect(await used(quota)).toBe(8n);
  });

  it('count a holder once and release it once', async () => {
    const tenant = await till.tenant('0');
    const { quota } = await set(tenant, { dimension: 'leases', limitN: 5n });
    await take(tenant, 'lease_once', { leases: 1n });
    await take(tenant, 'lease_once', { leases: 1n });
    expect(await used(quota)).toBe(1n);
    await Promise.all([release('lease_once', 'leases'), release('lease_once', 'leases')]);
    await release('lease_nobody', 'leases');
    expect(await used(quota)).toBe(0n);
  });

  it('hold at every level: the narrowest says no, and the wider ones are left as they were', async () => {
    const tenant = await till.tenant('0');
    const wide = await set(tenant, { dimension: 'leases', limitN: 5n });
    const narrow = await set(tenant, {
      dimension: 'leases',
      limitN: 1n,
      scope: 'project',
      scopeId: tenant.projectId,
      projectId: tenant.projectId,
    });
    await take(tenant, `${tenant.projectId}/1`, { leases: 1n });
    await expect(take(tenant, `${tenant.projectId}/2`, { leases: 1n })).rejects.toMatchObject({
      details: { facts: { scope: 'project' } },
    });
    expect([await used(wide.quota), await used(narrow.quota)]).toEqual([1n, 1n]);
  });

  it('start from what is in use when they are set, and stay below it without harm', async () => {
    const tenant = await till.tenant('0');
    const of = (n: number): string => `${tenant.projectId}/${n}`;
    for (const n of [1, 2, 3]) await take(tenant, of(n), { leases: 1n });
    const { quota, stopNewest } = await set(tenant, { dimension: 'leases', limitN: 2n });
    expect([quota.used, stopNewest]).toEqual([3n, []]);
    await expect(take(tenant, of(4), { leases: 1n })).rejects.toMatchObject({ code: 'quota-exceeded' });
    await release(of(1), 'leases');
    await expect(take(tenant, of(4), { leases: 1n })).rejects.toMatchObject({ code: 'quota-exceeded' });
    await release(of(2), 'leases');
    await take(tenant, of(4), { leases: 1n });
    expect(await used(quota)).toBe(2n);
  });

  it('name the newest that must end where their policy is to stop them', async () => {
    const tenant = await till.tenant('0');
    const of = (n: number): string => `${tenant.projectId}/${n}`;
    for (const n of [1, 2, 3, 4]) {
      await take(tenant, of(n), { gpus: 2n });
      if (opened.clock instanceof ManualClock) opened.clock.advance(1_000);
    }
    const { stopNewest } = await set(tenant, { dimension: 'gpus', limitN: 5n, policy: 'stop-newest' });
    expect(stopNewest).toEqual([of(4), of(3)]);
  });

  it('never let in more than the limit, however many ask at once', async () => {
    const tenant = await till.tenant('0');
    const { quota } = await set(tenant, { dimension: 'gpus:H100', limitN: 10n });
    const asked = await Promise.allSettled(
      Array.from({ length: 40 }, (_, n) => take(tenant, `${tenant.projectId}/${n}`, { 'gpus:H100': 1n, gpus: 1n })),
    );
    expect(asked.filter((a) => a.status === 'fulfilled')).toHaveLength(10);
    expect(await used(quota)).toBe(10n);
  });

  it('refuse a hold beyond a budget with 402, and leave the credit as it was', async () => {
    const tenant = await till.tenant('100');
    const { quota } = await set(tenant, { dimension: 'spend', limitN: usd('10') });
    const hold = await till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd('8') }));
    await expect(till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd('3') }))).rejects.toMatchObject({
      kind: 'payment-required',
      code: 'budget-exceeded',
      message: expect.stringContaining('may use $10.00 per month; $8.00 are in use and $3.00 were asked for'),
    });
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, tenant.organizationId));
    expect([credit.availableNano, credit.heldNano]).toEqual([usd('92'), usd('8')]);
    // What was not spent goes back to the month it was taken from.
    await till.tx((tx) => till.holds.settle(tx, hold.id));
    expect(await used(quota)).toBe(0n);
    await till.audit();
  });

  it('keep what was spent in the window, and give back only the rest', async () => {
    const tenant = await till.tenant('100');
    const { quota } = await set(tenant, { dimension: 'spend', limitN: usd('10') });
    const hold = await till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd('8') }));
    await till.tx(async (tx) => {
      await till.holds.spend(tx, hold.id, usd('5'));
      await till.ledger.post(tx, {
        idempotencyKey: `spend:${hold.id}`,
        kind: 'usage',
        organizationId: tenant.organizationId,
        reference: hold.id,
        entries: [
          { accountId: account.credit(tenant.organizationId), amountNano: -usd('5'), from: 'held' },
          { accountId: account.revenue, amountNano: usd('5') },
        ],
      });
      await till.holds.settle(tx, hold.id);
    });
    expect(await used(quota)).toBe(usd('5'));
    await till.audit();
  });

  it('release a queued job with its hold', async () => {
    const tenant = await till.tenant('100');
    const { quota } = await set(tenant, { dimension: 'jobs-queued', limitN: 1n });
    const queue = () =>
      till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd('1'), quotas: { 'jobs-queued': 1n } }));
    const hold = await queue();
    await expect(queue()).rejects.toMatchObject({ kind: 'rate-limited' });
    await till.tx((tx) => till.holds.settle(tx, hold.id));
    expect(await used(quota)).toBe(0n);
    await queue();
  });

  it('tell of 50, 80 and 100 % once each, and a soft one refuses nothing', async () => {
    const tenant = await till.tenant('100');
    await set(tenant, { dimension: 'spend', limitN: usd('10'), mode: 'soft' });
    for (const dollars of ['4', '2', '1', '2', '3', '1'])
      await till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd(dollars) }));
    const payloads = (await told(tenant)).map((e) => [e.topic, (e.payload as { percent: number }).percent]);
    expect(payloads).toEqual([
      ['quota.threshold', 50],
      ['quota.threshold', 80],
      ['quota.threshold', 100],
    ]);
  });

  it('count requests and tokens by the minute without remembering who asked', async () => {
    const tenant = await till.tenant('0');
    const { quota } = await set(tenant, { dimension: 'tokens', per: 'day', limitN: 1_000n });
    await take(tenant, null, { tokens: 600n, requests: 1n });
    await expect(take(tenant, null, { tokens: 600n, requests: 1n })).rejects.toMatchObject({
      message: expect.stringContaining('1000 tokens per day'),
      details: { fix: expect.stringContaining('next day') },
    });
    expect(await used(quota)).toBe(600n);
  });

  it('counted by themselves never let one more in, however many ask at once', async () => {
    const tenant = await till.tenant('0');
    const { organizationId, projectId } = tenant;
    const { quota: tokens } = await set(tenant, { dimension: 'tokens', per: 'day', limitN: 1_000n });
    const { quota: requests } = await set(tenant, {
      dimension: 'requests',
      per: 'month',
      limitN: 70n,
      scope: 'project',
      scopeId: projectId,
      projectId,
    });
    const actor: Actor = { as: 'tenant', organizationId, projectIds: [projectId] };
    const count = (amounts: Record<string, bigint>, as = actor) => till.quotas.count(till.store, as, tenant, amounts);
    const asked = await Promise.allSettled(Array.from({ length: 100 }, () => count({ tokens: 3n, requests: 1n })));
    const refused = asked.flatMap((a) => (a.status === 'rejected' ? [a.reason as unknown] : []));
    expect(refused).toHaveLength(30);
    expect(refused[0]).toMatchObject({
      code: 'quota-exceeded',
      details: { facts: { used: '70', asked: '1', room: '0' } },
    });
    expect([await used(tokens), await used(requests)]).toEqual([210n, 70n]);
    await expect(count({ tokens: 791n })).rejects.toMatchObject({
      message: expect.stringContaining('1000 tokens per day'),
    });
    await count({ tokens: 790n });
    // Committed, so it binds: the very next one is refused.
    await set(tenant, { dimension: 'tokens', per: 'day', limitN: 0n });
    await expect(count({ tokens: 1n })).rejects.toMatchObject({ code: 'quota-exceeded' });
    await expect(count({ spend: 1n })).rejects.toThrow('spend is not a rate');
    // Row-level security binds the one statement too: nobody counts on another's limits.
    const stranger: Actor = { as: 'tenant', organizationId: 'org_stranger', projectIds: 'all' };
    if (opened.postgres) await count({ requests: 1n }, stranger);
    expect(await used(requests)).toBe(70n);
  });

  it('counted by themselves begin anew with the window, and tell of soft limits', async () => {
    const tenant = await till.tenant('0');
    const { organizationId } = tenant;
    const { quota } = await set(tenant, { dimension: 'requests', per: 'day', limitN: 10n });
    const yesterday = { used: 10n, windowStart: quota.windowStart - 86_400_000 };
    await till.tx((tx) => tx.update(quotas, { id: quota.id }, yesterday));
    const actor: Actor = { as: 'tenant', organizationId, projectIds: 'all' };
    const count = (n: bigint) => till.quotas.count(till.store, actor, tenant, { requests: n });
    await count(4n);
    expect(await till.tx((tx) => tx.first(quotas, { id: quota.id }))).toMatchObject({
      used: 4n,
      windowStart: quota.windowStart,
    });
    expect(await told(tenant)).toEqual([]);
    await set(tenant, { dimension: 'requests', per: 'day', limitN: 10n, mode: 'soft' });
    await count(4n);
    await count(40n);
    const percents = (await told(tenant)).map((e) => (e.payload as { percent: number }).percent);
    expect(percents.toSorted((x, y) => x - y)).toEqual([80, 100]);
  });

  it('let a tenant who pays afterwards go as far below zero as its limit says, also when the limit was lowered', async () => {
    const tenant = await till.tenant('1');
    const { organizationId } = tenant;
    const limit = (dollars: string) =>
      till.tx((tx) => tx.update(accounts, { id: account.credit(organizationId) }, { creditLimitNano: usd(dollars) }));
    const hold = (dollars: string) => till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd(dollars) }));
    await limit('5');
    const first = await hold('6');
    await expect(hold('0.01')).rejects.toMatchObject({ code: 'insufficient-credit' });
    await limit('2');
    await expect(hold('0.01')).rejects.toMatchObject({ code: 'insufficient-credit' });
    await till.tx((tx) => till.holds.settle(tx, first.id));
    await hold('3');
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
    expect(credit.availableNano).toBe(-usd('2'));
    await till.audit();
  });

  it('borrow what a cohort leaves unused, as far as both sides allow', async () => {
    const [a, b] = [await till.tenant('0'), await till.tenant('0')];
    const cohort = `research ${a.organizationId}`;
    const gpus = { dimension: 'gpus', limitN: 8n, cohort };
    await set(a, { ...gpus, borrowingLimit: 6n });
    await set(b, { ...gpus, lendingLimit: 5n });
    // Its own 8 and 5 of the other's 8.
    await take(a, `${a.projectId}/1`, { gpus: 13n });
    await expect(take(a, `${a.projectId}/2`, { gpus: 1n })).rejects.toMatchObject({ code: 'quota-exceeded' });
    // What was not lent is still there for its owner.
    await take(b, `${b.projectId}/1`, { gpus: 3n });
    await expect(take(b, `${b.projectId}/2`, { gpus: 1n })).rejects.toMatchObject({
      message: expect.stringContaining('what its cohort lends'),
    });
    await release(`${a.projectId}/1`, 'gpus');
    await take(b, `${b.projectId}/2`, { gpus: 13n });
  });

  it('keep for an owner that was refused its own part what comes back of it, until it has it or asks no more', async () => {
    const [owner, borrower] = [await till.tenant('0'), await till.tenant('0')];
    const gpus = { dimension: 'gpus', limitN: 8n, cohort: `research ${owner.organizationId}` };
    const { quota } = await set(owner, gpus);
    const { quota: theirs } = await set(borrower, { ...gpus, limitN: 4n, policy: 'stop-newest' });
    const lease = (n: number) => `${borrower.projectId}/${n}`;
    for (const n of [1, 2, 3]) await take(borrower, lease(n), { gpus: 4n });
    const own = `${owner.projectId}/1`;
    // As a job does that waits for room: what it was refused is remembered.
    const ask = () =>
      till.tx((tx) => till.quotas.take(tx, { ...owner, holder: own }, { gpus: 4n }).catch((error: unknown) => error));
    expect(await ask()).toMatchObject({ details: { facts: { room: '0', used: '0' } } });
    // Both that are beyond the borrower's own part; which of them is the newer two of one instant do not say.
    const lent = await till.tx((tx) => till.quotas.lent(tx, quota.id));
    expect(lent.map((use) => use.amount)).toEqual([4n, 4n]);
    await release(lease(3), 'gpus');
    // It is there, and not for whoever asks first.
    await expect(take(borrower, lease(4), { gpus: 1n })).rejects.toMatchObject({ code: 'quota-exceeded' });
    await take(owner, own, { gpus: 4n });
    // An owner that wants no more keeps nobody out.
    await release(own, 'gpus');
    await take(borrower, lease(4), { gpus: 4n });
    expect(await ask()).toMatchObject({ code: 'quota-exceeded' });
    await release(lease(4), 'gpus');
    const row = await till.tx((tx) => tx.first(quotas, { id: quota.id }));
    expect([row?.wantedN, (row?.wantedUntil ?? 0) > 0]).toEqual([4n, true]);
    await till.tx((tx) => tx.update(quotas, { id: quota.id }, { wantedUntil: opened.clock.now() - 60_000 }));
    await take(borrower, lease(5), { gpus: 4n });
    // Its own part nobody's claim touches; and what an owner would borrow itself it has no claim on.
    for (const n of [1, 2, 5]) await release(lease(n), 'gpus');
    await take(owner, own, { gpus: 8n });
    await take(borrower, lease(6), { gpus: 4n });
    await expect(take(owner, `${owner.projectId}/2`, { gpus: 1n })).rejects.toMatchObject({ code: 'quota-exceeded' });
    expect((await till.tx((tx) => tx.first(quotas, { id: quota.id })))?.wantedN).toBe(0n);
    expect(await till.tx((tx) => till.quotas.lent(tx, quota.id))).toEqual([]);
    expect(await used(theirs)).toBe(4n);
  });

  it.each([
    ['dimension', { dimension: 'llamas', per: 'ever' }],
    ['per', { dimension: 'spend', per: 'ever' }],
    ['per', { dimension: 'gpus', per: 'day' }],
    ['limit', { dimension: 'gpus', limitN: -1n }],
    ['policy', { dimension: 'spend', per: 'day', policy: 'stop-newest' }],
    ['cohort', { dimension: 'leases', cohort: 'x' }],
  ] as const)('refuse to be set where %s makes no sense', async (field, what) => {
    const tenant = await till.tenant('0');
    await expect(set(tenant, { limitN: 1n, ...what })).rejects.toMatchObject({ kind: 'invalid', details: { field } });
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HOUR, ManualClock, usd } from '#kernel';
import { account, balancesBefore } from '#money/ledger';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { grants, type HoldRow } from './index.js';

describe.each(specStores)('credit $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  let n = 0;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
  });
  afterAll(async () => opened.close());

  const grant = ({ organizationId }: Tenant, dollars: string, inMs: number | null, priority = 0) =>
    till.tx(async (tx) => {
      const expiresAt = inMs === null ? null : (await tx.now()) + inMs;
      const of = { organizationId, amountNano: usd(dollars), reference: `r${n++}`, priority, expiresAt };
      return till.credit.grant(tx, of);
    });
  const hold = (tenant: Tenant, dollars: string) =>
    till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd(dollars) }));
  const settle = ({ id }: HoldRow) => till.tx((tx) => till.holds.settle(tx, id));
  const spend = async (tenant: Tenant, from: HoldRow, dollars: string) =>
    till.tx(async (tx) => {
      expect(await till.holds.spend(tx, from.id, usd(dollars))).toBe(true);
      await till.ledger.post(tx, {
        idempotencyKey: `spend:${n++}:${from.id}`,
        kind: 'usage',
        organizationId: tenant.organizationId,
        reference: from.id,
        entries: [
          { accountId: account.credit(tenant.organizationId), amountNano: -usd(dollars), from: 'held' },
          { accountId: account.revenue, amountNano: usd(dollars) },
        ],
      });
    });
  /** Moves a grant's expiry to now, as if the time had passed. */
  const letExpire = ({ id }: { id: string }) =>
    till.tx(async (tx) => {
      if (opened.clock instanceof ManualClock) opened.clock.advance(1_000);
      await tx.update(grants, { id }, { expiresAt: (await tx.now()) - 1 });
    });
  const list = async ({ organizationId }: Tenant) => {
    const rows = await till.tx((tx) => till.credit.list(tx, organizationId));
    const order = (r: (typeof rows)[number]): number => Number(r.reference.slice(1));
    return rows.toSorted((a, b) => order(a) - order(b)).map((g) => [g.spentNano, g.state]);
  };
  const available = async ({ organizationId }: Tenant) =>
    (await till.tx((tx) => till.ledger.creditOf(tx, organizationId))).availableNano;
  const own = () => till.tx((tx) => balancesBefore(tx, null, [account.promotions, account.grants]));

  it('spends grants by priority, then the one that expires soonest, before what was paid in', async () => {
    const tenant = await till.tenant('10');
    await grant(tenant, '2', null);
    await grant(tenant, '2', 2 * HOUR);
    await grant(tenant, '2', HOUR);
    await grant(tenant, '1', null, -1);
    const from = await hold(tenant, '10');
    await spend(tenant, from, '4');
    expect(await list(tenant)).toEqual([
      [0n, 'open'],
      [usd('1'), 'open'],
      [usd('2'), 'spent'],
      [usd('1'), 'spent'],
    ]);
    await spend(tenant, from, '6');
    expect((await list(tenant)).map(([spent]) => spent)).toEqual([usd('2'), usd('2'), usd('2'), usd('1')]);
    await till.audit();
  });

  it('takes back what an expired grant has left, and never what a hold has set aside', async () => {
    const tenant = await till.tenant('0');
    const given = await grant(tenant, '5', HOUR);
    const from = await hold(tenant, '3');
    await spend(tenant, from, '1');
    await letExpire(given);
    const before = await own();
    await till.credit.expire();
    expect(await available(tenant)).toBe(0n);
    expect(await list(tenant)).toEqual([[usd('1'), 'open']]);
    // The hold may still be spent; what it leaves goes back too.
    await spend(tenant, from, '0.5');
    await settle(from);
    await till.credit.expire();
    await till.credit.expire();
    expect(await available(tenant)).toBe(0n);
    expect(await list(tenant)).toEqual([[usd('1.5'), 'expired']]);
    const after = await own();
    const moved = (id: string): bigint => (after.get(id) ?? 0n) - (before.get(id) ?? 0n);
    // All five dollars have left the promotions: three and a half came back, one and a half was given for good.
    expect([moved(account.promotions), moved(account.grants)]).toEqual([usd('5'), -usd('1.5')]);
    await till.audit();
  });

  it('leaves alone what was paid in', async () => {
    const tenant = await till.tenant('7');
    const given = await grant(tenant, '5', HOUR);
    await letExpire(given);
    await till.credit.expire();
    expect(await available(tenant)).toBe(usd('7'));
  });

  it('gives a grant once, and does not let it pay what was charged before it', async () => {
    const tenant = await till.tenant('10');
    const from = await hold(tenant, '10');
    await spend(tenant, from, '4');
    const { organizationId } = tenant;
    const of = { organizationId, amountNano: usd('1'), reference: 'welcome', priority: 0, expiresAt: null };
    const first = await till.tx((tx) => till.credit.grant(tx, of));
    expect(await till.tx((tx) => till.credit.grant(tx, of))).toEqual(first);
    for (const other of [{ amountNano: usd('2') }, { priority: 1 }, { expiresAt: 4e12 }])
      await expect(till.tx((tx) => till.credit.grant(tx, { ...of, ...other }))).rejects.toMatchObject({
        kind: 'conflict',
        code: 'reference-used',
      });
    expect(await available(tenant)).toBe(usd('1'));
    expect(await list(tenant)).toEqual([[0n, 'open']]);
  });

  it('counts charges once, however many look at the same time', async () => {
    const tenant = await till.tenant('0');
    await grant(tenant, '5', HOUR);
    const from = await hold(tenant, '5');
    await spend(tenant, from, '2');
    const looks = await Promise.all(Array.from({ length: 8 }, () => list(tenant)));
    for (const look of looks) expect(look).toEqual([[usd('2'), 'open']]);
    await till.audit();
  });

  it('refuses what makes no sense', async () => {
    const tenant = await till.tenant('0');
    await expect(grant(tenant, '0', null)).rejects.toMatchObject({ code: 'amount-not-positive' });
    await expect(grant(tenant, '1', -1)).rejects.toMatchObject({ code: 'expiry-in-the-past' });
    const limit = till.tx((tx) => till.credit.setLimit(tx, tenant.organizationId, -1n));
    await expect(limit).rejects.toMatchObject({ code: 'limit-negative' });
  });
});

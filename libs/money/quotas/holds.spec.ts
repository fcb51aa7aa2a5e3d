import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { usd } from '#kernel';
import { PgStore } from '#platform/database';
import { account, accounts } from '#money/ledger';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { holdCommands, type HoldsModel, type HoldsReal } from './holds.fixture.js';
import { holds, type HoldRow } from './index.js';

describe.each(specStores)('holds $name', ({ name, open }) => {
  const onPostgres = name === 'PostgreSQL' ? it : it.skip;
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
  });
  afterAll(async () => opened.close());

  const take = (tenant: Tenant, dollars: string): Promise<HoldRow> =>
    till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd(dollars) }));
  const carve = async (parent: HoldRow, dollars: string): Promise<HoldRow> => {
    const made = await till.tx((tx) => till.holds.carve(tx, parent.id, 'lease_spec', usd(dollars)));
    if (!made) throw new Error('could not carve');
    return made;
  };
  const settle = (hold: HoldRow): Promise<bigint | null> => till.tx((tx) => till.holds.settle(tx, hold.id));
  const rest = async (hold: HoldRow): Promise<bigint | undefined> =>
    (await till.tx((tx) => till.holds.get(tx, hold.id)))?.remainingNano;
  const pockets = async ({ organizationId }: Tenant): Promise<bigint[]> => {
    const row = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
    return [row.availableNano, row.heldNano];
  };

  it('agree with plain arithmetic after any sequence of steps', async () => {
    await fc.assert(
      fc.asyncProperty(holdCommands(), async (commands) => {
        const tenant = await till.tenant('0');
        const { organizationId } = tenant;
        await till.tx((tx) => till.ledger.credit(tx, organizationId, 100n, 'grant', `grant:${organizationId}`));
        await fc.asyncModelRun(
          (): { model: HoldsModel; real: HoldsReal } => ({
            model: { available: 100n, balance: 100n, holds: [] },
            real: { till, tenant, rows: [], posted: 0 },
          }),
          commands,
        );
      }),
      { numRuns: opened.postgres ? 20 : 60 },
    );
    await till.audit();
  });

  it('are never given beyond the credit, however many ask at once', async () => {
    const tenant = await till.tenant('0.31');
    const asked = await Promise.allSettled(Array.from({ length: 100 }, () => take(tenant, '0.01')));
    const refused = asked.filter((a) => a.status === 'rejected').map((a) => a.reason as unknown);
    expect(refused).toHaveLength(69);
    for (const reason of refused) expect(reason).toMatchObject({ code: 'insufficient-credit' });
    expect(await pockets(tenant)).toEqual([0n, usd('0.31')]);
    await till.audit();
  });

  it('are carved by many leases at once never beyond the job’s', async () => {
    const parent = await take(await till.tenant('1'), '0.5');
    const carves = await Promise.all(
      Array.from({ length: 60 }, () => till.tx((tx) => till.holds.carve(tx, parent.id, 'lease_spec', usd('0.02')))),
    );
    expect(carves.filter((c) => c !== null)).toHaveLength(25);
    expect(await rest(parent)).toBe(0n);
    await till.audit();
  });

  it('say what is missing, also to a tenant who never had credit', async () => {
    await expect(take(await till.tenant('0'), '2')).rejects.toMatchObject({
      kind: 'payment-required',
      message: expect.stringContaining('$2.00 is missing'),
      details: { facts: { neededNano: '2000000000', availableNano: '0', missingNano: '2000000000' } },
    });
  });

  it('give back once, however often they are ended', async () => {
    const tenant = await till.tenant('3');
    const hold = await take(tenant, '2');
    await Promise.all([settle(hold), settle(hold), settle(hold)]);
    expect(await pockets(tenant)).toEqual([usd('3'), 0n]);
    const row = await till.tx((tx) => till.holds.get(tx, hold.id));
    expect(row).toMatchObject({ state: 'settled', remainingNano: 0n, amountNano: usd('2') });
    expect(row?.endedAt).not.toBeNull();
  });

  it('give what a carve has left to the credit when the job’s hold ended before it', async () => {
    const tenant = await till.tenant('3');
    const parent = await take(tenant, '2');
    const part = await carve(parent, '0.5');
    await settle(parent);
    expect(await pockets(tenant)).toEqual([usd('2.5'), usd('0.5')]);
    // The lease runs on: its own part still pays for it, and only that.
    expect(await till.tx((tx) => till.holds.extend(tx, part, usd('0.1')))).toBe(0n);
    await settle(part);
    expect(await pockets(tenant)).toEqual([usd('3'), 0n]);
    await till.audit();
  });

  it('give a carve nothing once it has ended', async () => {
    const tenant = await till.tenant('3');
    const parent = await take(tenant, '2');
    const part = await carve(parent, '0.5');
    await settle(part);
    expect(await till.tx((tx) => till.holds.extend(tx, part, usd('0.1')))).toBe(0n);
    expect([await rest(parent), await rest(part)]).toEqual([usd('2'), 0n]);
    await till.audit();
  });

  it('refuse amounts below zero', async () => {
    const tenant = await till.tenant('3');
    const parent = await take(tenant, '2');
    const part = await carve(parent, '0.5');
    const tries = [
      () => take(tenant, '-1'),
      () => carve(parent, '-1'),
      () => till.tx((tx) => till.holds.spend(tx, part.id, -1n)),
    ];
    for (const attempt of tries) await expect(attempt()).rejects.toBeInstanceOf(RangeError);
    expect(await till.tx((tx) => till.holds.extend(tx, part, -1n))).toBe(0n);
    expect(await pockets(tenant)).toEqual([usd('1'), usd('2')]);
  });

  it('end only as something that ends them', async () => {
    const tenant = await till.tenant('1');
    const hold = await take(tenant, '1');
    await till.tx((tx) => till.holds.settle(tx, hold.id, 'expired'));
    expect((await till.tx((tx) => till.holds.get(tx, hold.id)))?.state).toBe('expired');
    await till.tx((tx) => till.holds.settle(tx, 'hold_nobody'));
  });

  it('come through extending and ending at the same moment with every cent', async () => {
    const tenant = await till.tenant('10');
    for (let round = 0; round < (opened.postgres ? 10 : 2); round++) {
      const parent = await take(tenant, '1');
      const parts = await Promise.all(Array.from({ length: 4 }, () => carve(parent, '0.1')));
      await Promise.all([
        ...parts.map((p) => till.tx((tx) => till.holds.extend(tx, p, usd('0.2')))),
        ...parts.map((p) => settle(p)),
        settle(parent),
      ]);
    }
    expect(await pockets(tenant)).toEqual([usd('10'), 0n]);
    const { organizationId } = tenant;
    const open = await till.tx((tx) => tx.find(holds, { organizationId, state: 'held' }));
    expect(open).toEqual([]);
    await till.audit();
  });

  onPostgres('lock a carve before its parent, so that extending and ending it cannot deadlock', async () => {
    const { store } = till;
    if (!(store instanceof PgStore)) throw new Error('not on PostgreSQL');
    const tenant = await till.tenant('10');
    const parent = await take(tenant, '5');
    const parts = await Promise.all(Array.from({ length: 10 }, () => carve(parent, '0.1')));
    const before = store.counts.transactions;
    await Promise.all([
      ...parts.map((p) => till.tx((tx) => till.holds.extend(tx, p, usd('0.2')))),
      ...parts.map((p) => settle(p)),
    ]);
    // A deadlock would be retried as a transaction of its own.
    expect(store.counts.transactions - before).toBe(20);
    const row = await till.tx((tx) => tx.first(accounts, { id: account.credit(tenant.organizationId) }));
    expect(row?.heldNano).toBe(usd('5'));
  });
});

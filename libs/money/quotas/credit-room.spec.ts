import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { usd } from '#kernel';
import { account } from '#money/ledger';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { creditRoom, creditRoomOf } from './index.js';

describe('what may be set aside', () => {
  it.each([
    ['no limit', 3n, 0n, 0n, 3n],
    ['a limit', 3n, 5n, 0n, 8n],
    ['a part of it used', -4n, 5n, 0n, 1n],
    ['all of it on an unpaid invoice', 0n, 5n, -5n, 0n],
    ['some on an invoice and some not', -1n, 5n, -3n, 1n],
    ['credit beside unpaid invoices', 3n, 5n, -5n, 3n],
    ['more unpaid than a lowered limit allows', 3n, 5n, -9n, 3n],
    ['money back for an invoice', 0n, 5n, 2n, 5n],
    ['taken back by a bank', -7n, 0n, 0n, -7n],
  ] as const)('%s: %s available, limit %s, receivable %s: %s', (_, availableNano, creditLimitNano, owed, room) => {
    expect(creditRoom({ availableNano, creditLimitNano }, owed)).toBe(room);
  });
});

describe.each(specStores)('credit with unpaid invoices $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
  });
  afterAll(async () => opened.close());

  let n = 0;
  const hold = (tenant: Tenant, dollars: string) =>
    till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd(dollars) }));
  /** What issuing an invoice posts: what the credit lacked becomes a receivable. */
  const invoiced = ({ organizationId }: Tenant, dollars: string) =>
    till.tx(async (tx) => {
      const [credit, receivable] = [account.credit(organizationId), account.receivable(organizationId)];
      await till.ledger.open(tx, [
        { id: credit, kind: 'credit', organizationId },
        { id: receivable, kind: 'receivable', organizationId },
      ]);
      await till.ledger.post(tx, {
        idempotencyKey: `invoice:${organizationId}:${n++}`,
        kind: 'invoice',
        organizationId,
        reference: 'spec',
        entries: [
          { accountId: credit, amountNano: usd(dollars) },
          { accountId: receivable, amountNano: -usd(dollars) },
        ],
      });
    });
  const spend = (tenant: Tenant, id: string, dollars: string) =>
    till.tx(async (tx) => {
      await till.holds.spend(tx, id, usd(dollars));
      await till.ledger.post(tx, {
        idempotencyKey: `spend:${id}`,
        kind: 'usage',
        organizationId: tenant.organizationId,
        reference: id,
        entries: [
          { accountId: account.credit(tenant.organizationId), amountNano: -usd(dollars), from: 'held' },
          { accountId: account.revenue, amountNano: usd(dollars) },
        ],
      });
      await till.holds.settle(tx, id);
    });
  const room = ({ organizationId }: Tenant) =>
    till.tx(async (tx) => creditRoomOf(tx, await till.ledger.creditOf(tx, organizationId)));

  it('never lets a tenant owe more than its limit, on invoices and not yet on them together', async () => {
    const tenant = await till.tenant('0');
    await till.tx((tx) => till.credit.setLimit(tx, tenant.organizationId, usd('5')));
    const { id } = await hold(tenant, '3');
    await spend(tenant, id, '3');
    expect(await room(tenant)).toBe(usd('2'));
    await invoiced(tenant, '3');
    expect(await room(tenant)).toBe(usd('2'));
    await expect(hold(tenant, '2.01')).rejects.toMatchObject({
      code: 'insufficient-credit',
      details: { facts: { availableNano: String(usd('2')), missingNano: String(usd('0.01')) } },
    });
    await hold(tenant, '2');
    await expect(hold(tenant, '0.01')).rejects.toMatchObject({ code: 'insufficient-credit' });
    await till.audit();
  });

  it('leaves what was paid in alone, whatever is unpaid', async () => {
    const tenant = await till.tenant('0');
    await till.tx((tx) => till.credit.setLimit(tx, tenant.organizationId, usd('5')));
    await invoiced(tenant, '7');
    expect(await room(tenant)).toBe(usd('7'));
    await expect(hold(tenant, '7.01')).rejects.toMatchObject({ code: 'insufficient-credit' });
    await hold(tenant, '7');
  });

  it('does not let go of the limit between an invoice and a hold at the same moment', async () => {
    const tenant = await till.tenant('0');
    await till.tx((tx) => till.credit.setLimit(tx, tenant.organizationId, usd('5')));
    const { id } = await hold(tenant, '5');
    await spend(tenant, id, '5');
    const tries = Array.from({ length: 5 }, () => hold(tenant, '1').catch(() => null));
    await Promise.all([invoiced(tenant, '5'), ...tries]);
    expect(await Promise.all(tries)).toEqual([null, null, null, null, null]);
    expect(await room(tenant)).toBe(0n);
  });

  it('holds nothing for what costs nothing, with an account or without, and gives nothing back', async () => {
    const tenant = await till.tenant('0');
    expect(await room(tenant)).toBe(0n);
    const { id } = await hold(tenant, '0');
    expect(await till.tx((tx) => till.holds.settle(tx, id))).toBe(0n);
    await expect(hold(tenant, '0.01')).rejects.toMatchObject({ code: 'insufficient-credit' });
    const rich = await till.tenant('1');
    await hold(rich, '0');
    expect(await room(rich)).toBe(usd('1'));
    await till.audit();
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { usd } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { account, balancesBefore, entries, transactions, type Posting } from './index.js';

describe.each(specStores)('reversals and currencies $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
  });
  afterAll(async () => opened.close());

  let keys = 0;
  const post = async (list: Posting['entries'], organizationId: string | null = null): Promise<string> => {
    const posting = { idempotencyKey: `key-${keys++}`, kind: 'test', organizationId, reference: 'spec', entries: list };
    return (await till.tx((tx) => till.ledger.post(tx, posting))) ?? '';
  };
  const reverse = (id: string, why = 'a mistake'): Promise<{ id: string; again: boolean }> =>
    till.tx((tx) => till.ledger.reverse(tx, id, why));
  const balance = async (id: string): Promise<bigint> =>
    (await till.tx((tx) => balancesBefore(tx, null, [id]))).get(id) ?? 0n;
  const listed = (transactionId: string): Promise<unknown[]> =>
    till.tx(async (tx) =>
      (await tx.find(entries, { transactionId }, { orderBy: [['n', 'asc']] })).map((e) => [
        e.accountId,
        e.organizationId,
        e.currency,
        e.amountNano,
      ]),
    );

  it('posts the exact mirror, points at what it takes back, and says why', async () => {
    const { organizationId } = await till.tenant('2');
    const credit = account.credit(organizationId);
    const charge = [
      { accountId: credit, amountNano: -usd('1.5') },
      { accountId: account.revenue, amountNano: usd('1') },
      { accountId: account.tax, amountNano: usd('0.5') },
    ];
    const wrong = await post(charge, organizationId);
    const back = await reverse(wrong, 'ticket 4711');
    expect(back.again).toBe(false);
    expect(await listed(back.id)).toEqual([
      [credit, organizationId, 'USD', usd('1.5')],
      [account.revenue, null, 'USD', -usd('1')],
      [account.tax, null, 'USD', -usd('0.5')],
    ]);
    const row = await till.tx((tx) => tx.first(transactions, { id: back.id }));
    expect(row).toMatchObject({ kind: 'reversal', reverses: wrong, reference: 'ticket 4711', organizationId });
    expect(await balance(credit)).toBe(usd('2'));
    await till.audit();
  });

  it('takes a transaction back once, however often and by whomever it is asked', async () => {
    const { organizationId } = await till.tenant('2');
    const credit = account.credit(organizationId);
    const move = [
      { accountId: credit, amountNano: -usd('1') },
      { accountId: account.revenue, amountNano: usd('1') },
    ];
    const wrong = await post(move);
    const all = await Promise.all([reverse(wrong), reverse(wrong, 'once more'), reverse(wrong)]);
    expect(all.map((r) => r.again).sort()).toEqual([false, true, true]);
    expect(new Set(all.map((r) => r.id)).size).toBe(1);
    expect(await reverse(wrong)).toEqual({ id: all[0]?.id, again: true });
    expect(await balance(credit)).toBe(usd('2'));
    await till.audit();
  });

  it('refuses to take back a reversal, and what never was', async () => {
    const nothing = await post([]);
    const back = await reverse(nothing);
    await expect(reverse(back.id)).rejects.toMatchObject({ kind: 'conflict' });
    await expect(reverse('txn_none')).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('refuses what would leave a tenant with less than nothing, and leaves no trace', async () => {
    const { organizationId } = await till.tenant('0');
    const credit = account.credit(organizationId);
    const gift = await till.tx((tx) => till.ledger.credit(tx, organizationId, usd('3'), 'grant', `gift-${credit}`));
    await post([
      { accountId: credit, amountNano: -1n },
      { accountId: account.revenue, amountNano: 1n },
    ]);
    await expect(reverse(gift ?? '')).rejects.toMatchObject({ kind: 'payment-required' });
    expect(await till.tx((tx) => tx.find(transactions, { reverses: gift ?? '' }))).toEqual([]);
    await post([
      { accountId: account.revenue, amountNano: -1n },
      { accountId: credit, amountNano: 1n },
    ]);
    expect((await reverse(gift ?? '')).again).toBe(false);
    expect(await balance(credit)).toBe(0n);
    await till.audit();
  });

  it('gives back as available what was spent out of a hold', async () => {
    const { organizationId, projectId } = await till.tenant('5');
    const hold = await till.tx((tx) => till.holds.take(tx, { organizationId, projectId, amountNano: usd('2') }));
    const spent = await till.tx(async (tx) => {
      await till.holds.spend(tx, hold.id, usd('2'));
      return till.ledger.post(tx, {
        idempotencyKey: `spend-${hold.id}`,
        kind: 'usage',
        organizationId,
        reference: 'spec',
        entries: [
          { accountId: account.credit(organizationId), amountNano: -usd('2'), from: 'held' },
          { accountId: account.revenue, amountNano: usd('2') },
        ],
      });
    });
    await reverse(spent ?? '');
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
    expect([credit.availableNano, credit.heldNano]).toEqual([usd('5'), 0n]);
    await till.audit();
  });

  it('keeps currencies apart: zero in each, and an account takes its own only', async () => {
    const eur = (of: string): string => `${of}:EUR`;
    await till.tx((tx) =>
      till.ledger.open(tx, [
        { id: eur('cash:berth'), kind: 'cash', organizationId: null, currency: 'EUR' },
        { id: eur('clearing:berth'), kind: 'clearing', organizationId: null, currency: 'EUR' },
      ]),
    );
    const exchange = [
      { accountId: account.cash, amountNano: -110n },
      { accountId: account.clearing, amountNano: 110n },
      { accountId: eur('clearing:berth'), amountNano: -100n, currency: 'EUR' },
      { accountId: eur('cash:berth'), amountNano: 100n, currency: 'EUR' },
    ];
    const id = await post(exchange);
    expect([await balance(eur('cash:berth')), await balance(eur('clearing:berth'))]).toEqual([100n, -100n]);
    await reverse(id);
    expect(await balance(eur('cash:berth'))).toBe(0n);
    const [usdOut, , , eurIn] = exchange;
    if (!usdOut || !eurIn) throw new Error('four entries');
    await expect(post([usdOut, { ...eurIn, amountNano: 110n }])).rejects.toThrow('sums to -110 USD, not zero');
    const { currency, ...asDollars } = { ...eurIn, amountNano: 110n };
    await expect(post([usdOut, asDollars])).rejects.toMatchObject({ kind: 'payment-required' });
    expect(currency).toBe('EUR');
    await till.audit();
  });
});

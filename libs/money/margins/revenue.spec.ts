import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { HOUR, usd } from '#kernel';
import { account, chart, trialBalance } from '#money/ledger';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { resultAccounts, revenueBy, type RevenueRow } from './index.js';
import { revenueRow } from './revenue.js';

describe.each(specStores)('revenue and cost, $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
  });
  afterAll(async () => opened.close());

  const report = (by: 'day' | 'month' = 'day'): Promise<RevenueRow[]> =>
    till.tx((tx) => revenueBy(tx, { fromMs: 0, toMs: opened.clock.now() + HOUR, by }));
  const total = (rows: readonly RevenueRow[]): RevenueRow =>
    rows.reduce(
      (a, r) =>
        Object.fromEntries(
          Object.entries(r).map(([k, v]) => [k, typeof v === 'bigint' ? v + (a[k as 'feesNano'] ?? 0n) : k]),
        ) as unknown as RevenueRow,
      revenueRow('none', []),
    );

  it('are what the trial balance moved by, whatever was posted', async () => {
    const tenant = await till.tenant('100');
    const providerId = await till.provider();
    const payable = account.payable(providerId);
    const credit = account.credit(tenant.organizationId);
    const before = total(await report());
    let n = 0;
    const post = (kind: string, entries: readonly (readonly [string, string])[]) =>
      till.tx((tx) =>
        till.ledger.post(tx, {
          idempotencyKey: `revenue:${++n}`,
          kind,
          organizationId: null,
          reference: kind,
          entries: entries.map(([accountId, dollars]) => ({
            accountId,
            amountNano: dollars.startsWith('-') ? -usd(dollars.slice(1)) : usd(dollars),
          })),
        }),
      );
    // $6 of use, of which the hold lacked $1; it cost $4.
    await post('usage', [
      [credit, '-5'],
      [payable, '4'],
      [account.revenue, '2'],
      [account.exposure, '-1'],
    ]);
    // A start that failed and cost $0.50.
    await post('usage', [
      [payable, '0.5'],
      [account.revenue, '-0.5'],
    ]);
    await post('failed-start', [
      [account.failedStarts, '-0.5'],
      [account.revenue, '0.5'],
    ]);
    await post('sla', [
      [account.sla, '-0.25'],
      [credit, '0.25'],
    ]);
    // The vendor billed $0.20 less than was metered.
    await post('vendor-difference', [
      [payable, '-0.2'],
      [account.vendorDifferences, '0.2'],
    ]);
    await post('credit-note', [
      [account.revenue, '-1'],
      [account.tax, '-0.19'],
      [credit, '1.19'],
    ]);
    await post('grant', [
      [account.grants, '-3'],
      [credit, '3'],
    ]);
    // Neither revenue nor cost: money that comes and goes.
    await post('payment', [
      [account.cash, '-19.5'],
      [account.fees, '-0.5'],
      [credit, '20'],
    ]);
    await post('payout', [
      [payable, '-3'],
      [account.payouts, '3'],
    ]);
    const now = total(await report());
    const moved = Object.fromEntries(
      Object.entries(now).flatMap(([k, v]) =>
        typeof v === 'bigint' ? [[k, v - (before[k as 'feesNano'] ?? 0n)]] : [],
      ),
    );
    expect(moved).toEqual({
      revenueNano: usd('5'),
      costNano: usd('4.3'),
      exposureNano: usd('1'),
      slaCreditsNano: usd('0.25'),
      marginNano: -usd('0.55'),
      creditsNano: usd('3'),
      feesNano: usd('0.5'),
      lossesNano: 0n,
      roundingNano: 0n,
      resultNano: -usd('4.05'),
    });
    const balances = await till.tx((tx) => trialBalance(tx, null));
    const result = balances.reduce((a, r) => (resultAccounts.some((k) => k === r.kind) ? a + r.balanceNano : a), 0n);
    expect(now.resultNano).toBe(result);
    expect(total(await report('month'))).toEqual(now);
    expect((await report('month')).every((r) => /^\d{4}-\d\d$/.test(r.period))).toBe(true);
  });

  it('count a reversal as taking back', async () => {
    const before = total(await report());
    const tenant = await till.tenant('10');
    const given = total(await report());
    const id = await till.tx((tx) =>
      till.ledger.post(tx, {
        idempotencyKey: 'revenue:reversed',
        kind: 'usage',
        organizationId: tenant.organizationId,
        reference: 'x',
        entries: [
          { accountId: account.credit(tenant.organizationId), amountNano: -usd('7') },
          { accountId: account.revenue, amountNano: usd('7') },
        ],
      }),
    );
    await till.tx((tx) => till.ledger.reverse(tx, id ?? '', 'wrong'));
    expect(total(await report())).toEqual(given);
    expect(given.creditsNano - before.creditsNano).toBe(usd('10'));
  });
});

describe('a row of revenue', () => {
  it('always comes to what the result accounts moved by', () => {
    const kinds = Object.keys(chart) as (keyof typeof chart)[];
    // Two accounts and an amount between them: every transaction is made of such pairs.
    const pair = fc.tuple(fc.constantFrom(...kinds), fc.constantFrom(...kinds), fc.bigInt({ min: -9n, max: 9n }));
    fc.assert(
      fc.property(fc.array(pair), (pairs) => {
        const moved = pairs.flatMap(([a, b, n]) => {
          const earns = [a, b].includes('revenue');
          return [
            { kind: a, earns, amountNano: n },
            { kind: b, earns, amountNano: -n },
          ];
        });
        const own = moved.reduce((s, m) => (resultAccounts.includes(m.kind) ? s + m.amountNano : s), 0n);
        const row = revenueRow('x', moved);
        expect(row.resultNano).toBe(own);
      }),
    );
  });
});

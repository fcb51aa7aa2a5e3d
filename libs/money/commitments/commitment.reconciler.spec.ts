import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, HOUR, newId, SeededRandom, usd } from '#kernel';
import { projects } from '#identity/tenancy';
import { account, accounts, entries } from '#money/ledger';
import { monthEnd, usageRecords, usageRow } from '#money/metering';
import { quotas } from '#money/quotas';
import { commitments, Prices } from '#money/rating';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { CommitmentReconciler } from './index.js';

describe.each(specStores)('commitments $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  let prices: Prices;
  beforeAll(async () => {
    opened = await open();
    const random = new SeededRandom('commitments');
    till = await openTill(opened, random);
    prices = new Prices(opened.clock, random);
  });
  afterAll(async () => opened.close());

  it('charge what a commitment promised and usage did not bring, once, and no more than the credit has', async () => {
    const tenant = await till.tenant('30');
    const { organizationId } = tenant;
    const start = await till.tx((tx) => tx.now());
    const end = Math.min(start + 10 * HOUR, monthEnd(start));
    const hours = (end - start) / HOUR;
    const made = await till.tx((tx) =>
      prices.commit(tx, { organizationId, per: 'hour', amountNano: usd('4'), discountBps: 1_000, endsAt: end }),
    );
    const promised = BigInt(Math.round(hours * 4e9));
    // Time passes in the row, so that the database's clock may stand where it is.
    await till.tx((tx) =>
      tx.update(
        commitments,
        { id: made.id },
        { startsAt: start - 10 * DAY, settledThrough: start - 10 * DAY, endsAt: start - 10 * DAY + (end - start) },
      ),
    );
    const reconciler = new CommitmentReconciler({ ...till, clock: opened.clock, random: new SeededRandom('commit') });
    for (let n = 0; n < 10 && (await reconciler.step(made.id)) === 'again'; n++);
    const row = await till.tx((tx) => tx.first(commitments, { id: made.id }));
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
    const [record] = await till.tx((tx) => tx.find(usageRecords, { organizationId }));
    const paid = promised < usd('30') ? promised : usd('30');
    expect(record).toMatchObject({ meter: 'commitment', amountNano: paid });
    expect(credit.availableNano).toBe(usd('30') - paid);
    expect((row?.owedNano ?? 0n) + paid).toBe(promised);
    const posted = await till.tx((tx) => tx.find(entries, { transactionId: record?.transactionId ?? '' }));
    expect(posted.reduce((a, e) => a + e.amountNano, 0n)).toBe(0n);
    await reconciler.step(made.id);
    expect((await till.tx((tx) => tx.find(usageRecords, { organizationId }))).length).toBe(1);
    await till.audit();
  });

  it('are collected beyond a hard budget, which tells of it and refuses only new work', async () => {
    const tenant = await till.tenant('30');
    const { organizationId, projectId } = tenant;
    const now = await till.tx((tx) => tx.now());
    const start = now - 10 * DAY;
    const made = await till.tx((tx) =>
      prices.commit(tx, {
        ...{ organizationId, projectId, per: 'hour', amountNano: usd('4'), discountBps: 1_000 },
        endsAt: now + HOUR,
      }),
    );
    const over = { startsAt: start, settledThrough: start, endsAt: start + 2 * HOUR };
    await till.tx((tx) => tx.update(commitments, { id: made.id }, over));
    const budget = (scope: 'organization' | 'project', scopeId: string) =>
      till.tx((tx) =>
        till.quotas.set(tx, {
          ...{ organizationId, projectId: scope === 'project' ? projectId : null, scope, scopeId },
          ...{ dimension: 'spend', per: 'month', limitN: usd('5'), mode: 'hard', policy: 'keep' },
          ...{ cohort: null, borrowingLimit: null, lendingLimit: null },
        }),
      );
    await budget('project', projectId);
    await budget('organization', organizationId);
    const hold = await till.tx((tx) => till.holds.take(tx, { organizationId, projectId, amountNano: usd('1') }));
    const reconciler = new CommitmentReconciler({ ...till, clock: opened.clock, random: new SeededRandom('budget') });
    for (let n = 0; n < 10 && (await reconciler.step(made.id)) === 'again'; n++);
    const row = await till.tx((tx) => tx.first(commitments, { id: made.id }));
    expect(row).toMatchObject({ owedNano: 0n, wakeAt: null });
    const used = await till.tx((tx) => tx.find(quotas, { organizationId }, { orderBy: [['scope', 'asc']] }));
    expect(used.map((q) => [q.scope, q.used, q.alerted])).toEqual([
      ['organization', usd('9'), 100],
      ['project', usd('9'), 100],
    ]);
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
    expect([credit.availableNano, credit.heldNano]).toEqual([usd('21'), usd('1')]);
    await till.tx((tx) => till.holds.settle(tx, hold.id));
    await expect(
      till.tx((tx) => till.holds.take(tx, { organizationId, projectId, amountNano: 1n })),
    ).rejects.toMatchObject({ code: 'budget-exceeded' });
    await till.audit();
  });

  it('take what the credit limit leaves, and what is held for jobs not', async () => {
    const { organizationId, projectId } = await till.tenant('3');
    const now = await till.tx((tx) => tx.now());
    const start = now - 10 * DAY;
    const made = await till.tx((tx) =>
      prices.commit(tx, { organizationId, per: 'hour', amountNano: usd('4'), discountBps: 1_000, endsAt: now + HOUR }),
    );
    const over = { startsAt: start, settledThrough: start, endsAt: start + 2 * HOUR };
    await till.tx((tx) => tx.update(commitments, { id: made.id }, over));
    await till.tx((tx) =>
      tx.update(accounts, { id: account.credit(organizationId) }, { creditLimitNano: usd('2.50') }),
    );
    await till.tx((tx) => till.holds.take(tx, { organizationId, projectId, amountNano: usd('1') }));
    const reconciler = new CommitmentReconciler({ ...till, clock: opened.clock, random: new SeededRandom('limit') });
    for (let n = 0; n < 10 && (await reconciler.step(made.id)) === 'again'; n++);
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
    expect([credit.availableNano, credit.heldNano]).toEqual([-usd('2.50'), usd('1')]);
    expect(await till.tx((tx) => tx.first(commitments, { id: made.id }))).toMatchObject({ owedNano: usd('3.50') });
    await till.audit();
  });

  it('of a project are fulfilled by its own usage alone, and charged to it', async () => {
    const tenant = await till.tenant('30');
    const { organizationId, projectId } = tenant;
    const other = newId('project');
    await till.tx((tx) =>
      tx.insert(projects, { id: other, organizationId, name: 'other', createdAt: opened.clock.now() }),
    );
    const now = await till.tx((tx) => tx.now());
    const start = now - 10 * DAY;
    const promise = { organizationId, projectId, per: 'hour', amountNano: usd('4'), discountBps: 1_000 } as const;
    const made = await till.tx((tx) => prices.commit(tx, { ...promise, endsAt: now + HOUR }));
    const over = { startsAt: start, settledThrough: start, endsAt: start + HOUR };
    await till.tx((tx) => tx.update(commitments, { id: made.id }, over));
    const used = (by: string, dollars: string) => {
      const of = { id: newId('usage'), key: `used ${by}`, organizationId, projectId: by, leaseId: null, jobId: null };
      const what = { providerId: 'p', source: 'lease', meter: 'lease-time', side: 'charge', resource: 'r' } as const;
      const when = { fromAt: start, toAt: start + HOUR, createdAt: now };
      const price = { quantity: 1n, unitPriceNano: 1n, amountNano: usd(dollars), transactionId: null };
      return usageRow({ ...of, ...what, ...when, ...price });
    };
    await till.tx((tx) => tx.insert(usageRecords, [used(projectId, '1.50'), used(other, '9')]));
    const reconciler = new CommitmentReconciler({ ...till, clock: opened.clock, random: new SeededRandom('of one') });
    for (let n = 0; n < 10 && (await reconciler.step(made.id)) === 'again'; n++);
    const charged = await till.tx((tx) => tx.find(usageRecords, { organizationId, meter: 'commitment' }));
    expect(charged).toMatchObject([{ projectId, amountNano: usd('2.50') }]);
    const stranger = prices.commit.bind(prices);
    await expect(
      till.tx((tx) => stranger(tx, { ...promise, projectId: newId('project'), endsAt: now + HOUR })),
    ).rejects.toMatchObject({ kind: 'not-found' });
  });
});

import { beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock, usd } from '#kernel';
import { MemoryStore } from '#platform/database';
import { openTill, type Till } from '#testing/till';
import { account, accounts, chain, days, entries, GENESIS, seals, Sealer, transactions, unsealed } from './index.js';
import { ledgerCheck } from './reading.js';

/**
 * What a process on PostgreSQL is not allowed to do to the books: a store in memory asks no rights, so each harm can be done and looked at.
 * `seal.spec` does the same to PostgreSQL as the owner of the tables.
 */
describe('the chain of seals', () => {
  const clock = new ManualClock(Date.UTC(2026, 10, 21));
  let till: Till;
  let sealer: Sealer;
  let keys = 0;
  beforeEach(async () => {
    till = await openTill({ store: new MemoryStore(clock), clock });
    sealer = new Sealer(till.store, 2);
  });

  const post = async (amountNano = 1n): Promise<string> =>
    (await till.tx((tx) =>
      till.ledger.post(tx, {
        idempotencyKey: `key-${keys++}`,
        kind: 'test',
        organizationId: null,
        reference: 'spec',
        entries: [
          { accountId: account.cash, amountNano: -amountNano },
          { accountId: account.revenue, amountNano },
        ],
      }),
    )) ?? '';
  const links = () => till.tx((tx) => tx.find(seals, {}, { orderBy: [['n', 'asc']] }));
  /** Six transactions in three links; their ids as they were sealed. */
  const sealed = async (): Promise<string[]> => {
    for (let i = 1; i <= 6; i++) await post(BigInt(i));
    await sealer.run();
    return (await links()).flatMap((l) => l.transactionIds);
  };

  it('is made in the order of time, then of ids, whatever order was waiting', async () => {
    const at = clock.now();
    const late = await post();
    clock.set(at - 5_000);
    const early = [await post(), await post(), await post()].sort();
    clock.set(at + 60_000);
    await sealer.run();
    const made = await links();
    expect(made.map((l) => l.transactionIds)).toEqual([early.slice(0, 2), [early[2], late]]);
    expect(made.map((l) => [l.throughAt, l.sealedAt])).toEqual([
      [at - 5_000, at + 60_000],
      [at, at + 60_000],
    ]);
    clock.set(at);
  });

  it('has the latest time of its transactions in each link', async () => {
    const at = clock.now();
    await post();
    clock.advance(1_000);
    await post();
    clock.advance(1_000);
    expect(await sealer.run()).toMatchObject({ throughAt: at + 1_000, sealedAt: at + 2_000 });
  });

  it('grows by as many links as it is asked for, and by the rest the next time', async () => {
    for (let i = 0; i < 6; i++) await post();
    expect(await sealer.run(2)).toMatchObject({ n: 2 });
    expect(await links()).toHaveLength(2);
    expect(await till.tx((tx) => tx.find(unsealed, {}))).toHaveLength(2);
    expect(await sealer.run(2)).toMatchObject({ n: 3 });
    expect(await sealer.run(2)).toBeNull();
  });

  it('stays as it is where a waiting transaction is not in the ledger, and names it', async () => {
    await post();
    await till.tx((tx) => tx.insert(unsealed, { transactionId: 'txn_ghost', at: clock.now() }));
    await expect(sealer.run()).rejects.toThrow('txn_ghost waits to be sealed and is not in the ledger');
    expect(await links()).toEqual([]);
    expect(await till.tx((tx) => tx.find(unsealed, {}))).toHaveLength(2);
  });

  it('is nothing where the row of its end is gone: nobody seals, and links prove nothing', async () => {
    await post();
    await till.tx((tx) => tx.remove(chain, { singleton: true }));
    expect(await sealer.run()).toBeNull();
    expect(await sealer.verify()).toMatchObject({
      through: 0,
      done: true,
      broken: null,
      sealed: { n: 0, hash: GENESIS, transactions: 0 },
      rest: { transactions: 1, unsealed: 1 },
    });
  });

  it('is read a page at a time, each from the hash of the link before', async () => {
    await sealed();
    expect(await sealer.verify(0, 1)).toMatchObject({ through: 1, transactions: 2, done: false, broken: null });
    expect(await sealer.verify(1, 1)).toMatchObject({ through: 2, transactions: 2, done: false, broken: null });
    expect(await sealer.verify(2, 5)).toMatchObject({ through: 3, transactions: 2, done: true, broken: null });
    // From the end, and from behind it, nothing is left to look at.
    expect(await sealer.verify(3, 5)).toMatchObject({ through: 3, transactions: 0, done: true, broken: null });
    expect(await sealer.verify(7, 5)).toMatchObject({ through: 7, transactions: 0, done: true, broken: null });
  });

  it('tells the first link, wherever a page begins, whose number before is gone', async () => {
    await sealed();
    await till.tx((tx) => tx.remove(seals, { n: 2 }));
    expect(await sealer.verify()).toMatchObject({
      through: 1,
      transactions: 2,
      done: true,
      rest: null,
      broken: { seal: 2, transactionId: null, what: 'seal-missing' },
    });
    expect(await sealer.verify(2)).toMatchObject({ broken: { seal: 3, what: 'chain-cut' } });
  });

  it('tells links that are missing at its end, and an end that is another link’s', async () => {
    await sealed();
    const last = (await links())[2];
    if (!last) throw new Error('three links were made');
    await till.tx((tx) => tx.remove(seals, { n: 3 }));
    expect(await sealer.verify()).toMatchObject({
      through: 2,
      done: true,
      rest: null,
      broken: { seal: 3, transactionId: null, what: 'seal-missing' },
    });
    await till.tx((tx) => tx.insert(seals, last));
    expect(await sealer.verify()).toMatchObject({ broken: null });
    await till.tx((tx) => tx.update(chain, { singleton: true }, { hash: 'f'.repeat(64) }));
    expect(await sealer.verify()).toMatchObject({
      through: 3,
      done: true,
      rest: null,
      broken: { seal: 3, transactionId: null, what: 'chain-cut' },
    });
  });

  it('tells a transaction that is not as it was, or gone, and looks no further', async () => {
    const ids = await sealed();
    const id = ids[2] ?? '';
    await till.tx((tx) => tx.update(transactions, { id }, { reference: 'other' }));
    const told = await sealer.verify();
    expect(told).toMatchObject({ through: 1, transactions: 2, done: true, rest: null });
    expect(told.broken).toEqual({ seal: 2, transactionId: id, what: 'transaction-changed' });
    await till.tx((tx) => tx.update(transactions, { id }, { reference: 'spec' }));
    await till.tx((tx) => tx.update(entries, { transactionId: id, n: 0 }, { amountNano: { add: 1n } }));
    expect((await sealer.verify()).broken).toEqual({ seal: 2, transactionId: id, what: 'transaction-changed' });
    await till.tx((tx) => tx.remove(transactions, { id }));
    expect((await sealer.verify()).broken).toEqual({ seal: 2, transactionId: id, what: 'transaction-missing' });
  });

  it('names twenty wrong balances at most', async () => {
    const wrong = Array.from({ length: 25 }, (_, i) => `payable:${String(i).padStart(2, '0')}`);
    await till.tx(async (tx) => {
      await till.ledger.open(
        tx,
        wrong.map((id) => ({ id, kind: 'payable' as const, organizationId: null })),
      );
      for (const id of wrong)
        await tx.update(accounts, { id }, { balanceNano: { add: 1n }, availableNano: { add: 1n } });
    });
    expect((await sealer.verify()).rest?.wrongAccounts).toEqual(wrong.slice(0, 20));
  });

  it('says what no seal covers yet and since when, and what is neither sealed nor waiting', async () => {
    const check = () => till.tx((tx) => tx.call(ledgerCheck, { most: 5 }));
    const at = clock.now();
    await post();
    clock.set(at - 9_000);
    const early = await post();
    clock.set(at + 9_000);
    await post();
    const waiting = { transactions: 3, unsealed: 3, unsealedSince: at - 9_000, lost: 0, wrongAccounts: [] };
    expect(await check()).toEqual(waiting);
    await till.tx((tx) => tx.remove(unsealed, { transactionId: early }));
    // Its entries count as sealed though no total of a day has them.
    expect(await check()).toEqual({
      ...waiting,
      unsealed: 2,
      unsealedSince: at,
      lost: 1,
      wrongAccounts: [account.cash, account.revenue],
    });
    await till.tx((tx) => tx.insert(unsealed, { transactionId: early, at: at - 9_000 }));
    await sealer.run();
    expect(await check()).toEqual({ ...waiting, unsealed: 0, unsealedSince: null });
    await till.tx((tx) => tx.update(days, { accountId: account.revenue }, { amountNano: { add: 1n } }));
    expect(await check()).toMatchObject({ wrongAccounts: [account.revenue] });
    await till.tx((tx) => tx.update(days, { accountId: account.revenue }, { amountNano: { add: -1n } }));
    await till.tx((tx) => tx.remove(transactions, { id: early }));
    expect(await check()).toMatchObject({ transactions: 2, lost: -1, wrongAccounts: [] });
    clock.set(at);
  });

  it('moves only the accounts that postings leave alone', async () => {
    const { organizationId } = await till.tenant('10');
    const own = () => till.tx((tx) => tx.first(accounts, { id: account.credit(organizationId) }));
    expect(await own()).toMatchObject({ folded: false, balanceNano: usd('10') });
    await sealer.run();
    expect(await own()).toMatchObject({ balanceNano: usd('10'), availableNano: usd('10') });
    await till.audit();
  });
});

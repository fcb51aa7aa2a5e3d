import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId, SeededRandom } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { account, accounts, entries, ledgerPost, transactions, type AccountRow } from './index.js';
import { ledgerReverse, type PostArgs, type PostedEntry } from './post.js';
import { unsealed } from './seal.table.js';

/** The functions behind postings, asked one by one: what is at a boundary, and which account is named. */
describe.each(specStores)('posting, $name', ({ name, open }) => {
  let opened: SpecStore;
  let till: Till;
  let now: number;
  const random = new SeededRandom(`post ${name}`);
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, random);
    now = await till.tx((tx) => tx.now());
  });
  afterAll(() => opened.close());

  const opens = async (over: Partial<AccountRow> = {}): Promise<string> => {
    const { organizationId } = await till.tenant('0');
    const id = account.credit(organizationId);
    await till.tx(async (tx) => {
      await till.ledger.open(tx, [{ id, kind: 'credit', organizationId }]);
      await till.ledger.post(tx, {
        idempotencyKey: `open:${id}`,
        kind: 'payment',
        organizationId,
        reference: id,
        entries: [
          { accountId: account.cash, amountNano: -10n },
          { accountId: id, amountNano: 10n },
        ],
      });
      if (Object.keys(over).length > 0) await tx.update(accounts, { id }, over);
    });
    return id;
  };
  const args = (list: readonly PostedEntry[], over: Partial<PostArgs> = {}): PostArgs => {
    const id = newId('transaction', now, random);
    return {
      id,
      key: id,
      kind: 'test',
      organizationId: null,
      reference: 'r',
      reverses: null,
      at: now,
      entries: list,
      ...over,
    };
  };
  const entry = (accountId: string, amountNano: bigint, more: Partial<PostedEntry> = {}): PostedEntry => ({
    accountId,
    amountNano,
    from: 'available',
    ...more,
  });
  /** Posts, and takes everything back where it was refused, as callers must. */
  const post = async (list: readonly PostedEntry[], over: Partial<PostArgs> = {}): Promise<unknown> => {
    const given = args(list, over);
    try {
      return await till.tx(async (tx) => {
        const done = await tx.call(ledgerPost, given);
        if (done.outcome === 'short') throw Object.assign(new Error('short'), { done });
        return done;
      });
    } catch (error) {
      if (error instanceof Error && 'done' in error) return error.done;
      throw error;
    }
  };
  const pockets = async (id: string): Promise<bigint[]> => {
    const row = await till.tx((tx) => tx.first(accounts, { id }));
    return [row?.balanceNano ?? -1n, row?.availableNano ?? -1n, row?.heldNano ?? -1n];
  };
  const posted = { outcome: 'posted', shortAccount: null };

  it('takes all that is there and nothing more, from the pocket that is named', async () => {
    const id = await opens({ availableNano: 6n, heldNano: 4n });
    expect(await post([entry(id, -7n), entry(account.cash, 7n)])).toEqual({ outcome: 'short', shortAccount: id });
    expect(await post([entry(id, -5n, { from: 'held' }), entry(account.cash, 5n)])).toMatchObject({ outcome: 'short' });
    expect(await pockets(id)).toEqual([10n, 6n, 4n]);
    expect(await post([entry(id, -6n), entry(account.cash, 6n)])).toEqual(posted);
    expect(await post([entry(id, -4n, { from: 'held' }), entry(account.cash, 4n)])).toEqual(posted);
    expect(await pockets(id)).toEqual([0n, 0n, 0n]);
  });

  it('names the first account that lacks the amount, in the order of their ids, or that does not exist', async () => {
    const [low, high] = [await opens(), await opens()].sort() as [string, string];
    const both = [entry(high, -11n), entry(low, -11n), entry(account.cash, 22n)];
    expect(await post(both)).toEqual({ outcome: 'short', shortAccount: low });
    expect(await post(both.toReversed())).toEqual({ outcome: 'short', shortAccount: low });
    expect(await post([entry('credit:org_nobody', 1n), entry(account.cash, -1n)])).toMatchObject({
      shortAccount: 'credit:org_nobody',
    });
    expect(await post([entry(account.cash, -1n, { currency: 'EUR' }), entry(account.revenue, 1n)])).toMatchObject({
      shortAccount: account.cash,
    });
    expect([await pockets(low), await pockets(high)]).toEqual([
      [10n, 10n, 0n],
      [10n, 10n, 0n],
    ]);
  });

  it('lets a credit limit be used by what takes back, of what is available only', async () => {
    const id = await opens({ creditLimitNano: 5n });
    const away = (n: bigint, from: 'available' | 'held' = 'available') => [
      entry(id, -n, { from }),
      entry(account.cash, n),
    ];
    expect(await post(away(11n))).toMatchObject({ outcome: 'short' });
    const original = args([entry(id, 1n), entry(account.cash, -1n)]);
    await till.tx((tx) => tx.call(ledgerPost, original));
    const again = (n: bigint) => post(away(n), { reverses: original.id });
    expect(await again(17n)).toMatchObject({ outcome: 'short' });
    expect(await again(16n)).toEqual(posted);
    expect(await pockets(id)).toEqual([-5n, -5n, 0n]);
    const held = await opens({ creditLimitNano: 5n, availableNano: 6n, heldNano: 4n });
    const out = (n: bigint) => [entry(held, -n, { from: 'held' }), entry(account.cash, n)];
    const other = args([entry(held, 1n), entry(account.cash, -1n)]);
    await till.tx((tx) => tx.call(ledgerPost, other));
    expect(await post(out(5n), { reverses: other.id })).toEqual({ outcome: 'short', shortAccount: held });
    expect(await post(out(4n), { reverses: other.id })).toEqual(posted);
  });

  it('lets what is forced go below, and writes what was posted as it was', async () => {
    const id = await opens();
    const organizationId = id.slice('credit:'.length);
    const given = args([entry(account.cash, 12n), entry(id, -12n, { below: true })], {
      organizationId,
      at: now - 5_000,
    });
    expect(await till.tx((tx) => tx.call(ledgerPost, given))).toEqual(posted);
    expect(await till.tx((tx) => tx.call(ledgerPost, given))).toEqual({ outcome: 'known', shortAccount: null });
    expect(await pockets(id)).toEqual([-2n, -2n, 0n]);
    const rows = await till.tx((tx) => tx.find(entries, { transactionId: given.id }, { orderBy: [['n', 'asc']] }));
    const common = { transactionId: given.id, currency: 'USD', at: now - 5_000 };
    expect(rows).toEqual([
      { ...common, n: 0, accountId: account.cash, organizationId: null, amountNano: 12n },
      { ...common, n: 1, accountId: id, organizationId, amountNano: -12n },
    ]);
    // What comes in is taken though it does not lift the account above its bound.
    expect(await post([entry(id, 1n), entry(account.cash, -1n)])).toEqual(posted);
    expect(await post([entry(id, 0n), entry(account.cash, 0n)])).toEqual(posted);
    expect(await pockets(id)).toEqual([-1n, -1n, 0n]);
    const waits = { transactionId: given.id };
    expect(await till.tx((tx) => tx.first(unsealed, waits))).toMatchObject({ at: now - 5_000 });
    expect(await till.tx((tx) => tx.first(transactions, { id: given.id }))).toMatchObject({
      reference: 'r',
      reverses: null,
    });
  });

  it('takes back once, and says what became of it', async () => {
    const id = await opens();
    const given = args([entry(id, 3n), entry(account.cash, -3n)]);
    await till.tx((tx) => tx.call(ledgerPost, given));
    const reverse = (transaction: string) => {
      const own = newId('transaction', now, random);
      return till.tx((tx) => tx.call(ledgerReverse, { id: own, transaction, why: 'spec', at: now }));
    };
    const nothing = { reversalId: null, shortAccount: null };
    expect(await reverse('txn_nobody')).toEqual({ outcome: 'unknown', ...nothing });
    const first = await reverse(given.id);
    expect(first).toMatchObject({ outcome: 'reversed', shortAccount: null });
    expect(await reverse(given.id)).toEqual({ ...first, outcome: 'known' });
    expect(await reverse(first.reversalId ?? '')).toEqual({ outcome: 'is-reversal', ...nothing });
    expect(await pockets(id)).toEqual([10n, 10n, 0n]);
    const row = await till.tx((tx) => tx.first(transactions, { id: first.reversalId ?? '' }));
    expect(row).toMatchObject({
      kind: 'reversal',
      reverses: given.id,
      reference: 'spec',
      idempotencyKey: `reverse:${given.id}`,
    });
  });
});

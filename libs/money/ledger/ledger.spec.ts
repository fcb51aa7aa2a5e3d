import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Client } from 'pg';
import { SeededRandom, usd } from '#kernel';
import { PgStore, type Patch } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { account, accounts, balancesBefore, entries, transactions, type AccountRow, type Posting } from './index.js';

describe.each(specStores)('the ledger $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
  });
  afterAll(async () => opened.close());

  let keys = 0;
  const posting = (list: Posting['entries'], more: Partial<Posting> = {}): Posting => ({
    idempotencyKey: `key-${keys++}`,
    kind: 'test',
    organizationId: null,
    reference: 'spec',
    entries: list,
    ...more,
  });
  const post = (p: Posting): Promise<string | null> => till.tx((tx) => till.ledger.post(tx, p));
  const balance = (id: string): Promise<bigint> =>
    till.tx(async (tx) => (await balancesBefore(tx, null, [id])).get(id) ?? 0n);

  it('refuses entries that do not sum to zero, and writes nothing', async () => {
    const wrong = posting([
      { accountId: account.cash, amountNano: -5n },
      { accountId: account.revenue, amountNano: 4n },
    ]);
    await expect(post(wrong)).rejects.toThrow('sums to -1 USD, not zero');
    const { idempotencyKey } = wrong;
    expect(await till.tx((tx) => tx.find(transactions, { idempotencyKey }))).toEqual([]);
  });

  it('gives credit once for a key, and refuses the key for anything else', async () => {
    const { organizationId } = await till.tenant('0');
    const key = `credit:${organizationId}:wire-1`;
    const give = (dollars: string, kind: 'grant' | 'payment') =>
      till.tx((tx) => till.ledger.credit(tx, organizationId, usd(dollars), kind, key));
    expect(await give('3', 'payment')).not.toBeNull();
    expect(await give('3', 'payment')).toBeNull();
    await expect(give('4', 'payment')).rejects.toMatchObject({ kind: 'conflict', code: 'reference-used' });
    await expect(give('3', 'grant')).rejects.toMatchObject({ kind: 'conflict', code: 'reference-used' });
    expect(await balance(account.credit(organizationId))).toBe(usd('3'));
  });

  it('lets only what a bank forces leave a credit below its bound', async () => {
    const { organizationId } = await till.tenant('3');
    const credit = account.credit(organizationId);
    const taken = (below: boolean) =>
      posting(
        [
          { accountId: credit, amountNano: -usd('5'), ...(below ? { below } : {}) },
          { accountId: account.clearing, amountNano: usd('5') },
        ],
        { kind: 'chargeback', organizationId },
      );
    await expect(post(taken(false))).rejects.toMatchObject({ code: 'insufficient-credit' });
    expect(await post(taken(true))).not.toBeNull();
    expect(await balance(credit)).toBe(-usd('2'));
    // Afterwards everything is bounded as before, in the same transaction too.
    await expect(
      till.tx(async (tx) => {
        await till.ledger.post(tx, taken(true));
        await tx.update(accounts, { id: credit }, { availableNano: { add: -1n }, heldNano: { add: 1n } });
        if (!opened.postgres) throw new Error('would go below its bound');
      }),
    ).rejects.toThrow('would go below its bound');
    expect(await balance(credit)).toBe(-usd('2'));
    await till.audit();
  });

  it('posts one key once, whoever comes second', async () => {
    const tenant = await till.tenant('0');
    const give = (): Promise<string | null> =>
      till.tx((tx) => till.ledger.credit(tx, tenant.organizationId, usd('5'), 'payment', 'payment-1'));
    const ids = await Promise.all([give(), give(), give()]);
    expect(ids.filter((id) => id !== null)).toHaveLength(1);
    expect(await balance(account.credit(tenant.organizationId))).toBe(usd('5'));
    await till.audit();
  });

  it('keeps entries and transaction as they were posted, for the tenant’s own account with its organization', async () => {
    const { organizationId } = await till.tenant('3');
    const [row] = await till.tx((tx) => tx.find(transactions, { organizationId }));
    expect(row).toMatchObject({ kind: 'grant', organizationId, reference: organizationId, reverses: null });
    const of = await till.tx((tx) => tx.find(entries, { transactionId: row?.id ?? '' }, { orderBy: [['n', 'asc']] }));
    expect(of.map((e) => [e.n, e.accountId, e.organizationId, e.amountNano])).toEqual([
      [0, account.grants, null, -usd('3')],
      [1, account.credit(organizationId), organizationId, usd('3')],
    ]);
  });

  it('refuses to spend what is not there, from either pocket, and leaves no trace', async () => {
    const { organizationId } = await till.tenant('1');
    const credit = account.credit(organizationId);
    const take = (amountNano: bigint, from: 'available' | 'held'): Posting =>
      posting([
        { accountId: credit, amountNano: -amountNano, from },
        { accountId: account.revenue, amountNano },
      ]);
    const before = await balance(account.revenue);
    await expect(post(take(usd('1') + 1n, 'available'))).rejects.toMatchObject({ kind: 'payment-required' });
    await expect(post(take(1n, 'held'))).rejects.toMatchObject({ kind: 'payment-required' });
    expect([await balance(credit), await balance(account.revenue)]).toEqual([usd('1'), before]);
    await post(take(usd('1'), 'available'));
    expect(await balance(credit)).toBe(0n);
    await till.audit();
  });

  it('refuses an account that was never opened', async () => {
    const nowhere = [
      { accountId: account.payable('prv_nobody'), amountNano: 1n },
      { accountId: account.cash, amountNano: -1n },
    ];
    await expect(post(posting(nowhere))).rejects.toThrow();
    await till.audit();
  });

  it('refuses credit that is not more than zero', async () => {
    const { organizationId } = await till.tenant('0');
    for (const amount of [0n, -1n])
      await expect(
        till.tx((tx) => till.ledger.credit(tx, organizationId, amount, 'grant', `bad-${amount}`)),
      ).rejects.toMatchObject({ kind: 'invalid', details: { field: 'amount' } });
  });

  it('moves nothing and still remembers the key of a posting of nothing', async () => {
    const nothing = posting([{ accountId: account.cash, amountNano: 0n }]);
    expect(await post(nothing)).not.toBeNull();
    expect(await post(nothing)).toBeNull();
  });

  it('has balances equal to the sum of entries after any history', async () => {
    const pick = fc.nat(3);
    const move = fc.record({ from: pick, to: pick, amount: fc.bigInt({ min: 0n, max: usd('2') }) });
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.push(account.credit((await till.tenant('3')).organizationId));
    const at = (i: number): string => ids[i] ?? '';
    await fc.assert(
      fc.asyncProperty(fc.array(move, { maxLength: 12 }), async (moves) => {
        for (const m of moves) {
          const two = [
            { accountId: at(m.from), amountNano: -m.amount },
            { accountId: at(m.to), amountNano: m.amount },
          ];
          await post(posting(two)).catch((error: unknown) => {
            expect(error).toMatchObject({ code: 'insufficient-credit' });
          });
        }
        await till.audit();
        let sum = 0n;
        for (const id of ids) sum += await balance(id);
        expect(sum).toBe(usd('12'));
      }),
      { numRuns: opened.postgres ? 10 : 100 },
    );
  });
});

const postgres = specStores.find((s) => s.name === 'PostgreSQL');

(postgres ? describe : describe.skip)('the ledger under concurrency and raw SQL', () => {
  let opened: SpecStore;
  let till: Till;
  beforeAll(async () => {
    if (!postgres) throw new Error('no PostgreSQL');
    opened = await postgres.open();
    till = await openTill(opened);
  });
  afterAll(async () => opened.close());

  const owner = (text: string): Promise<unknown> => {
    if (!opened.postgres) throw new Error('not on PostgreSQL');
    return opened.postgres.owner.query(text);
  };
  it('moves money between five accounts in every order at once without a deadlock', async () => {
    const random = new SeededRandom('transfers');
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push(account.credit((await till.tenant('10')).organizationId));
    // A deadlock would be retried as a transaction of its own.
    const { store } = till;
    if (!(store instanceof PgStore)) throw new Error('not on PostgreSQL');
    const before = store.counts.transactions;
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => {
        const parties = ids.toSorted(() => random.float() - 0.5).slice(0, 3);
        const [a = '', b = '', c = ''] = parties;
        const list = [
          { accountId: a, amountNano: -3n },
          { accountId: b, amountNano: 2n },
          { accountId: c, amountNano: 1n },
        ];
        return till.tx((tx) =>
          till.ledger.post(tx, {
            idempotencyKey: `transfer-${i}`,
            kind: 'test',
            organizationId: null,
            reference: 'spec',
            entries: list,
          }),
        );
      }),
    );
    expect(store.counts.transactions - before).toBe(50);
    const rows = await till.tx((tx) => tx.find(accounts, { id: { in: ids } }));
    expect(rows.reduce((n, r) => n + r.balanceNano, 0n)).toBe(usd('50'));
    await till.audit();
  });

  /** The owner is bound by forced row-level security too, and so has to lift it before it can do harm; all of it is rolled back. */
  const asOwner = async (...statements: string[]): Promise<unknown> => {
    await owner('begin');
    try {
      for (const t of ['ledger_accounts', 'ledger_transactions', 'ledger_entries', 'ledger_unsealed'])
        await owner(`alter table ${t} no force row level security`);
      for (const text of statements) await owner(text);
      return 'done';
    } catch (error) {
      return (error as { code?: string }).code;
    } finally {
      await owner('rollback');
    }
  };
  const newTransaction =
    "insert into ledger_transactions (id, idempotency_key, kind, reference, at) values ('txn_x', 'x', 'test', 'x', now())";
  const entry = (n: number, amount: number): string =>
    `insert into ledger_entries (transaction_id, n, account_id, amount_nano, currency, at) values ('txn_x', ${n}, 'cash:berth', ${amount}, 'USD', now())`;
  const now = 'set constraints all immediate';

  it('holds entries to a sum of zero at the end of the transaction, whoever writes them', async () => {
    expect(await asOwner(newTransaction, entry(0, 5), entry(1, -5), now)).toBe('done');
    expect(await asOwner(newTransaction, entry(0, 5), now)).toBe('23514');
    expect(await asOwner(newTransaction, entry(0, 5), entry(1, -5), now, entry(2, 1))).toBe('23514');
    const worker = new Client({ connectionString: opened.postgres?.urlFor('berth_worker') });
    await worker.connect();
    await expect(worker.query(`begin; ${newTransaction}; ${entry(0, 5)}; commit`)).rejects.toMatchObject({
      code: '23514',
    });
    await worker.end();
    expect(await till.tx((tx) => tx.find(transactions, { id: 'txn_x' }))).toEqual([]);
  });

  const changes = [
    'update ledger_entries set amount_nano = amount_nano + 1',
    'delete from ledger_entries',
    "update ledger_transactions set kind = 'other'",
    'delete from ledger_transactions',
    'truncate ledger_entries',
    'truncate ledger_transactions cascade',
  ];

  it.each(changes)('refuses even the owner: %s', async (text) => {
    await till.tenant('1');
    expect(await asOwner(text)).toBe('23001');
  });

  it.each(changes)('refuses the roles of the processes: %s', async (text) => {
    for (const role of ['berth_worker', 'berth_app'] as const) {
      const client = new Client({ connectionString: opened.postgres?.urlFor(role) });
      await client.connect();
      await expect(client.query(text)).rejects.toMatchObject({ code: '42501' });
      await client.end();
    }
  });

  it('lets a request set credit aside, and neither make nor post any', async () => {
    const { organizationId } = await till.tenant('1');
    const id = account.credit(organizationId);
    const asTenant = (patch: Patch<AccountRow>): Promise<unknown> =>
      till.store.transaction({ as: 'tenant', organizationId, projectIds: 'all' }, (tx) =>
        tx.update(accounts, { id }, patch),
      );
    const moreCredit = asTenant({ availableNano: { add: 5n }, balanceNano: { add: 5n } });
    await expect(moreCredit).rejects.toMatchObject({ code: '42501' });
    const post = till.store.transaction({ as: 'tenant', organizationId, projectIds: 'all' }, (tx) =>
      till.ledger.credit(tx, organizationId, 5n, 'grant', 'own-gift'),
    );
    await expect(post).rejects.toMatchObject({ code: '42501' });
    await asTenant({ availableNano: { add: -5n }, heldNano: { add: 5n } });
    await asTenant({ availableNano: { add: 5n }, heldNano: { add: -5n } });
    await till.audit();
  });

  it('refuses to oversell or to split a balance wrongly in raw SQL', async () => {
    await till.tenant('1');
    for (const set of [
      'available_nano = available_nano - 2000000000, balance_nano = balance_nano - 2000000000',
      'available_nano = available_nano + 1',
      'held_nano = -1, available_nano = available_nano + 1',
    ])
      expect(await asOwner(`update ledger_accounts set ${set} where kind = 'credit'`)).toBe('23514');
  });
});

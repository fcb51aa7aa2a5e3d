import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { usd } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { account, accounts, chain, days, GENESIS, seals, Sealer, unsealed, type Posting } from './index.js';
import { canonicalText, checkLink, daysOf, digestOf, linkHash } from './seal.js';
import type { EntryRow, TransactionRow } from './ledger.table.js';

const move = (amountNano: bigint): Posting['entries'] => [
  { accountId: account.cash, amountNano: -amountNano },
  { accountId: account.revenue, amountNano },
];

describe('the text that is sealed', () => {
  const t: TransactionRow = {
    id: 'txn_1',
    idempotencyKey: 'k "1"',
    kind: 'payment',
    organizationId: null,
    reference: 'a\nb',
    reverses: null,
    at: 1_000,
  };
  const e = (n: number, amountNano: bigint): EntryRow => ({
    transactionId: 'txn_1',
    n,
    accountId: `a${n}`,
    organizationId: null,
    amountNano,
    currency: 'USD',
    at: 1_000,
  });

  it('is a line for the transaction and one for each entry, in order', () => {
    expect(canonicalText(t, [e(1, 5n), e(0, -5n)])).toBe(
      '["txn_1","k \\"1\\"","payment",null,"a\\nb",null,1000]\n[0,"a0",null,"USD","-5",1000]\n[1,"a1",null,"USD","5",1000]\n',
    );
  });

  it('changes with everything that a link says', () => {
    const link = {
      n: 1,
      previous: GENESIS,
      transactionIds: ['a', 'b'],
      digests: ['x', 'y'],
      throughAt: 1,
      sealedAt: 2,
    };
    const variants = [
      link,
      { ...link, n: 2 },
      { ...link, previous: 'x' },
      { ...link, transactionIds: ['b', 'a'] },
      { ...link, digests: ['y', 'x'] },
      { ...link, throughAt: 2 },
      { ...link, sealedAt: 1 },
    ];
    expect(new Set(variants.map(linkHash)).size).toBe(variants.length);
    expect(linkHash(link)).toMatch(/^[0-9a-f]{64}$/);
  });

  it('tells a link out of turn, and one that stands on another', () => {
    const body = { n: 3, previous: 'p', transactionIds: [], digests: [], throughAt: 1, sealedAt: 2 };
    const link = { ...body, hash: linkHash(body) };
    expect(checkLink(link, { n: 2, hash: 'p' }, [], [])).toBeNull();
    expect(checkLink(link, { n: 1, hash: 'p' }, [], [])).toEqual({
      seal: 2,
      transactionId: null,
      what: 'seal-missing',
    });
    expect(checkLink(link, { n: 2, hash: 'q' }, [], [])).toMatchObject({ seal: 3, what: 'chain-cut' });
    expect(checkLink({ ...link, sealedAt: 3 }, { n: 2, hash: 'p' }, [], [])).toMatchObject({ what: 'seal-changed' });
  });

  it('tells a transaction that is gone, and one that is not as it was', () => {
    const own = [e(0, -5n), e(1, 5n)];
    const other = { ...t, id: 'txn_0' };
    const body = {
      n: 3,
      previous: 'p',
      transactionIds: ['txn_0', 'txn_1'],
      digests: [digestOf(other, []), digestOf(t, own)],
      throughAt: 1,
      sealedAt: 2,
    };
    const link = { ...body, hash: linkHash(body) };
    const judged = (transactions: TransactionRow[], entries: EntryRow[]) =>
      checkLink(link, { n: 2, hash: 'p' }, transactions, entries);
    expect(digestOf(t, own)).toMatch(/^[0-9a-f]{64}$/);
    expect(judged([t, other], own)).toBeNull();
    expect(judged([other], own)).toEqual({ seal: 3, transactionId: 'txn_1', what: 'transaction-missing' });
    const changed = { seal: 3, transactionId: 'txn_1', what: 'transaction-changed' };
    expect(judged([{ ...t, reference: 'x' }, other], own)).toEqual(changed);
    expect(judged([t, other], [e(0, -6n), e(1, 6n)])).toEqual(changed);
    expect(judged([t, other], [])).toEqual(changed);
    // Entries that were slipped under one that has none are told too.
    const slipped = { ...e(0, 1n), transactionId: 'txn_0' };
    expect(judged([t, other], [...own, slipped])).toEqual({ ...changed, transactionId: 'txn_0' });
  });

  it('sums entries up by account and day, cut at midnight', () => {
    const at = (ms: number, amountNano: bigint): EntryRow => ({ ...e(0, amountNano), at: ms });
    expect(daysOf([at(0, 1n), at(86_399_999, 2n), at(86_400_000, 4n)])).toEqual([
      { accountId: 'a0', day: 0, amountNano: 3n, entries: 2 },
      { accountId: 'a0', day: 1, amountNano: 4n, entries: 1 },
    ]);
  });
});

describe.each(specStores)('sealing $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  let sealer: Sealer;
  beforeEach(async () => {
    opened = await open();
    till = await openTill(opened);
    sealer = new Sealer(till.store, 3);
  });
  afterEach(async () => opened.close());

  let keys = 0;
  const post = async (amountNano = 1n): Promise<string> =>
    (await till.tx((tx) =>
      till.ledger.post(tx, {
        idempotencyKey: `key-${keys++}`,
        kind: 'test',
        organizationId: null,
        reference: 'spec',
        entries: move(amountNano),
      }),
    )) ?? '';

  it('has nothing to seal at first, and says so', async () => {
    expect(await sealer.run()).toBeNull();
    expect(await sealer.verify()).toEqual({
      through: 0,
      transactions: 0,
      broken: null,
      done: true,
      sealed: { n: 0, hash: GENESIS, transactions: 0 },
      rest: { transactions: 0, unsealed: 0, unsealedSince: null, lost: 0, wrongAccounts: [] },
    });
  });

  it('seals each transaction once, in links that stand on each other, and says how far it came', async () => {
    const ids: string[] = [];
    for (let i = 1; i <= 7; i++) ids.push(await post(BigInt(i)));
    const last = await sealer.run();
    expect(last).toMatchObject({ n: 3 });
    const links = await till.tx((tx) => tx.find(seals, {}, { orderBy: [['n', 'asc']] }));
    expect(links.map((l) => l.transactionIds.length)).toEqual([3, 3, 1]);
    expect(links.flatMap((l) => l.transactionIds).sort()).toEqual(ids.sort());
    expect(links.map((l) => l.previous)).toEqual([GENESIS, links[0]?.hash, links[1]?.hash]);
    expect(await till.tx((tx) => tx.first(chain, { singleton: true }))).toMatchObject({
      n: 3,
      hash: last?.hash,
      transactions: 7,
    });
    await post();
    const first = await sealer.verify(0, 2);
    expect(first).toMatchObject({ through: 2, transactions: 6, broken: null, done: false, rest: null });
    expect(await sealer.verify(first.through, 2)).toMatchObject({
      through: 3,
      transactions: 1,
      broken: null,
      done: true,
      sealed: { n: 3, hash: last?.hash, transactions: 7 },
      rest: { transactions: 8, unsealed: 1, lost: 0, wrongAccounts: [] },
    });
    await till.audit();
  });

  it('moves the broker’s own accounts when it seals, never a posting', async () => {
    const stored = (): Promise<bigint | undefined> =>
      till.tx(async (tx) => (await tx.first(accounts, { id: account.revenue }))?.balanceNano);
    await post(usd('2'));
    expect(await stored()).toBe(0n);
    await sealer.run();
    expect(await stored()).toBe(usd('2'));
    await post(usd('1'));
    expect(await stored()).toBe(usd('2'));
    await sealer.run();
    expect(await stored()).toBe(usd('3'));
    const totals = await till.tx((tx) => tx.find(days, { accountId: account.revenue }));
    expect(totals.reduce((a, d) => a + d.amountNano, 0n)).toBe(usd('3'));
    expect(totals.reduce((a, d) => a + d.entries, 0)).toBe(2);
    await till.audit();
  });

  it('lets one seal where several try at once', async () => {
    for (let i = 0; i < 10; i++) await post();
    await Promise.all(Array.from({ length: 4 }, () => sealer.run()));
    await sealer.run();
    expect(await till.tx((tx) => tx.find(unsealed, {}))).toEqual([]);
    expect(await sealer.verify()).toMatchObject({ transactions: 10, broken: null, done: true });
    await till.audit();
  });
});

const [, kind] = specStores;

(kind ? describe : describe.skip)('a ledger that somebody has been at', () => {
  let opened: SpecStore;
  let till: Till;
  let sealer: Sealer;
  let ids: string[];
  beforeAll(async () => {
    if (!kind) throw new Error('no PostgreSQL');
    opened = await kind.open();
    till = await openTill(opened);
    sealer = new Sealer(till.store, 2);
    for (let i = 1; i <= 6; i++)
      await till.tx((tx) =>
        till.ledger.post(tx, {
          idempotencyKey: `key-${i}`,
          kind: 'test',
          organizationId: null,
          reference: 'spec',
          entries: move(BigInt(i)),
        }),
      );
    await sealer.run();
    ids = await till.tx(async (tx) =>
      (await tx.find(seals, {}, { orderBy: [['n', 'asc']] })).flatMap((l) => l.transactionIds),
    );
  });
  afterAll(async () => opened.close());

  /** What the verification says after the owner of the tables has done this; it is undone by `back`. */
  const after = async (harm: string, back: string): Promise<unknown> => {
    const owner = (text: string): Promise<unknown> => {
      if (!opened.postgres) throw new Error('not on PostgreSQL');
      return opened.postgres.owner.query(text);
    };
    const every = ['accounts', 'transactions', 'entries', 'unsealed', 'seals', 'chain', 'days'];
    const lift = (what: string): string => every.map((t) => `alter table ledger_${t} ${what}`).join(';');
    const run = (text: string): Promise<unknown> =>
      owner(`begin; ${lift('no force row level security')}; ${lift('disable trigger user')}; ${text};
        ${lift('enable trigger user')}; ${lift('force row level security')}; commit`);
    await run(harm);
    try {
      const { broken, rest } = await sealer.verify();
      return broken ?? rest;
    } finally {
      await run(back);
      expect(await sealer.verify()).toMatchObject({ broken: null, rest: { lost: 0, wrongAccounts: [] } });
    }
  };

  it('is told by the first transaction with another amount', async () => {
    const by = (sign: string): string =>
      `update ledger_entries set amount_nano = amount_nano ${sign} case n when 0 then -1 else 1 end where transaction_id in ('${ids[3]}', '${ids[4]}')`;
    expect(await after(by('+ 1 *'), by('- 1 *'))).toEqual({
      seal: 2,
      transactionId: ids[3],
      what: 'transaction-changed',
    });
  });

  it('is told by a transaction with another time, reference or account', async () => {
    const set = (t: string, column: string, to: string, from: string): Promise<unknown> =>
      after(
        `update ${t} set ${column} = ${to} where ${t === 'ledger_entries' ? 'n = 0 and transaction_id' : 'id'} = '${ids[0]}'`,
        `update ${t} set ${column} = ${from} where ${t === 'ledger_entries' ? 'n = 0 and transaction_id' : 'id'} = '${ids[0]}'`,
      );
    const changed = { seal: 1, transactionId: ids[0], what: 'transaction-changed' };
    const second = "interval '1 second'";
    expect(await set('ledger_transactions', 'at', `at + ${second}`, `at - ${second}`)).toEqual(changed);
    expect(await set('ledger_entries', 'at', `at + ${second}`, `at - ${second}`)).toEqual(changed);
    expect(await set('ledger_transactions', 'reference', "'other'", "'spec'")).toEqual(changed);
    expect(await set('ledger_entries', 'account_id', "'fees:berth'", "'cash:berth'")).toEqual(changed);
  });

  it('is told by a transaction that is gone', async () => {
    const id = ids[2] ?? '';
    expect(
      await after(
        `create table gone_e as select * from ledger_entries where transaction_id = '${id}';
         create table gone_t as select * from ledger_transactions where id = '${id}';
         delete from ledger_entries where transaction_id = '${id}'; delete from ledger_transactions where id = '${id}'`,
        'insert into ledger_transactions select * from gone_t; insert into ledger_entries select * from gone_e; drop table gone_e, gone_t',
      ),
    ).toEqual({ seal: 2, transactionId: id, what: 'transaction-missing' });
  });

  it('is told by a link that was written anew, and by one that is gone', async () => {
    const swap = 'update ledger_seals set digests = array[digests[2], digests[1]] where n = 2';
    expect(await after(swap, swap)).toEqual({ seal: 2, transactionId: null, what: 'seal-changed' });
    const gone = (n: number): Promise<unknown> =>
      after(
        `create table gone as select * from ledger_seals where n = ${n}; delete from ledger_seals where n = ${n}`,
        'insert into ledger_seals select * from gone; drop table gone',
      );
    expect(await gone(2)).toEqual({ seal: 2, transactionId: null, what: 'seal-missing' });
    expect(await gone(3)).toEqual({ seal: 3, transactionId: null, what: 'seal-missing' });
  });

  it('is told by a balance that its entries do not make, and by totals of a day that they do not', async () => {
    const balance = (sign: string): string =>
      `update ledger_accounts set balance_nano = balance_nano ${sign} 1, available_nano = available_nano ${sign} 1 where id = 'cash:berth'`;
    expect(await after(balance('+'), balance('-'))).toMatchObject({ wrongAccounts: ['cash:berth'], lost: 0 });
    const day = (sign: string): string =>
      `update ledger_days set amount_nano = amount_nano ${sign} 1 where account_id = 'revenue:berth'`;
    expect(await after(day('+'), day('-'))).toMatchObject({ wrongAccounts: ['revenue:berth'] });
  });

  it('is told by a transaction that was slipped in past the queue', async () => {
    expect(
      await after(
        "insert into ledger_transactions values ('txn_x', 'x', 'test', null, 'x', null, now())",
        "delete from ledger_transactions where id = 'txn_x'",
      ),
    ).toMatchObject({ lost: 1, unsealed: 0 });
  });

  it('lets no process rewrite a link', async () => {
    const client = new Client({ connectionString: opened.postgres?.urlFor('berth_worker') });
    await client.connect();
    for (const text of ["update ledger_seals set hash = 'x'", 'delete from ledger_seals', 'truncate ledger_seals'])
      await expect(client.query(text)).rejects.toMatchObject({ code: '42501' });
    await client.end();
  });

  it('passes over no transaction that commits after one that began later', async () => {
    const early = new Client({ connectionString: opened.postgres?.urlFor('berth_worker') });
    await early.connect();
    await early.query('begin');
    await early.query(
      "insert into ledger_transactions (id, idempotency_key, kind, reference, at) values ('txn_0', 'early', 'test', 'x', now())",
    );
    const post = (key: string): Promise<string | null> =>
      till.tx((tx) =>
        till.ledger.post(tx, {
          idempotencyKey: key,
          kind: 'test',
          organizationId: null,
          reference: 'spec',
          entries: move(1n),
        }),
      );
    await post('late');
    const before = await sealer.run();
    expect(before?.transactionIds).not.toContain('txn_0');
    await early.query('commit');
    await early.end();
    expect((await sealer.run())?.transactionIds).toEqual(['txn_0']);
    expect(await sealer.verify()).toMatchObject({ broken: null, rest: { unsealed: 0, lost: 0 } });
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Till } from '#testing/till';
import { account, balancesBefore, statement, trialBalance, type StatementEntry, type StatementMark } from './index.js';
import { ledgerPost } from './post.js';

const DAY_MS = 86_400_000;
/** Midnight, a year before the specs' clocks. */
const START = Math.floor(Date.UTC(2025, 5, 1) / DAY_MS) * DAY_MS;

describe.each(specStores)('the past of the ledger $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  let credit: string;
  let n = 0;
  /** Pays `amountNano` in at that time; ids in an order of their own. */
  const payAt = (at: number, amountNano: bigint): Promise<unknown> =>
    till.tx((tx) =>
      tx.call(ledgerPost, {
        id: `txn_${(997 * ++n) % 1_000}_${n}`,
        key: `past-${n}`,
        kind: 'payment',
        organizationId: null,
        reference: `payment ${n}`,
        reverses: null,
        at,
        entries: [
          { accountId: account.cash, amountNano: -amountNano, from: 'available' },
          { accountId: credit, amountNano, from: 'available' },
        ],
      }),
    );
  const times = [0, 5, 5, 5, DAY_MS - 1, DAY_MS, DAY_MS + 1, 3 * DAY_MS, 3 * DAY_MS, 40 * DAY_MS];
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
    const { organizationId } = await till.tenant('0');
    credit = account.credit(organizationId);
    await till.tx((tx) => till.ledger.open(tx, [{ id: credit, kind: 'credit', organizationId }]));
    // A part is sealed, a part is not, and what comes late belongs to a day that is folded already.
    for (const [i, ms] of times.entries()) {
      if (i === 6) await till.sealer.run();
      await payAt(START + ms, 1n << BigInt(i));
    }
    await payAt(START + 7, 1n << 20n);
  });
  afterAll(async () => opened.close());

  const all = [...times.map((ms, i) => ({ ms, amount: 1n << BigInt(i) })), { ms: 7, amount: 1n << 20n }];
  const expected = (beforeMs: number): bigint => all.reduce((a, e) => (e.ms < beforeMs ? a + e.amount : a), 0n);
  const instants = [0, 1, 5, 6, 8, DAY_MS - 1, DAY_MS, DAY_MS + 1, DAY_MS + 2, 3 * DAY_MS, 3 * DAY_MS + 1, 99 * DAY_MS];

  const balance = async (at: number | null): Promise<bigint> =>
    (await till.tx((tx) => balancesBefore(tx, at, [credit]))).get(credit) ?? 0n;

  it.each(instants)('knows what an account had right before %d ms', async (ms) => {
    expect(await balance(START + ms)).toBe(expected(ms));
  });

  it('knows what it has now', async () => {
    expect(await balance(null)).toBe(expected(Infinity));
  });

  it.each(instants)('has a trial balance of zero at %d ms, with every account', async (ms) => {
    const rows = await till.tx((tx) => trialBalance(tx, START + ms));
    expect(rows.reduce((a, r) => a + r.balanceNano, 0n)).toBe(0n);
    expect(rows.find((r) => r.accountId === credit)).toMatchObject({ kind: 'credit', balanceNano: expected(ms) });
    expect(rows.find((r) => r.accountId === account.cash)?.balanceNano).toBe(-expected(ms));
    expect(rows.find((r) => r.accountId === account.fees)?.balanceNano).toBe(0n);
  });

  const whole = async (from: number, to: number, limit: number): Promise<StatementEntry[]> => {
    const entries: StatementEntry[] = [];
    for (let after: StatementMark | undefined; ;) {
      const of = { accountId: credit, fromMs: START + from, toMs: START + to, limit, ...(after ? { after } : {}) };
      const page = await till.tx((tx) => statement(tx, of));
      expect([page.openingNano, page.closingNano]).toEqual([expected(from), expected(to)]);
      entries.push(...page.entries);
      if (entries.length > all.length) throw new Error('a page that was read comes again');
      if (page.entries.length < limit) return entries;
      after = page.entries.at(-1);
    }
  };

  it.each([1, 2, 3, 100])('shows the same statement in pages of %d', async (limit) => {
    for (const [from, to] of [
      [0, 99 * DAY_MS],
      [5, DAY_MS],
      [6, 3 * DAY_MS],
      [DAY_MS, DAY_MS],
    ] as const) {
      const entries = await whole(from, to, limit);
      const due = all.filter((e) => e.ms >= from && e.ms < to);
      expect(entries.map((e) => e.amountNano).sort()).toEqual(due.map((e) => e.amount).sort());
      expect(entries.map((e) => e.at)).toEqual(entries.map((e) => e.at).toSorted((a, b) => a - b));
      let running = expected(from);
      for (const e of entries) expect(e.balanceNano).toBe((running += e.amountNano));
      expect(running).toBe(expected(to));
    }
  });

  it('says of each entry what it was', async () => {
    const [first] = await whole(0, 1, 10);
    expect(first).toEqual({
      transactionId: 'txn_997_1',
      n: 1,
      at: START,
      kind: 'payment',
      reference: 'payment 1',
      reverses: null,
      amountNano: 1n,
      balanceNano: 1n,
    });
  });

  it('lists all accounts by their ids, and of balances those that have entries', async () => {
    const rows = await till.tx((tx) => trialBalance(tx, null));
    const ids = rows.map((r) => r.accountId);
    expect(ids).toEqual(ids.toSorted());
    expect(new Set(rows.map((r) => r.currency))).toEqual(new Set(['USD']));
    const balances = await till.tx((tx) => balancesBefore(tx, null));
    expect([...balances]).toEqual([
      [account.cash, -expected(Infinity)],
      [credit, expected(Infinity)],
    ]);
    expect([...(await till.tx((tx) => balancesBefore(tx, null, [account.cash])))]).toEqual([
      [account.cash, -expected(Infinity)],
    ]);
    expect([...(await till.tx((tx) => balancesBefore(tx, START)))]).toEqual([]);
  });

  it('has entries of one account in one transaction in the order in which they were posted', async () => {
    const at = START + 500 * DAY_MS;
    const id = account.sla;
    const amounts = [5n, -3n, 4n, -6n];
    await till.tx((tx) =>
      tx.call(ledgerPost, {
        ...{
          id: 'txn_twice',
          key: 'twice',
          kind: 'correction',
          organizationId: null,
          reference: 'r',
          reverses: null,
          at,
        },
        entries: amounts.map((amountNano) => ({ accountId: id, amountNano, from: 'available' as const })),
      }),
    );
    const of = { accountId: id, fromMs: START, toMs: at + 1 };
    const page = (limit: number, after?: StatementMark) =>
      till.tx((tx) => statement(tx, { ...of, limit, ...(after ? { after } : {}) }));
    const { entries, openingNano, closingNano } = await page(10);
    expect([openingNano, closingNano]).toEqual([0n, 0n]);
    expect(entries.map((e) => [e.n, e.amountNano, e.balanceNano])).toEqual([
      [0, 5n, 5n],
      [1, -3n, 2n],
      [2, 4n, 6n],
      [3, -6n, 0n],
    ]);
    expect((await page(2, entries[0])).entries.map((e) => [e.n, e.balanceNano])).toEqual([
      [1, 2n],
      [2, 6n],
    ]);
    expect((await page(2, entries[3])).entries).toEqual([]);
  });

  it('tells the same when all of it is sealed', async () => {
    await till.sealer.run();
    for (const ms of instants) expect(await balance(START + ms)).toBe(expected(ms));
    expect(await till.sealer.verify()).toMatchObject({
      broken: null,
      rest: { unsealed: 0, lost: 0, wrongAccounts: [] },
    });
    await till.audit();
  });
});

import type { Procedure, Tx } from '#platform/database';
import { accounts, entries, transactions, type EntryRow } from './ledger.table.js';
import { chain, days, unsealed } from './seal.table.js';
import { grouped } from './seal.js';

const total = (list: readonly { readonly amountNano: bigint }[]): bigint => list.reduce((a, e) => a + e.amountNano, 0n);

interface BalancesResult {
  readonly balances: readonly { readonly accountId: string; readonly balanceNano: string }[];
}

/** Balances of the accounts that have entries; `before` null is now, `accounts` null is all. */
const ledgerBalances: Procedure<{ accounts: string[] | null; before: number | null }, BalancesResult> = {
  name: 'ledger_balances',
  args: { accounts: 'texts', before: 'time' },
  result: { balances: 'json' },
  inMemory: async (tx, { accounts: ids, before }) => {
    const list = await tx.find(entries, {
      ...(ids === null ? {} : { accountId: { in: ids } }),
      ...(before === null ? {} : { at: { lt: before } }),
    });
    const by = [...grouped(list, (e) => e.accountId)].sort(([a], [b]) => (a < b ? -1 : 1));
    return { balances: by.map(([accountId, own]) => ({ accountId, balanceNano: String(total(own)) })) };
  },
};

/** What each account had right before an instant (null: has now), by its id; exact also where the row lags behind its entries. */
export async function balancesBefore(
  tx: Tx,
  beforeMs: number | null,
  ids: readonly string[] | null = null,
): Promise<Map<string, bigint>> {
  const { balances } = await tx.call(ledgerBalances, { accounts: ids === null ? null : [...ids], before: beforeMs });
  return new Map(balances.map((b) => [b.accountId, BigInt(b.balanceNano)]));
}

export interface TrialBalanceRow {
  readonly accountId: string;
  readonly kind: string;
  readonly currency: string;
  readonly balanceNano: bigint;
}

/** Every account as it stood right before an instant (null: stands now), by id; the rows of each currency sum to zero. */
export async function trialBalance(tx: Tx, beforeMs: number | null): Promise<TrialBalanceRow[]> {
  const balances = await balancesBefore(tx, beforeMs);
  const all = await tx.find(accounts, {}, { orderBy: [['id', 'asc']] });
  return all.map(({ id, kind, currency }) => ({
    accountId: id,
    kind,
    currency,
    balanceNano: balances.get(id) ?? 0n,
  }));
}

/** Where a page of a statement ended. */
export interface StatementMark {
  readonly at: number;
  readonly transactionId: string;
  readonly n: number;
}

export interface StatementEntry extends StatementMark {
  readonly kind: string;
  readonly reference: string;
  readonly reverses: string | null;
  readonly amountNano: bigint;
  /** What the account had after this entry. */
  readonly balanceNano: bigint;
}

export interface Statement {
  readonly openingNano: bigint;
  readonly closingNano: bigint;
  readonly entries: readonly StatementEntry[];
}

interface StatementArgs {
  readonly account: string;
  readonly from: number;
  readonly to: number;
  readonly afterAt: number | null;
  readonly afterId: string | null;
  readonly afterN: number | null;
  readonly limit: number;
}

interface StatementResult {
  readonly openingNano: bigint;
  readonly closingNano: bigint;
  /** The balance before the first entry of the page. */
  readonly carriedNano: bigint;
  readonly entries: readonly (Omit<StatementEntry, 'amountNano' | 'balanceNano'> & { readonly amountNano: string })[];
}

const byTime = (a: StatementMark, b: StatementMark): number =>
  a.at - b.at || (a.transactionId < b.transactionId ? -1 : a.transactionId > b.transactionId ? 1 : a.n - b.n);

const ledgerStatement: Procedure<StatementArgs, StatementResult> = {
  name: 'ledger_statement',
  args: { account: 'text', from: 'time', to: 'time', afterAt: 'time', afterId: 'text', afterN: 'int', limit: 'int' },
  result: { openingNano: 'bigint', closingNano: 'bigint', carriedNano: 'bigint', entries: 'json' },
  inMemory: async (tx, { account, from, to, afterAt, afterId, afterN, limit }) => {
    const all = (await tx.find(entries, { accountId: account, at: { lt: to } })).sort(byTime);
    const mark = afterAt === null ? null : { at: afterAt, transactionId: afterId ?? '', n: afterN ?? 0 };
    const past = (e: EntryRow): boolean => e.at >= from && (mark === null || byTime(e, mark) > 0);
    const page = all.filter(past).slice(0, limit);
    const of = await tx.find(transactions, { id: { in: page.map((e) => e.transactionId) } });
    const byId = new Map(of.map((t) => [t.id, t]));
    return {
      openingNano: total(all.filter((e) => e.at < from)),
      closingNano: total(all),
      carriedNano: total(all.filter((e) => !past(e))),
      entries: page.map(({ transactionId, n, at, amountNano }) => {
        const { kind = '', reference = '', reverses = null } = byId.get(transactionId) ?? {};
        return { transactionId, n, at, kind, reference, reverses, amountNano: String(amountNano) };
      }),
    };
  },
};

/**
 * An account from `fromMs` up to but not including `toMs`: opening, a page of the entries with the balance after each, closing.
 * One look at the books, so opening + all entries = closing.
 */
export async function statement(
  tx: Tx,
  of: { accountId: string; fromMs: number; toMs: number; after?: StatementMark; limit: number },
): Promise<Statement> {
  const {
    openingNano,
    closingNano,
    carriedNano,
    entries: page,
  } = await tx.call(ledgerStatement, {
    account: of.accountId,
    from: of.fromMs,
    to: of.toMs,
    afterAt: of.after?.at ?? null,
    afterId: of.after?.transactionId ?? null,
    afterN: of.after?.n ?? null,
    limit: of.limit,
  });
  let balanceNano = carriedNano;
  return {
    openingNano,
    closingNano,
    entries: page.map((e) => {
      const amountNano = BigInt(e.amountNano);
      balanceNano += amountNano;
      return { ...e, amountNano, balanceNano };
    }),
  };
}

/** What the whole ledger says of itself. */
export interface CheckResult {
  readonly transactions: number;
  readonly unsealed: number;
  /** The time of the oldest transaction that no seal covers. */
  readonly unsealedSince: number | null;
  /** Transactions that are neither sealed nor waiting for it, or minus those that are gone; 0 when all is well. */
  readonly lost: number;
  /** The first accounts, by id, whose balance or totals by day are not the sum of their entries. */
  readonly wrongAccounts: readonly string[];
}

/** Counts and replays the whole ledger: every balance is compared with the sum of the account's entries; tells `most` wrong ones. */
export const ledgerCheck: Procedure<{ readonly most: number }, CheckResult> = {
  name: 'ledger_check',
  args: { most: 'int' },
  result: { transactions: 'int', unsealed: 'int', unsealedSince: 'time', lost: 'int', wrongAccounts: 'json' },
  inMemory: async (tx, { most }) => {
    const posted = grouped(await tx.find(entries, {}), (e) => e.accountId);
    const byDay = grouped(await tx.find(days, {}), (d) => d.accountId);
    const waiting = await tx.find(unsealed, {}, { orderBy: [['at', 'asc']] });
    const ids = new Set(waiting.map((w) => w.transactionId));
    const wrongAccounts = (await tx.find(accounts, {}, { orderBy: [['id', 'asc']] })).filter((a) => {
      const own = posted.get(a.id) ?? [];
      const sealed = total(own.filter((e) => !ids.has(e.transactionId)));
      return a.balanceNano !== (a.folded ? sealed : total(own)) || total(byDay.get(a.id) ?? []) !== sealed;
    });
    const count = (await tx.find(transactions, {})).length;
    const sealed = (await tx.first(chain, { singleton: true }))?.transactions ?? 0;
    return {
      transactions: count,
      unsealed: waiting.length,
      unsealedSince: waiting[0]?.at ?? null,
      lost: count - sealed - waiting.length,
      wrongAccounts: wrongAccounts.slice(0, most).map((a) => a.id),
    };
  },
};

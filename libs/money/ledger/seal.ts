import { createHash } from 'node:crypto';
import type { EntryRow, TransactionRow } from './ledger.table.js';
import type { SealRow } from './seal.table.js';

/** Rows by a key, in the order in which the keys come first. */
export function grouped<T>(rows: readonly T[], keyOf: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group) group.push(row);
    else groups.set(keyOf(row), [row]);
  }
  return groups;
}

/** What the first link stands on. */
export const GENESIS = '0'.repeat(64);

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * A transaction with its entries as one text, the same wherever it is written: a line for each, JSON without spaces, amounts in
 * nano-units, times in milliseconds.
 */
export function canonicalText(t: TransactionRow, entries: readonly EntryRow[]): string {
  const head = [t.id, t.idempotencyKey, t.kind, t.organizationId, t.reference, t.reverses, t.at];
  const lines = entries
    .toSorted((a, b) => a.n - b.n)
    .map((e) => [e.n, e.accountId, e.organizationId, e.currency, String(e.amountNano), e.at]);
  return [head, ...lines].map((line) => `${JSON.stringify(line)}\n`).join('');
}

export const digestOf = (t: TransactionRow, entries: readonly EntryRow[]): string => sha256(canonicalText(t, entries));

/** The hash of a link: over the one before and everything that the link says. */
export function linkHash(link: Omit<SealRow, 'hash'>): string {
  const { previous, n, throughAt, sealedAt, transactionIds, digests } = link;
  return sha256(`${JSON.stringify([previous, n, throughAt, sealedAt, transactionIds, digests])}\n`);
}

/** The first thing that is not as it was sealed. */
export interface Broken {
  readonly seal: number;
  readonly transactionId: string | null;
  readonly what: 'seal-missing' | 'seal-changed' | 'chain-cut' | 'transaction-missing' | 'transaction-changed';
}

/** Judges a link by what stands in the books; `before` is the link before it (number and hash). */
export function checkLink(
  link: SealRow,
  before: { readonly n: number; readonly hash: string },
  transactions: readonly TransactionRow[],
  entries: readonly EntryRow[],
): Broken | null {
  if (link.n !== before.n + 1) return { seal: before.n + 1, transactionId: null, what: 'seal-missing' };
  if (linkHash(link) !== link.hash) return { seal: link.n, transactionId: null, what: 'seal-changed' };
  if (link.previous !== before.hash) return { seal: link.n, transactionId: null, what: 'chain-cut' };
  const found = new Map(transactions.map((t) => [t.id, t]));
  const of = grouped(entries, (e) => e.transactionId);
  for (const [i, transactionId] of link.transactionIds.entries()) {
    const transaction = found.get(transactionId);
    if (!transaction) return { seal: link.n, transactionId, what: 'transaction-missing' };
    if (digestOf(transaction, of.get(transactionId) ?? []) !== link.digests[i])
      return { seal: link.n, transactionId, what: 'transaction-changed' };
  }
  return null;
}

const DAY_MS = 86_400_000;

/** What entries add to the totals by account and day (UTC). */
export function daysOf(
  entries: readonly EntryRow[],
): { accountId: string; day: number; amountNano: bigint; entries: number }[] {
  const by = grouped(entries, (e) => `${Math.floor(e.at / DAY_MS)} ${e.accountId}`);
  return [...by.values()].map((list) => ({
    // A group has one entry at least.
    accountId: list[0]?.accountId ?? '',
    day: Math.floor((list[0]?.at ?? 0) / DAY_MS),
    amountNano: list.reduce((a, e) => a + e.amountNano, 0n),
    entries: list.length,
  }));
}

import { table } from '#platform/database';
import type { AccountKind } from './chart.js';

export interface AccountRow {
  id: string;
  organizationId: string | null;
  kind: AccountKind;
  balanceNano: bigint;
  availableNano: bigint;
  heldNano: bigint;
  /** How far below zero what is available may go: what a tenant who pays afterwards may owe. */
  creditLimitNano: bigint;
  bounded: boolean;
  currency: string;
  /** The balance stands as of the last seal: postings write entries only, so that they do not wait for each other here. */
  folded: boolean;
}

export const accounts = table<AccountRow>(
  'ledger_accounts',
  {
    id: 'text',
    organizationId: 'text',
    kind: 'text',
    balanceNano: 'bigint',
    availableNano: 'bigint',
    heldNano: 'bigint',
    creditLimitNano: 'bigint',
    bounded: 'bool',
    currency: 'text',
    folded: 'bool',
  },
  { key: ['id'] },
);

export interface TransactionRow {
  id: string;
  idempotencyKey: string;
  kind: string;
  organizationId: string | null;
  reference: string;
  /** The transaction that this one takes back; each is taken back once at most. */
  reverses: string | null;
  at: number;
}

export const transactions = table<TransactionRow>(
  'ledger_transactions',
  {
    id: 'text',
    idempotencyKey: 'text',
    kind: 'text',
    organizationId: 'text',
    reference: 'text',
    reverses: 'text',
    at: 'time',
  },
  { key: ['id'], unique: [['idempotencyKey'], ['reverses']] },
);

export interface EntryRow {
  transactionId: string;
  n: number;
  accountId: string;
  organizationId: string | null;
  amountNano: bigint;
  currency: string;
  /** The transaction's time. */
  at: number;
}

export const entries = table<EntryRow>(
  'ledger_entries',
  {
    transactionId: 'text',
    n: 'int',
    accountId: 'text',
    organizationId: 'text',
    amountNano: 'bigint',
    currency: 'text',
    at: 'time',
  },
  { key: ['transactionId', 'n'] },
);

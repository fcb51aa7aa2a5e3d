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
  },
  { key: ['id'] },
);

export interface TransactionRow {
  id: string;
  idempotencyKey: string;
  kind: string;
  organizationId: string | null;
  reference: string;
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
  { key: ['id'], unique: [['idempotencyKey']] },
);

export interface EntryRow {
  transactionId: string;
  n: number;
  accountId: string;
  organizationId: string | null;
  amountNano: bigint;
}

export const entries = table<EntryRow>(
  'ledger_entries',
  { transactionId: 'text', n: 'int', accountId: 'text', organizationId: 'text', amountNano: 'bigint' },
  { key: ['transactionId', 'n'] },
);

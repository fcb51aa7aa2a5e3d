import { table } from '#platform/database';

/** A committed transaction that no seal covers yet. A row comes with each transaction (a trigger) and goes with its seal. */
export interface UnsealedRow {
  transactionId: string;
  at: number;
}

export const unsealed = table<UnsealedRow>(
  'ledger_unsealed',
  { transactionId: 'text', at: 'time' },
  { key: ['transactionId'] },
);

/** One link of the chain. */
export interface SealRow {
  n: number;
  /** The hash of the link before; `GENESIS` for the first. */
  previous: string;
  hash: string;
  transactionIds: string[];
  /** The sha256 of each transaction's canonical text, in the order of `transactionIds`. */
  digests: string[];
  /** The latest time of its transactions. */
  throughAt: number;
  sealedAt: number;
}

export const seals = table<SealRow>(
  'ledger_seals',
  {
    n: 'int',
    previous: 'text',
    hash: 'text',
    transactionIds: 'texts',
    digests: 'texts',
    throughAt: 'time',
    sealedAt: 'time',
  },
  { key: ['n'], unique: [['hash'], ['previous']] },
);

/** The last link, and how many transactions are sealed; who seals holds this one row. */
export interface ChainRow {
  singleton: boolean;
  n: number;
  hash: string;
  transactions: number;
}

export const chain = table<ChainRow>(
  'ledger_chain',
  { singleton: 'bool', n: 'int', hash: 'text', transactions: 'int' },
  { key: ['singleton'] },
);

/** What the sealed entries of one account and day (UTC, days since 1970-01-01) sum up to. */
export interface DayRow {
  accountId: string;
  day: number;
  amountNano: bigint;
  entries: number;
}

export const days = table<DayRow>(
  'ledger_days',
  { accountId: 'text', day: 'int', amountNano: 'bigint', entries: 'int' },
  { key: ['accountId', 'day'] },
);

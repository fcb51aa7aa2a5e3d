export { ledgerPost, USD } from './post.js';
export { account, accountKinds, chart, type AccountKind, type ChartRow } from './chart.js';
export { Ledger, referenceUsed, type Entry, type Posting } from './ledger.service.js';
export { Sealer, type Verified } from './sealer.js';
export { GENESIS, type Broken } from './seal.js';
export {
  balancesBefore,
  statement,
  trialBalance,
  type CheckResult,
  type Statement,
  type StatementEntry,
  type StatementMark,
  type TrialBalanceRow,
} from './reading.js';
export {
  accounts,
  entries,
  transactions,
  type AccountRow,
  type EntryRow,
  type TransactionRow,
} from './ledger.table.js';
export {
  chain,
  days,
  seals,
  unsealed,
  type ChainRow,
  type DayRow,
  type SealRow,
  type UnsealedRow,
} from './seal.table.js';

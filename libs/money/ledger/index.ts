export { ledgerPost } from './post.js';
export { account, accountKinds, chart, type AccountKind, type ChartRow } from './chart.js';
export { Ledger, type Entry, type Posting } from './ledger.service.js';
export {
  accounts,
  entries,
  transactions,
  type AccountRow,
  type EntryRow,
  type TransactionRow,
} from './ledger.table.js';

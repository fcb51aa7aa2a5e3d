export { ledgerPost } from './post.js';
export { Ledger, account, type Entry, type Posting } from './ledger.service.js';
export {
  accounts,
  entries,
  transactions,
  accountKinds,
  type AccountRow,
  type AccountKind,
  type EntryRow,
  type TransactionRow,
} from './ledger.table.js';

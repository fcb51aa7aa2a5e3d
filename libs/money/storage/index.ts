export { EgressTally, type Owned } from './egress.js';
export { mbHours, rateUnits, storagePrices, type RatedUnits, type UnitPrice } from './rate.js';
export { Storage, type KeptFiles } from './storage.reconciler.js';
export {
  egressCounts,
  storageMarks,
  storageSums,
  type EgressCountRow,
  type StorageMarkRow,
  type StorageSumRow,
} from './storage.table.js';

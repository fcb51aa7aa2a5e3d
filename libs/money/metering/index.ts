export {
  Metering,
  type LeaseInterval,
  type Machine,
  type MeteredAmounts,
  type ShardUsage,
} from './metering.service.js';
export {
  METERS,
  meters,
  monthEnd,
  monthStart,
  usageRecords,
  usageRow,
  type Meter,
  type Unit,
  type UsageRow,
} from './usage.table.js';
export { usageBy, usageGroups, type UsageGroup, type UsageTotal } from './usage-report.js';
export { keepPartitions } from './partitions.js';

export {
  Metering,
  monthEnd,
  monthStart,
  type LeaseInterval,
  type MeteredAmounts,
  type ShardUsage,
} from './metering.service.js';
export { meters, usageRecords, type Meter, type UsageRow } from './usage.table.js';
export { usageBy, usageGroups, type UsageGroup, type UsageTotal } from './usage-report.js';

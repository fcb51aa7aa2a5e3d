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
export {
  placeOf,
  usageDimensions,
  usageSums,
  type UsageDimension,
  type UsageQuery,
  type UsageSum,
  type UsageSums,
} from './usage-sums.js';
export { type TokenUsage } from './tokens/charge.js';
export { tokenMonths, type TokenMonthRow } from './tokens/tokens.table.js';
export { keepPartitions } from './partitions.js';
export {
  EVENT_FUTURE_MS,
  EVENT_PAST_MS,
  EVENT_TEXT_MAX,
  eventMeters,
  payloadHash,
  readEvent,
  type EventMeter,
  type UsageEvent,
} from './events/event.js';
export {
  unattributedReasons,
  usageEvents,
  usageUnattributed,
  type UnattributedReason,
  type UnattributedRow,
  type UsageEventRow,
} from './events/events.table.js';
export { EVENT_BATCH_MAX, UsageEvents, type EventAnswer, type SubjectProjects } from './events/usage-events.service.js';
export { forgetUsageEvents, unattributedWaiting } from './events/upkeep.js';
export {
  foldUsage,
  rebuildUsage,
  usageDifferences,
  wholeDays,
  type Compared,
  type UsageDifference,
} from './rollups.js';
export {
  usageDays,
  usageDeltas,
  usageHours,
  usageJobHours,
  type UsageDayRow,
  type UsageDeltaRow,
  type UsageHourRow,
  type UsageJobHourRow,
} from './rollups.table.js';

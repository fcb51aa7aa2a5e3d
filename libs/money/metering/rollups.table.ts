import { table, type ColumnKind } from '#platform/database';

/** Usage of one kind within one hour or day, summed up; a text is empty where the records have none. */
interface SumRow {
  organizationId: string;
  projectId: string;
  meter: string;
  unit: string;
  side: 'charge' | 'cost';
  resource: string;
  providerId: string;
  providerClass: string;
  model: string;
  sku: string;
  endpointId: string;
  quantity: bigint;
  amountNano: bigint;
  /** How many usage records are in it. */
  records: number;
}

export interface UsageHourRow extends SumRow {
  periodHour: number;
}
export interface UsageDayRow extends SumRow {
  /** Days are UTC. */
  periodDay: number;
}
export interface UsageJobHourRow extends UsageHourRow {
  jobId: string;
}
/** What the statement that inserted the records noted, and no sum contains yet. */
export interface UsageDeltaRow extends UsageJobHourRow {
  n: number;
}

const kinds = {
  organizationId: 'text',
  projectId: 'text',
  meter: 'text',
  unit: 'text',
  side: 'text',
  resource: 'text',
  providerId: 'text',
  providerClass: 'text',
  model: 'text',
  sku: 'text',
  endpointId: 'text',
  quantity: 'bigint',
  amountNano: 'bigint',
  records: 'int',
} as const satisfies Record<keyof SumRow, ColumnKind>;

const dimensions = [
  'organizationId',
  'projectId',
  'meter',
  'unit',
  'side',
  'resource',
  'providerId',
  'providerClass',
  'model',
  'sku',
  'endpointId',
] as const;

export const usageHours = table<UsageHourRow>(
  'usage_hours',
  { ...kinds, periodHour: 'time' },
  { key: [...dimensions, 'periodHour'] },
);
export const usageDays = table<UsageDayRow>(
  'usage_days',
  { ...kinds, periodDay: 'time' },
  { key: [...dimensions, 'periodDay'] },
);
export const usageJobHours = table<UsageJobHourRow>(
  'usage_job_hours',
  { ...kinds, jobId: 'text', periodHour: 'time' },
  { key: [...dimensions, 'jobId', 'periodHour'] },
);
export const usageDeltas = table<UsageDeltaRow>(
  'usage_deltas',
  { ...kinds, n: 'int', jobId: 'text', periodHour: 'time' },
  { key: ['organizationId', 'periodHour', 'n'] },
);

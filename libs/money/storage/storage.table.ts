import { table } from '#platform/database';

/** Up to when an organization's files are charged, and what of the month's free tier it has used. */
export interface StorageMarkRow {
  organizationId: string;
  /** Every hour before it is metered, none after it. */
  chargedThrough: number;
  /** First instant of the month that the free amounts belong to. */
  month: number;
  /** In MB-hours and bytes, of all projects together. */
  freeMbHours: bigint;
  freeBytes: bigint;
  version: number;
  wakeAt: number | null;
}

export const storageMarks = table<StorageMarkRow>(
  'storage_marks',
  {
    organizationId: 'text',
    chargedThrough: 'time',
    month: 'time',
    freeMbHours: 'bigint',
    freeBytes: 'bigint',
    version: 'int',
    wakeAt: 'time',
  },
  { key: ['organizationId'] },
);

/** What one project's files have been metered for; moved with its organization's mark only. */
export interface StorageSumRow {
  projectId: string;
  organizationId: string;
  /** Of all time: bytes times the milliseconds they were kept. What a file that came late adds is metered with the next hour. */
  byteMs: bigint;
  month: number;
  /** Beyond the free tier, in this month: amounts are differences of roundings of these. */
  paidMbHours: bigint;
  paidBytes: bigint;
}

export const storageSums = table<StorageSumRow>(
  'storage_sums',
  {
    projectId: 'text',
    organizationId: 'text',
    byteMs: 'bigint',
    month: 'time',
    paidMbHours: 'bigint',
    paidBytes: 'bigint',
  },
  { key: ['projectId'] },
);

/** Bytes that one process sent to readers of one project in a few seconds. */
export interface EgressCountRow {
  id: string;
  organizationId: string;
  projectId: string;
  bytes: bigint;
  countedAt: number;
  /** End of the hour whose metering charged it; null: not yet. */
  chargedThrough: number | null;
}

export const egressCounts = table<EgressCountRow>(
  'egress_counts',
  {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    bytes: 'bigint',
    countedAt: 'time',
    chargedThrough: 'time',
  },
  { key: ['id'] },
);

import { HOUR } from '#kernel';
import type { ProviderKind } from '#contracts';
import { table } from '#platform/database';

/**
 * One quantity of one meter over one interval; immutable. An instant is the millisecond in which it lies.
 * Row kinds apart: `side` says whether `amountNano` is the tenant's charge or the cost that a provider is owed.
 */
export interface UsageRow {
  id: string;
  /** Makes the quantity once-only: `<lease>:<meter>:<side>:<from>` for time, `<shard>:<meter>` for tokens, its own id for an event. */
  key: string;
  organizationId: string;
  projectId: string;
  /** Null where something else than a lease was used. */
  leaseId: string | null;
  jobId: string | null;
  endpointId: string | null;
  /** Null where no provider is behind it. */
  providerId: string | null;
  providerClass: ProviderKind | null;
  meter: Meter;
  side: 'charge' | 'cost';
  /** What was used, for invoice lines: the accelerator and its count, or the kind of work. */
  resource: string;
  /** The accelerator, or the language model. */
  model: string | null;
  /** The vendor's name for the machine. */
  sku: string | null;
  /** Who measured: `lease` (`lease-tail`: what the vendor bills beyond the use; `reservation`: a machine that is paid for in advance), `shard`, `storage`, or the source of an event. */
  source: string;
  fromAt: number;
  toAt: number;
  /** First instants of the hour and the month in which the last millisecond lies; rows are kept in partitions by month. */
  periodHour: number;
  periodMonth: number;
  quantity: bigint;
  unit: Unit;
  /** Per hour for time, per GB-hour for storage, per GB for egress, per million for what else is counted. */
  unitPriceNano: bigint;
  amountNano: bigint;
  transactionId: string | null;
  createdAt: number;
}

/** Every meter with its unit. Storage is counted in MB-hours (10^6 bytes for an hour; a GB-hour is 1,000) and egress in bytes, so that quantities are whole. */
export const METERS = {
  'lease-time': 'ms',
  'input-tokens': 'tokens',
  'cached-tokens': 'tokens',
  'output-tokens': 'tokens',
  requests: 'requests',
  lines: 'lines',
  storage: 'MB-hours',
  egress: 'bytes',
  'image-pulls': 'pulls',
  commitment: 'ms',
} as const;
export type Meter = keyof typeof METERS;
export type Unit = (typeof METERS)[Meter];
export const meters = Object.keys(METERS) as readonly Meter[];

export const usageRecords = table<UsageRow>(
  'usage_records',
  {
    id: 'text',
    key: 'text',
    organizationId: 'text',
    projectId: 'text',
    leaseId: 'text',
    jobId: 'text',
    endpointId: 'text',
    providerId: 'text',
    providerClass: 'text',
    meter: 'text',
    side: 'text',
    resource: 'text',
    model: 'text',
    sku: 'text',
    source: 'text',
    fromAt: 'time',
    toAt: 'time',
    periodHour: 'time',
    periodMonth: 'time',
    quantity: 'bigint',
    unit: 'text',
    unitPriceNano: 'bigint',
    amountNano: 'bigint',
    transactionId: 'text',
    createdAt: 'time',
  },
  { key: ['key', 'periodMonth'] },
);

type Derived = 'unit' | 'periodHour' | 'periodMonth';
type Seldom =
  'leaseId' | 'jobId' | 'endpointId' | 'providerId' | 'providerClass' | 'model' | 'sku' | 'source' | 'transactionId';

/** A whole row: what follows from the rest is worked out, what is not given is null. */
export function usageRow(of: Omit<UsageRow, Derived | Seldom> & Partial<Pick<UsageRow, Seldom>>): UsageRow {
  const lastMs = of.toAt - 1;
  return {
    leaseId: null,
    jobId: null,
    endpointId: null,
    providerId: null,
    providerClass: null,
    model: null,
    sku: null,
    source: 'lease',
    transactionId: null,
    ...of,
    unit: METERS[of.meter],
    periodHour: lastMs - (((lastMs % HOUR) + HOUR) % HOUR),
    periodMonth: monthStart(lastMs),
  };
}

/** First instant of the next month, UTC. */
export function monthEnd(ms: number): number {
  const d = new Date(ms);
  return Date.UTC(d.getUTCFullYear(), d.getUTCMonth() + 1, 1);
}

/** First instant of the month, UTC. */
export function monthStart(ms: number): number {
  const d = new Date(ms);
  return Date.UTC(d.getUTCFullYear(), d.getUTCMonth(), 1);
}

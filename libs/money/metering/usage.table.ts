import { table } from '#platform/database';

export interface UsageRow {
  id: string;
  /** Makes the quantity once-only: `<lease>:<meter>:<side>:<from>` for time, `<shard>:<meter>` for tokens. */
  key: string;
  organizationId: string;
  projectId: string;
  leaseId: string;
  jobId: string | null;
  providerId: string;
  meter: Meter;
  side: 'charge' | 'cost';
  /** What was used, for invoice lines: the accelerator and its count, or the model. */
  resource: string;
  fromAt: number;
  toAt: number;
  /** Milliseconds of lease time, or tokens, or lines. */
  quantity: bigint;
  unit: 'ms' | 'tokens' | 'lines';
  /** Per hour for time, per million for tokens and lines. */
  unitPriceNano: bigint;
  amountNano: bigint;
  transactionId: string | null;
  createdAt: number;
}

export const meters = ['lease-time', 'input-tokens', 'output-tokens', 'lines', 'commitment'] as const;
export type Meter = (typeof meters)[number];

export const usageRecords = table<UsageRow>(
  'usage_records',
  {
    id: 'text',
    key: 'text',
    organizationId: 'text',
    projectId: 'text',
    leaseId: 'text',
    jobId: 'text',
    providerId: 'text',
    meter: 'text',
    side: 'text',
    resource: 'text',
    fromAt: 'time',
    toAt: 'time',
    quantity: 'bigint',
    unit: 'text',
    unitPriceNano: 'bigint',
    amountNano: 'bigint',
    transactionId: 'text',
    createdAt: 'time',
  },
  { key: ['id'], unique: [['key']] },
);

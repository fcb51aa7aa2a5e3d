import { table } from '#platform/database';
import type { Meter, Unit } from '../usage.table.js';

/** What makes an event once-only: (source, id) of its tenant, with the hash of what it said. */
export interface UsageEventRow {
  organizationId: string;
  source: string;
  eventId: string;
  /** SHA-256, hex. */
  payloadHash: string;
  /** The usage record that it became or, while it is unattributed, is to become. */
  usageId: string;
  receivedAt: number;
}

export const usageEvents = table<UsageEventRow>(
  'usage_events',
  {
    organizationId: 'text',
    source: 'text',
    eventId: 'text',
    payloadHash: 'bytes',
    usageId: 'text',
    receivedAt: 'time',
  },
  { key: ['organizationId', 'source', 'eventId'] },
);

/** Why an event belongs to no project. */
export const unattributedReasons = [
  'no-project',
  'unknown-project',
  'unknown-job',
  'unknown-lease',
  'projects-differ',
] as const;
export type UnattributedReason = (typeof unattributedReasons)[number];

/** An event that is kept until somebody says to which project it belongs. */
export interface UnattributedRow {
  /** Of the usage record that it will become. */
  id: string;
  organizationId: string;
  source: string;
  eventId: string;
  at: number;
  meter: Meter;
  unit: Unit;
  quantity: bigint;
  /** As the event named them: they may not exist. */
  projectId: string | null;
  jobId: string | null;
  endpointId: string | null;
  leaseId: string | null;
  model: string | null;
  resource: string;
  reason: UnattributedReason;
  createdAt: number;
}

export const usageUnattributed = table<UnattributedRow>(
  'usage_unattributed',
  {
    id: 'text',
    organizationId: 'text',
    source: 'text',
    eventId: 'text',
    at: 'time',
    meter: 'text',
    unit: 'text',
    quantity: 'bigint',
    projectId: 'text',
    jobId: 'text',
    endpointId: 'text',
    leaseId: 'text',
    model: 'text',
    resource: 'text',
    reason: 'text',
    createdAt: 'time',
  },
  { key: ['id'] },
);

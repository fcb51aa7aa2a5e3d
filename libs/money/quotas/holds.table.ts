import { table } from '#platform/database';

export type HoldState = 'held' | 'settled' | 'released' | 'expired';

export interface HoldRow {
  id: string;
  organizationId: string;
  projectId: string;
  parentId: string | null;
  jobId: string | null;
  leaseId: string | null;
  state: HoldState;
  amountNano: bigint;
  remainingNano: bigint;
  createdAt: number;
  endedAt: number | null;
}

export const holds = table<HoldRow>(
  'holds',
  {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    parentId: 'text',
    jobId: 'text',
    leaseId: 'text',
    state: 'text',
    amountNano: 'bigint',
    remainingNano: 'bigint',
    createdAt: 'time',
    endedAt: 'time',
  },
  { key: ['id'] },
);

import { table } from '#platform/database';

/** Why a machine is nobody's. The last two cannot come about while the database has all that it ever had. */
export const orphanReasons = ['superseded', 'ended', 'no-attempt', 'unknown-attempt', 'newer-than-records'] as const;
export type OrphanReason = (typeof orphanReasons)[number];

/** A machine of ours that no row wants, kept running until an administrator has looked at it. */
export interface OrphanRow {
  providerId: string;
  vendorId: string;
  leaseId: string | null;
  attemptId: string | null;
  reason: OrphanReason;
  /** By the vendor; null where it does not tell. */
  createdAt: number | null;
  firstSeenAt: number;
  seenAt: number;
  /** From then on it may be terminated. */
  confirmedAt: number | null;
  confirmedBy: string | null;
}

export const orphans = table<OrphanRow>(
  'orphans',
  {
    providerId: 'text',
    vendorId: 'text',
    leaseId: 'text',
    attemptId: 'text',
    reason: 'text',
    createdAt: 'time',
    firstSeenAt: 'time',
    seenAt: 'time',
    confirmedAt: 'time',
    confirmedBy: 'text',
  },
  { key: ['providerId', 'vendorId'] },
);

/** While this row is there the orphan sweep reports and does not terminate. */
export interface SweepPauseRow {
  singleton: boolean;
  since: number;
  reason: string;
  /** Null: the sweep itself. */
  byKeyId: string | null;
}

export const sweepPauses = table<SweepPauseRow>(
  'sweep_pauses',
  { singleton: 'bool', since: 'time', reason: 'text', byKeyId: 'text' },
  { key: ['singleton'] },
);

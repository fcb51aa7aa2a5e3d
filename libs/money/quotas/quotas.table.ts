import { table } from '#platform/database';

export const quotaScopes = ['organization', 'project', 'key'] as const;
export type QuotaScope = (typeof quotaScopes)[number];

/** The window in which use is counted; `ever`: what is in use now, whenever it was taken. */
export const quotaWindows = ['ever', 'minute', 'hour', 'day', 'month'] as const;
export type QuotaWindow = (typeof quotaWindows)[number];

/** hard: refuses. soft: only tells of 50, 80 and 100 %. */
export const quotaModes = ['hard', 'soft'] as const;
/** What becomes of running leases when the limit is set below what is in use, or when an owner wants back what they borrow. */
export const quotaPolicies = ['keep', 'stop-newest'] as const;

/** Room of a rate that somebody waits for: nobody who waits for less long takes it. */
export interface RateClaim {
  readonly id: string;
  readonly sinceMs: number;
  /** Of the limit's dimension; a text, because it travels as JSON. */
  readonly amount: string;
  readonly seenMs: number;
}

/** A limit with its counter beside it, so that one row lock holds both. */
export interface QuotaRow {
  id: string;
  organizationId: string;
  projectId: string | null;
  keyId: string | null;
  scope: QuotaScope;
  /** The id of the organization, project or key. */
  scopeId: string;
  dimension: string;
  per: QuotaWindow;
  limitN: bigint;
  mode: (typeof quotaModes)[number];
  policy: (typeof quotaPolicies)[number];
  cohortId: string | null;
  /** Most that may be used beyond the own limit; null: whatever the cohort has free. */
  borrowingLimit: bigint | null;
  /** Most of the own limit that others may use; null: all of it. */
  lendingLimit: bigint | null;
  /** Of its own part, what the owner was refused because it is lent; until then nobody may borrow it. */
  wantedN: bigint;
  wantedUntil: number | null;
  used: bigint;
  /** Of requests and tokens: what pieces of work used beyond the limit, as the next windows have it less. */
  owed: bigint;
  claims: RateClaim[];
  windowStart: number;
  /** The highest threshold in percent that was told of in this window. */
  alerted: number;
  createdAt: number;
}

export const quotas = table<QuotaRow>(
  'quotas',
  {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    keyId: 'text',
    scope: 'text',
    scopeId: 'text',
    dimension: 'text',
    per: 'text',
    limitN: 'bigint',
    mode: 'text',
    policy: 'text',
    cohortId: 'text',
    borrowingLimit: 'bigint',
    lendingLimit: 'bigint',
    wantedN: 'bigint',
    wantedUntil: 'time',
    used: 'bigint',
    owed: 'bigint',
    claims: 'json',
    windowStart: 'time',
    alerted: 'int',
    createdAt: 'time',
  },
  { key: ['id'], unique: [['scopeId', 'dimension', 'per']] },
);

/** What somebody (a job's hold, a lease, a file) counts for in one dimension. Of spend it stays after the end, less what was given back. */
export interface QuotaUseRow {
  holder: string;
  dimension: string;
  organizationId: string;
  projectId: string;
  keyId: string | null;
  amount: bigint;
  takenAt: number;
}

export const quotaUses = table<QuotaUseRow>(
  'quota_uses',
  {
    holder: 'text',
    dimension: 'text',
    organizationId: 'text',
    projectId: 'text',
    keyId: 'text',
    amount: 'bigint',
    takenAt: 'time',
  },
  { key: ['holder', 'dimension'] },
);

/** Organizations and projects that lend each other what they do not use of their GPU quotas. */
export interface CohortRow {
  id: string;
  name: string;
  createdAt: number;
}

export const cohorts = table<CohortRow>(
  'cohorts',
  { id: 'text', name: 'text', createdAt: 'time' },
  { key: ['id'], unique: [['name']] },
);

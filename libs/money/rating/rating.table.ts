import type { PriceTerms } from '#contracts';
import { table } from '#platform/database';

export interface PriceBookRow {
  id: string;
  version: number;
  effectiveAt: number;
  terms: PriceTerms;
  note: string | null;
  createdAt: number;
}

/** Append-only: a trigger refuses changes. */
export const priceBooks = table<PriceBookRow>(
  'price_books',
  { id: 'text', version: 'int', effectiveAt: 'time', terms: 'json', note: 'text', createdAt: 'time' },
  { key: ['id'], unique: [['version']] },
);

/** From when on an organization is on a plan; the latest row that has begun counts, null ends it. Append-only. */
export interface PlanRow {
  organizationId: string;
  n: number;
  plan: string | null;
  effectiveAt: number;
}

export const organizationPlans = table<PlanRow>(
  'organization_plans',
  { organizationId: 'text', n: 'int', plan: 'text', effectiveAt: 'time' },
  { key: ['organizationId', 'n'] },
);

export interface CommitmentRow {
  id: string;
  organizationId: string;
  /** Whose usage alone fulfils it and is cheaper for it; null: that of all projects. */
  projectId: string | null;
  per: 'hour' | 'month';
  amountNano: bigint;
  discountBps: number;
  startsAt: number;
  /** May move forward in time (an early end), never back. */
  endsAt: number;
  /** Up to when its shortfall has been charged. */
  settledThrough: number;
  /** What was missing and could not be taken from the credit yet. */
  owedNano: bigint;
  createdAt: number;
  version: number;
  wakeAt: number | null;
}

export const commitments = table<CommitmentRow>(
  'commitments',
  {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    per: 'text',
    amountNano: 'bigint',
    discountBps: 'int',
    startsAt: 'time',
    endsAt: 'time',
    settledThrough: 'time',
    owedNano: 'bigint',
    createdAt: 'time',
    version: 'int',
    wakeAt: 'time',
  },
  { key: ['id'] },
);

import { table } from '#platform/database';
import type { Party } from '#money/billing';

export const movementKinds = [
  'accrual',
  'adjustment',
  'holdback',
  'release',
  'dispute',
  'dispute-dismissed',
  'payout',
  'payout-canceled',
  'payout-reversed',
] as const;
export type MovementKind = (typeof movementKinds)[number];

/** One change of what is due to a provider, beside its ledger transaction; each is on the next statement. */
export interface MovementRow {
  id: string;
  organizationId: string;
  providerId: string;
  kind: MovementKind;
  /** What it adds to the account `due`. */
  amountNano: bigint;
  /** The statement, holdback, dispute or payout that it belongs to. */
  reference: string;
  note: string;
  /** The statement that shows it; null: not yet. */
  statementId: string | null;
  transactionId: string;
  at: number;
}

export const movements = table<MovementRow>(
  'payout_movements',
  {
    id: 'text',
    organizationId: 'text',
    providerId: 'text',
    kind: 'text',
    amountNano: 'bigint',
    reference: 'text',
    note: 'text',
    statementId: 'text',
    transactionId: 'text',
    at: 'time',
  },
  { key: ['id'], unique: [['transactionId', 'kind']] },
);

/** What is kept back of one statement. */
export interface HoldbackRow {
  id: string;
  organizationId: string;
  providerId: string;
  statementId: string;
  amountNano: bigint;
  releaseAt: number;
  releasedAt: number | null;
}

export const holdbacks = table<HoldbackRow>(
  'payout_holdbacks',
  {
    id: 'text',
    organizationId: 'text',
    providerId: 'text',
    statementId: 'text',
    amountNano: 'bigint',
    releaseAt: 'time',
    releasedAt: 'time',
  },
  { key: ['id'], unique: [['statementId']] },
);

/** One per provider and month; written once, whole. */
export interface StatementRow {
  id: string;
  organizationId: string;
  providerId: string;
  providerName: string;
  periodStart: number;
  periodEnd: number;
  number: string;
  issuedAt: number;
  /** What was due before and after it: exact, and in complete cents, which the lines add up to. */
  openingNano: bigint;
  closingNano: bigint;
  openingCents: bigint;
  closingCents: bigint;
  accruedNano: bigint;
  payoutCents: bigint;
  /** What is kept back and in dispute after it; not in the closing balance. */
  heldBackNano: bigint;
  disputedNano: bigint;
  payee: Party;
  payer: Party;
  transactionId: string | null;
}

export const statements = table<StatementRow>(
  'payout_statements',
  {
    id: 'text',
    organizationId: 'text',
    providerId: 'text',
    providerName: 'text',
    periodStart: 'time',
    periodEnd: 'time',
    number: 'text',
    issuedAt: 'time',
    openingNano: 'bigint',
    closingNano: 'bigint',
    openingCents: 'bigint',
    closingCents: 'bigint',
    accruedNano: 'bigint',
    payoutCents: 'bigint',
    heldBackNano: 'bigint',
    disputedNano: 'bigint',
    payee: 'json',
    payer: 'json',
    transactionId: 'text',
  },
  { key: ['id'], unique: [['providerId', 'periodStart'], ['number']] },
);

/** What one lease used on one UTC day; a record counts where its last millisecond lies. */
export interface LeaseDay {
  readonly dayStart: number;
  readonly leaseId: string | null;
  readonly sku: string | null;
  readonly resource: string;
  readonly meter: string;
  readonly unit: string;
  readonly quantity: bigint;
  readonly amountNano: bigint;
}

/** A lease's day, or a movement; whole cents that add up to closing less opening. */
export interface StatementLineRow {
  statementId: string;
  n: number;
  organizationId: string;
  providerId: string;
  kind: MovementKind;
  /** The day of what was used, or of the movement. */
  dayStart: number;
  /** Of what was used; null of a movement. */
  leaseId: string | null;
  sku: string | null;
  resource: string | null;
  meter: string | null;
  unit: string | null;
  quantity: bigint | null;
  /** What the movement belongs to, of an adjustment its ledger transaction; null of what was used. */
  reference: string | null;
  note: string;
  amountNano: bigint;
  cents: bigint;
}

export const statementLines = table<StatementLineRow>(
  'payout_statement_lines',
  {
    statementId: 'text',
    n: 'int',
    organizationId: 'text',
    providerId: 'text',
    kind: 'text',
    dayStart: 'time',
    leaseId: 'text',
    sku: 'text',
    resource: 'text',
    meter: 'text',
    unit: 'text',
    quantity: 'bigint',
    reference: 'text',
    note: 'text',
    amountNano: 'bigint',
    cents: 'bigint',
  },
  { key: ['statementId', 'n'] },
);

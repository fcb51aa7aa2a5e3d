import { table } from '#platform/database';
import { effectColumns, type EffectRow } from '#money/payments';
import type { DisputeState, PayoutAccountState, PayoutState, ReversalState } from '../machines.js';
import type { PayoutMethod, PayoutTerms } from '../terms.js';

/** Terms that were set for a provider; without a row those of its kind count. */
export interface TermsRow extends PayoutTerms {
  providerId: string;
  organizationId: string;
  updatedAt: number;
}

export const payoutTerms = table<TermsRow>(
  'payout_terms',
  {
    providerId: 'text',
    organizationId: 'text',
    holdbackBps: 'int',
    holdbackDays: 'int',
    minimumCents: 'bigint',
    autoDispute: 'bool',
    autoPay: 'bool',
    method: 'text',
    updatedAt: 'time',
  },
  { key: ['providerId'] },
);

/** An organization's account at the payment processor. */
export interface PayoutAccountRow extends EffectRow {
  state: PayoutAccountState;
  country: string;
  email: string | null;
  /** What the processor still wants to know. */
  requirements: string[];
}

export const payoutAccounts = table<PayoutAccountRow>(
  'payout_accounts',
  { ...effectColumns, state: 'text', country: 'text', email: 'text', requirements: 'texts' },
  { key: ['id'], unique: [['organizationId']] },
);

/** Money set aside for a provider by a statement. `createdAt` is when it was last decided to send it; `proposedAt` when it was set aside. */
export interface PayoutRow extends EffectRow {
  state: PayoutState;
  providerId: string;
  statementId: string;
  amountCents: bigint;
  method: PayoutMethod;
  /** The account at the processor; null until it is to be transferred. */
  accountId: string | null;
  /** What the bank calls it, when it was paid by hand. */
  reference: string | null;
  proposedAt: number;
  paidAt: number | null;
  /** What of it came back; all of it once it is reversed. */
  reversedCents: bigint;
  reversedAt: number | null;
}

export const payouts = table<PayoutRow>(
  'payouts',
  {
    ...effectColumns,
    state: 'text',
    providerId: 'text',
    statementId: 'text',
    amountCents: 'bigint',
    method: 'text',
    accountId: 'text',
    reference: 'text',
    proposedAt: 'time',
    paidAt: 'time',
    reversedCents: 'bigint',
    reversedAt: 'time',
  },
  { key: ['id'], unique: [['statementId']] },
);

export interface ReversalRow extends EffectRow {
  state: ReversalState;
  payoutId: string;
  transferId: string;
  /** All of the transfer, or a part. */
  amountCents: bigint;
  reason: string;
  /** The payout, while this may still happen: one reversal at a time. */
  slot: string | null;
}

export const payoutReversals = table<ReversalRow>(
  'payout_reversals',
  {
    ...effectColumns,
    state: 'text',
    payoutId: 'text',
    transferId: 'text',
    amountCents: 'bigint',
    reason: 'text',
    slot: 'text',
  },
  { key: ['id'], unique: [['slot']] },
);

export const disputeReasons = ['failed-probe', 'sla-breach', 'other'] as const;
export type DisputeReason = (typeof disputeReasons)[number];

/** What a provider is perhaps not owed. */
export interface DisputeRow {
  id: string;
  organizationId: string;
  providerId: string;
  version: number;
  wakeAt: number | null;
  state: DisputeState;
  reason: DisputeReason;
  note: string;
  leaseId: string | null;
  amountNano: bigint;
  /** What opened it, such as `failed-start:<lease>`: each opens one. */
  source: string;
  resolution: string | null;
  createdAt: number;
  openedAt: number | null;
  resolvedAt: number | null;
}

export const disputes = table<DisputeRow>(
  'payout_disputes',
  {
    id: 'text',
    organizationId: 'text',
    providerId: 'text',
    version: 'int',
    wakeAt: 'time',
    state: 'text',
    reason: 'text',
    note: 'text',
    leaseId: 'text',
    amountNano: 'bigint',
    source: 'text',
    resolution: 'text',
    createdAt: 'time',
    openedAt: 'time',
    resolvedAt: 'time',
  },
  { key: ['id'], unique: [['source']] },
);

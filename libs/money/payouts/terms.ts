import { divRound } from '#kernel';
import type { ProviderToPay } from './ports.js';

/** `transfer`: to the provider's account at the payment processor. `manual`: by hand, confirmed by an administrator. */
export const payoutMethods = ['manual', 'transfer'] as const;
export type PayoutMethod = (typeof payoutMethods)[number];

/** How a provider is paid. */
export interface PayoutTerms {
  /** The part of each statement's accruals that is kept back, in hundredths of a percent, and for how long after the period's end. */
  readonly holdbackBps: number;
  readonly holdbackDays: number;
  /** What is due below this carries over. */
  readonly minimumCents: bigint;
  /** Failed starts and broken promises of service open disputes by themselves. */
  readonly autoDispute: boolean;
  /** Transfers go out without an administrator's approval. */
  readonly autoPay: boolean;
  readonly method: PayoutMethod;
}

/** Vendors with terms of their own bill what they bill, and their invoices are matched elsewhere. */
const VENDOR: PayoutTerms = {
  holdbackBps: 0,
  holdbackDays: 0,
  minimumCents: 1n,
  autoDispute: false,
  autoPay: false,
  method: 'manual',
};

/** Machines of people we do not know: what they earned is kept back for as long as complaints may come. */
const HOST: PayoutTerms = {
  holdbackBps: 1_000,
  holdbackDays: 14,
  minimumCents: 2_500n,
  autoDispute: true,
  autoPay: false,
  method: 'manual',
};

/** The terms of a provider that has none of its own. */
export function defaultTerms({ kind, registered }: Pick<ProviderToPay, 'kind' | 'registered'>): PayoutTerms {
  return registered || kind === 'decentralized' ? HOST : VENDOR;
}

/** What of a statement's accruals is kept back; corrections below zero keep nothing. */
export function holdbackOf(accruedNano: bigint, { holdbackBps }: Pick<PayoutTerms, 'holdbackBps'>): bigint {
  return accruedNano > 0n ? divRound(accruedNano * BigInt(holdbackBps), 10_000n) : 0n;
}

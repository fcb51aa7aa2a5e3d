import { divRound } from '#kernel';
import type { BillingProfileRow } from './rows/documents.table.js';
import type { Tax } from './rows/invoices.table.js';

export interface TaxQuestion {
  /** The same invoice gets the same answer, however often it is asked. */
  readonly invoiceId: string;
  readonly organizationId: string;
  readonly profile: Pick<BillingProfileRow, 'taxId' | 'taxLabel' | 'taxRateBps' | 'address'> | null;
  /** What is taxed: all usage of the invoice, in whole cents. */
  readonly netCents: bigint;
  readonly atMs: number;
}

/** Works out the tax of an invoice; may ask somebody outside, and may fail: the invoice then waits in `issuing_failed` and it is asked again. */
export interface TaxCalculator {
  taxOf(question: TaxQuestion): Promise<{ cents: bigint; tax: Tax | null }>;
}

/** Tax at a rate, in whole cents, halves away from zero. */
export const taxAt = (netCents: bigint, rateBps: number): bigint => divRound(netCents * BigInt(rateBps), 10_000n);

/** The rate that an administrator has set for the organization; none is no tax. */
export const manualRate: TaxCalculator = {
  taxOf: ({ profile, netCents }) =>
    Promise.resolve(
      profile && profile.taxRateBps > 0
        ? { cents: taxAt(netCents, profile.taxRateBps), tax: { label: profile.taxLabel, rateBps: profile.taxRateBps } }
        : { cents: 0n, tax: null },
    ),
};

import { DAY, HOUR } from '#kernel';
import type { Party } from './rows/invoices.table.js';

/** What the operator decides about invoices; each has a variable of the environment. */
export interface BillingSettings {
  /** How long after the month's end usage is waited for. */
  readonly graceMs: number;
  /** Days from issue to due, where an organization has no terms of its own. */
  readonly netDays: number;
  /** First part of the numbers of invoices and of credit notes. */
  readonly invoiceSeries: string;
  readonly creditNoteSeries: string;
  readonly seller: Party;
  /** A line at the foot of each document: where to pay. */
  readonly footer: string;
  /** Days after the due date on which the tenant is reminded; the first says that the invoice is past due. */
  readonly remindDays: readonly number[];
  /** Days after the due date from which new work is refused, and running work is ended. */
  readonly pauseDays: number;
  readonly stopDays: number;
}

export const defaultBillingSettings: BillingSettings = {
  graceMs: 48 * HOUR,
  netDays: 14,
  invoiceSeries: 'INV',
  creditNoteSeries: 'CN',
  seller: { name: 'Berth', address: [], taxId: null, email: null },
  footer: '',
  remindDays: [0, 3, 7],
  pauseDays: 7,
  stopDays: 14,
};

/** Midnight UTC is no special time for a due date: it is exactly so many days after the issue. */
export const dueAfter = (issuedAt: number, netDays: number): number => issuedAt + netDays * DAY;

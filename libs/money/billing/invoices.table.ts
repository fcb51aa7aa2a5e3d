import { table } from '#platform/database';

export const invoiceStates = [
  'draft',
  'issuing',
  'issuing_failed',
  'open',
  'paid',
  'past_due',
  'uncollectible',
  'void',
] as const;
export type InvoiceState = (typeof invoiceStates)[number];

/** One per organization and month; its lines follow from usage while it is a draft. */
export interface InvoiceRow {
  id: string;
  organizationId: string;
  periodStart: number;
  periodEnd: number;
  state: InvoiceState;
  number: string | null;
  createdAt: number;
}

export const invoices = table<InvoiceRow>(
  'invoices',
  {
    id: 'text',
    organizationId: 'text',
    periodStart: 'time',
    periodEnd: 'time',
    state: 'text',
    number: 'text',
    createdAt: 'time',
  },
  { key: ['id'], unique: [['organizationId', 'periodStart']] },
);

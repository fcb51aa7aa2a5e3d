import { csvText, formatUsd } from '#kernel';
import type { BillingDocument } from './document.js';

const COLUMNS = [
  'document',
  'kind',
  'month',
  'project_id',
  'project',
  'resource',
  'model',
  'provider_class',
  'meter',
  'quantity',
  'unit',
  'amount_usd_exact',
  'amount_usd',
] as const;

/** Dollars without sign and separators, exact. */
export const plainUsd = (nano: bigint): string => formatUsd(nano).replace(/[$,]/g, '');

/** The document as comma-separated values: a line for each line, then the totals. */
export function csvOf(document: BillingDocument): string {
  const name = document.number ?? 'draft';
  const lines = document.lines.map((l) => [
    name,
    l.kind,
    l.month,
    l.projectId,
    l.project,
    l.resource,
    l.model ?? '',
    l.providerClass ?? '',
    l.meter,
    l.quantity.toString(),
    l.unit,
    plainUsd(l.amountNano),
    plainUsd(l.cents * 10_000_000n),
  ]);
  const totals = document.totals.map((t) => [
    name,
    t.label.toLowerCase(),
    ...Array.from({ length: COLUMNS.length - 3 }, () => ''),
    plainUsd(t.cents * 10_000_000n),
  ]);
  return csvText([COLUMNS, ...lines, ...totals]);
}

import { table } from '#platform/database';
import type { ComparisonKind } from './match.js';
import type { LineProblem, VendorFormat } from './read/index.js';

/** One file of a vendor that was compared with what was metered. Written once. */
export interface VendorInvoiceRow {
  id: string;
  providerId: string;
  /** The provider's first import has 1: two imports at once would have the same number, and one of them is refused. */
  n: number;
  format: VendorFormat;
  fileName: string;
  fileHash: string;
  /** What was metered in here and not compared before is what the file was compared with. */
  periodFrom: number;
  periodTo: number;
  /** Lines that count; `knownLines` were on an earlier invoice, `skippedLines` could not be read. */
  lines: number;
  knownLines: number;
  skippedLines: number;
  problems: readonly LineProblem[];
  /** `totalNano = matchedNano + onlyAtVendorNano`. */
  totalNano: bigint;
  matchedNano: bigint;
  onlyAtVendorNano: bigint;
  meteredNano: bigint;
  importedAt: number;
}

export const vendorInvoices = table<VendorInvoiceRow>(
  'vendor_invoices',
  {
    id: 'text',
    providerId: 'text',
    n: 'int',
    format: 'text',
    fileName: 'text',
    fileHash: 'text',
    periodFrom: 'time',
    periodTo: 'time',
    lines: 'int',
    knownLines: 'int',
    skippedLines: 'int',
    problems: 'json',
    totalNano: 'bigint',
    matchedNano: 'bigint',
    onlyAtVendorNano: 'bigint',
    meteredNano: 'bigint',
    importedAt: 'time',
  },
  {
    key: ['id'],
    unique: [
      ['providerId', 'n'],
      ['providerId', 'fileHash'],
    ],
  },
);

/** A line that was counted, so that it is counted once. Written once. */
export interface VendorInvoiceLineRow {
  providerId: string;
  /** The vendor's id of the line, or a digest of what it says. */
  key: string;
  digest: string;
  invoiceId: string;
  n: number;
}

export const vendorInvoiceLines = table<VendorInvoiceLineRow>(
  'vendor_invoice_lines',
  { providerId: 'text', key: 'text', digest: 'text', invoiceId: 'text', n: 'int' },
  { key: ['providerId', 'key'] },
);

/** Bill against metering, for a lease or for what no lease had. Only its acceptance is written later, once. */
export interface ComparisonRow {
  id: string;
  invoiceId: string;
  providerId: string;
  kind: ComparisonKind;
  leaseId: string | null;
  machineId: string | null;
  what: string;
  fromAt: number;
  toAt: number;
  vendorNano: bigint;
  oursNano: bigint;
  vendorMs: number | null;
  oursMs: number;
  lines: number;
  firstLine: number | null;
  acceptedAt: number | null;
  acceptedFor: string | null;
  transactionId: string | null;
}

export const vendorComparisons = table<ComparisonRow>(
  'vendor_comparisons',
  {
    id: 'text',
    invoiceId: 'text',
    providerId: 'text',
    kind: 'text',
    leaseId: 'text',
    machineId: 'text',
    what: 'text',
    fromAt: 'time',
    toAt: 'time',
    vendorNano: 'bigint',
    oursNano: 'bigint',
    vendorMs: 'int',
    oursMs: 'int',
    lines: 'int',
    firstLine: 'int',
    acceptedAt: 'time',
    acceptedFor: 'text',
    transactionId: 'text',
  },
  { key: ['id'] },
);

import {
  dayText,
  NANO_PER_CENT,
  plainUsd,
  type BillingDocument,
  type BillingSettings,
  type DocumentLine,
} from '#money/billing';
import { csvText, formatUsd } from '#kernel';
import type { StatementLineRow, StatementRow } from '../rows/statements.table.js';
import type { StatementView } from './statements.js';

/** What each kind of line is called. */
const NAMES: Readonly<Record<StatementLineRow['kind'], string>> = {
  accrual: 'Accrual',
  adjustment: 'Adjustment',
  holdback: 'Holdback taken',
  release: 'Holdback released',
  dispute: 'Dispute opened',
  'dispute-dismissed': 'Dispute dismissed',
  payout: 'Payout',
  'payout-canceled': 'Payout canceled',
  'payout-reversed': 'Payout reversed',
};

/** The statement as a document: leases of one day and SKU are one line; each lease's own is in the CSV. */
export function documentOfStatement(
  { row, lines }: StatementView,
  settings: Pick<BillingSettings, 'footer'>,
): BillingDocument {
  const issued = row.number !== '';
  const sumOf = (kinds: readonly string[]): bigint =>
    lines.reduce((a, l) => (kinds.includes(l.kind) ? a + l.cents : a), 0n);
  const sums = [
    { label: 'Accruals', cents: sumOf(['accrual', 'adjustment']) },
    { label: 'Holdback', cents: sumOf(['holdback', 'release']) },
    { label: 'Disputes', cents: sumOf(['dispute', 'dispute-dismissed']) },
    { label: 'Payouts', cents: sumOf(['payout', 'payout-canceled', 'payout-reversed']) },
  ];
  return {
    title: 'Payout statement',
    number: issued ? row.number : null,
    watermark: issued ? null : 'DRAFT',
    dateMs: issued ? row.issuedAt : row.periodEnd,
    seller: row.payer,
    buyer: row.payee,
    words: { party: 'Paid to', group: 'Day' },
    facts: [
      ['Number', issued ? row.number : 'draft'],
      ...(issued ? [['Issued', dayText(row.issuedAt)] as const] : []),
      ['Period', `${dayText(row.periodStart)} to ${dayText(row.periodEnd - 1)}`],
      ['Provider', row.providerName],
      ['Reference', row.providerId],
    ],
    lines: daysOf(lines),
    totals: [
      { label: 'Opening balance', cents: row.openingCents, strong: false },
      ...sums.filter((s) => s.cents !== 0n).map((s) => ({ ...s, strong: false })),
      { label: 'Closing balance', cents: row.closingCents, strong: true },
    ],
    notes: [
      'All amounts in US dollars. Balances are in complete cents and the lines add up to them; the rest of a cent is in the next statement.',
      `Not in the closing balance: ${formatUsd(row.heldBackNano)} kept back, ${formatUsd(row.disputedNano)} in dispute.`,
    ],
    footer: settings.footer,
  };
}

function daysOf(lines: readonly StatementLineRow[]): DocumentLine[] {
  const days = new Map<string, DocumentLine>();
  for (const line of lines) {
    const day = dayText(line.dayStart);
    const shown = line.kind === 'accrual' ? used(line, day) : moved(line, day);
    const key = line.kind === 'accrual' ? `${day} ${line.sku} ${line.resource} ${line.meter}` : `movement ${line.n}`;
    const known = days.get(key);
    days.set(key, known ? added(known, shown) : shown);
  }
  return [...days.values()];
}

const added = (a: DocumentLine, b: DocumentLine): DocumentLine => ({
  ...a,
  quantity: a.quantity + b.quantity,
  amountNano: a.amountNano + b.amountNano,
  cents: a.cents + b.cents,
});

const base = (line: StatementLineRow, day: string) => ({
  month: day.slice(0, 7),
  projectId: day,
  project: day,
  model: null,
  amountNano: line.amountNano,
  cents: line.cents,
});

function used(line: StatementLineRow, day: string): DocumentLine {
  const { resource, sku, meter, unit, quantity } = line;
  return {
    ...base(line, day),
    kind: 'usage',
    resource: resource ?? '',
    providerClass: sku,
    meter: meter ?? '',
    unit: unit ?? '',
    quantity: quantity ?? 0n,
  };
}

function moved(line: StatementLineRow, day: string): DocumentLine {
  const { kind, note, reference } = line;
  return {
    ...base(line, day),
    kind: 'movement',
    resource: NAMES[kind],
    providerClass: reference,
    meter: note,
    unit: '',
    quantity: 0n,
  };
}

const COLUMNS = [
  'statement',
  'kind',
  'day',
  'lease_id',
  'sku',
  'resource',
  'meter',
  'quantity',
  'unit',
  'reference',
  'note',
  'amount_usd_exact',
  'amount_usd',
] as const;

/** A row for each line and for both balances. */
export function csvOfStatement({ row, lines }: StatementView): string {
  const name = row.number === '' ? 'draft' : row.number;
  const balance = (kind: string, atMs: number, nano: bigint, cents: bigint): string[] => [
    name,
    kind,
    dayText(atMs),
    ...Array.from({ length: COLUMNS.length - 5 }, () => ''),
    plainUsd(nano),
    plainUsd(cents * NANO_PER_CENT),
  ];
  return csvText([
    COLUMNS,
    balance('opening balance', row.periodStart, row.openingNano, row.openingCents),
    ...lines.map((l) => [
      name,
      l.kind,
      dayText(l.dayStart),
      l.leaseId ?? '',
      l.sku ?? '',
      l.resource ?? '',
      l.meter ?? '',
      l.quantity === null ? '' : String(l.quantity),
      l.unit ?? '',
      l.reference ?? '',
      l.note,
      plainUsd(l.amountNano),
      plainUsd(l.cents * NANO_PER_CENT),
    ]),
    balance('closing balance', row.periodEnd - 1, row.closingNano, row.closingCents),
  ]);
}

export const fileNameOf = (row: StatementRow, format: string): string =>
  `${row.number === '' ? `draft-${new Date(row.periodStart).toISOString().slice(0, 7)}` : row.number}.${format}`;

import type { Command } from 'commander';
import type { Invoice, InvoiceWithLines } from '#client';
import { idArgument, pages, withBroker, type Run } from '../command.js';
import { UsageError } from '../exit.js';
import { saveResults } from '../jobs/results.js';
import { amountColumn, print, rowsText, type Column, type Output } from '../output.js';
import { dollars, exactDollars, jsonText, quantityText } from '../text.js';

/** Whole cents as dollars. */
export const centsText = (cents: string): string => dollars(BigInt(cents) * 10_000_000n);

/** An amount in whole cents; null where there is none yet. */
export function centsColumn<T>(title: string, of: (row: T) => string | null): Column<T> {
  const as = (show: (nano: bigint) => string) => (row: T) => {
    const cents = of(row);
    return cents === null ? '' : show(BigInt(cents) * 10_000_000n);
  };
  return { title, of: as(dollars), exact: as(exactDollars), right: true };
}

export const invoiceColumns: readonly Column<Invoice>[] = [
  { title: 'id', of: (r) => r.id },
  { title: 'number', of: (r) => r.number },
  { title: 'month', of: (r) => r.periodStart.slice(0, 7) },
  { title: 'state', of: (r) => r.state },
  centsColumn('total', (r) => (r.number === null ? null : r.issuedTotalCents)),
  centsColumn('open', (r) => (r.number === null ? null : r.openCents)),
  { title: 'due', of: (r) => (r.state === 'open' || r.state === 'past_due' ? (r.dueAt?.slice(0, 10) ?? '') : '') },
];

/** An invoice with its lines and sums. */
export function invoiceText(invoice: InvoiceWithLines, output: Output): string {
  if (output.json) return `${jsonText(invoice)}\n`;
  const lines = rowsText(
    invoice.lines,
    [
      { title: 'project', of: (r) => r.project },
      {
        title: 'resource',
        of: (r) => r.description,
      },
      { title: 'class', of: (r) => r.providerClass },
      { title: 'meter', of: (r) => r.meter },
      { title: 'month', of: (r) => r.month.slice(0, 7) },
      { title: 'quantity', of: (r) => quantityText(r.quantity, r.unit), right: true },
      amountColumn('exact', (r) => r.amount),
      centsColumn('amount', (r) => r.cents),
    ],
    output,
  );
  return output.table ? `${lines}\n${sumsText(invoice)}` : lines;
}

function sumsText(i: InvoiceWithLines): string {
  const none = (cents: string): boolean => BigInt(cents) === 0n;
  const sums = [
    `total ${centsText(i.totalCents)}`,
    none(i.taxCents) ? '' : `of it tax ${centsText(i.taxCents)}`,
    none(i.fromCreditCents) ? '' : `paid from credit ${centsText(i.fromCreditCents)}`,
    `due ${centsText(i.dueCents)}`,
    ...i.creditNotes.map((n) => `credit note ${n.number} over ${centsText(n.totalCents)}`),
  ].filter((text) => text !== '');
  const month = `${i.periodStart.slice(0, 10)} to ${i.periodEnd.slice(0, 10)}`;
  return `${i.state} ${i.number ?? i.id}, ${month}: ${sums.join(', ')}\n`;
}

const MONTH = /^\d{4}-(0[1-9]|1[0-2])$/;

export function registerInvoices(berth: Command): void {
  const invoices = berth.command('invoices').description('invoices of your organization');
  invoices
    .command('ls')
    .description('list invoices, newest first')
    .addHelpText('after', '\nExamples:\n  berth invoices ls')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listInvoices } = await import('#client');
        const rows = await pages(null, (cursor, limit) =>
          answerOf(listInvoices({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(rowsText(rows, invoiceColumns, output));
      }),
    );
  invoices
    .command('preview')
    .description('show this month’s invoice as it would be now')
    .option('--month <month>', 'another month, such as 2026-11')
    .addHelpText('after', '\nExamples:\n  berth invoices preview\n  berth invoices preview --month 2026-10 --json')
    .action(
      withBroker(async ({ client, output }, o: { month?: string }) => {
        if (o.month !== undefined && !MONTH.test(o.month)) throw new UsageError(`"${o.month}" is not a month: 2026-11`);
        const { answerOf, previewInvoice } = await import('#client');
        const query = o.month === undefined ? {} : { month: o.month };
        print(invoiceText(await answerOf(previewInvoice({ client, query })), output));
      }),
    );
  for (const format of ['pdf', 'csv'] as const)
    invoices
      .command(format)
      .argument('<id>', 'an invoice', idArgument('inv'))
      .description(`read an invoice as ${format.toUpperCase()}`)
      .option('-o, --output <file>', 'write to a file, whole or not at all')
      .addHelpText(
        'after',
        `\nExamples:\n  berth invoices ${format} inv_01j00000000000000000000000 -o invoice.${format}`,
      )
      .action(
        withBroker((run: Run, id: string, o: { output?: string }) =>
          saveResults(run, `/v1/invoices/${id}/${format}`, o.output),
        ),
      );
  invoices
    .command('note')
    .argument('<id>', 'a credit note', idArgument('crn'))
    .description('read a credit note')
    .option('--csv', 'as CSV instead of PDF')
    .option('-o, --output <file>', 'write to a file, whole or not at all')
    .addHelpText('after', '\nExamples:\n  berth invoices note crn_01j00000000000000000000000 -o note.pdf')
    .action(
      withBroker((run: Run, id: string, o: { csv?: true; output?: string }) =>
        saveResults(run, `/v1/credit-notes/${id}/${o.csv ? 'csv' : 'pdf'}`, o.output),
      ),
    );
}

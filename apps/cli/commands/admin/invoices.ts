import type { Command } from 'commander';
import { idArgument, pages, withBroker } from '../../command.js';
import { UsageError } from '../../exit.js';
import { money, oneOf, wholeNumber } from '../../flags.js';
import { factsText, print, rowsText, type Output } from '../../output.js';
import { centsColumn, centsText, invoiceColumns, invoiceText } from '../invoices.js';

const STATES = ['draft', 'issuing', 'issuing_failed', 'open', 'paid', 'past_due', 'uncollectible', 'void'] as const;

/** Dollars with at most two decimals, as cents. */
function cents(text: string): string {
  const nano = BigInt(money(text));
  if (nano % 10_000_000n !== 0n) throw new UsageError(`"${text}" is not a whole number of cents`);
  return (nano / 10_000_000n).toString();
}

const invoiceId = idArgument('inv');
const asInvoice = (id: string) => id as `inv_${string}`;

function registerNoteList(admin: Command): void {
  admin
    .command('credit-notes')
    .description('credit notes of all tenants, newest first')
    .option('--org <id>', 'of one organization', idArgument('org'))
    .option('--limit <n>', 'most credit notes', wholeNumber(1, 10_000), 50)
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin credit-notes\n  berth --profile admin --csv admin credit-notes --limit 1000',
    )
    .action(
      withBroker(async ({ client, output }, o: { org?: string; limit: number }) => {
        const { answerOf, listCreditNotes } = await import('#client');
        const filter = o.org === undefined ? {} : { organizationId: o.org as `org_${string}` };
        const rows = await pages(o.limit, (cursor, limit) =>
          answerOf(
            listCreditNotes({ client, query: { ...filter, limit, ...(cursor === undefined ? {} : { cursor }) } }),
          ),
        );
        print(
          rowsText(
            rows,
            [
              { title: 'organization', of: (r) => r.organizationId },
              { title: 'id', of: (r) => r.id },
              { title: 'number', of: (r) => r.number },
              { title: 'issued', of: (r) => r.issuedAt.slice(0, 10) },
              { title: 'invoice', of: (r) => r.invoiceId },
              centsColumn('total', (r) => r.totalCents),
              centsColumn('tax', (r) => r.taxCents),
              centsColumn('off the invoice', (r) => r.appliedCents),
              centsColumn('to the credit', (r) => r.toCreditCents),
              centsColumn('to pay back', (r) => r.refundCents),
              { title: 'refund', of: (r) => r.refundState },
              { title: 'reason', of: (r) => r.reason },
            ],
            output,
          ),
        );
      }),
    );
}

export function registerAdminInvoices(admin: Command): void {
  registerNoteList(admin);
  const invoices = admin.command('invoices').description('invoices of all tenants');
  invoices
    .command('ls')
    .description('list invoices, newest month first')
    .option('--org <id>', 'of one organization', idArgument('org'))
    .option('--state <state>', STATES.join(', '), oneOf(STATES))
    .option('--limit <n>', 'most invoices', wholeNumber(1, 10_000), 50)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin invoices ls --state past_due')
    .action(
      withBroker(async ({ client, output }, o: { org?: string; state?: (typeof STATES)[number]; limit: number }) => {
        const { answerOf, listAllInvoices } = await import('#client');
        const filter = {
          ...(o.org === undefined ? {} : { organizationId: o.org as `org_${string}` }),
          ...(o.state === undefined ? {} : { state: o.state }),
        };
        const rows = await pages(o.limit, (cursor, limit) =>
          answerOf(
            listAllInvoices({ client, query: { ...filter, limit, ...(cursor === undefined ? {} : { cursor }) } }),
          ),
        );
        print(rowsText(rows, [{ title: 'organization', of: (r) => r.organizationId }, ...invoiceColumns], output));
      }),
    );
  invoices
    .command('get')
    .argument('<id>', 'an invoice', invoiceId)
    .description('show an invoice with its lines')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin invoices get inv_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, getInvoice } = await import('#client');
        print(invoiceText(await answerOf(getInvoice({ client, path: { id: asInvoice(id) } })), output));
      }),
    );
  invoices
    .command('issue')
    .argument('<id>', 'a draft whose month is over', invoiceId)
    .description('issue before the grace is over')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin invoices issue inv_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, issueInvoice } = await import('#client');
        print(invoiceText(await answerOf(issueInvoice({ client, path: { id: asInvoice(id) } })), output));
      }),
    );
  invoices
    .command('void')
    .argument('<id>', 'an invoice', invoiceId)
    .description('take an invoice back; its usage comes on the next one')
    .requiredOption('--reason <text>', 'for the audit log')
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin invoices void inv_01j00000000000000000000000 --reason "wrong address"',
    )
    .action(
      withBroker(async ({ client, output }, id: string, { reason }: { reason: string }) => {
        const { answerOf, voidInvoice } = await import('#client');
        print(
          invoiceText(await answerOf(voidInvoice({ client, path: { id: asInvoice(id) }, body: { reason } })), output),
        );
      }),
    );
  invoices
    .command('pay')
    .argument('<id>', 'an invoice', invoiceId)
    .description('count a payment that came to the bank account')
    .requiredOption('--reference <text>', 'counts once: the same reference counts nothing twice')
    .option('--amount <dollars>', 'default: all that is to be paid; more goes to the credit', cents)
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin invoices pay inv_01j00000000000000000000000 --reference "bank 2026-11-20/17"',
    )
    .action(
      withBroker(async ({ client, output }, id: string, o: { reference: string; amount?: string }) => {
        const { answerOf, payInvoice } = await import('#client');
        const body = { reference: o.reference, ...(o.amount === undefined ? {} : { amountCents: o.amount }) };
        print(invoiceText(await answerOf(payInvoice({ client, path: { id: asInvoice(id) }, body })), output));
      }),
    );
  invoices
    .command('uncollectible')
    .argument('<id>', 'an invoice', invoiceId)
    .description('give an invoice up')
    .requiredOption('--reason <text>', 'for the audit log')
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin invoices uncollectible inv_01j00000000000000000000000 --reason insolvent',
    )
    .action(
      withBroker(async ({ client, output }, id: string, { reason }: { reason: string }) => {
        const { answerOf, writeOffInvoice } = await import('#client');
        const invoice = await answerOf(writeOffInvoice({ client, path: { id: asInvoice(id) }, body: { reason } }));
        print(invoiceText(invoice, output));
      }),
    );
  registerCreditNotes(invoices);
}

interface CreditFlags {
  reason: string;
  amount?: string;
}

function registerCreditNotes(invoices: Command): void {
  const note = async (
    run: Parameters<Parameters<typeof withBroker>[0]>[0],
    id: string,
    o: CreditFlags,
    back: boolean,
  ) => {
    const { answerOf, creditInvoice } = await import('#client');
    const made = await answerOf(
      creditInvoice({
        client: run.client,
        path: { id: asInvoice(id) },
        body: {
          reason: o.reason,
          refundTo: back ? 'payment' : 'credit',
          ...(o.amount === undefined ? {} : { amountCents: o.amount }),
        },
      }),
    );
    print(noteText(made, run.output));
  };
  for (const [name, about] of [
    ['credit', 'write a credit note; what was paid already goes to the tenant’s credit'],
    ['refund', 'write a credit note; what was paid already is to be paid back'],
  ] as const)
    invoices
      .command(name)
      .argument('<id>', 'an invoice', invoiceId)
      .description(about)
      .requiredOption('--reason <text>', 'shown to the tenant')
      .option('--amount <dollars>', 'without tax, spread over all lines; default: all that is left', cents)
      .addHelpText(
        'after',
        `\nExamples:\n  berth --profile admin admin invoices ${name} inv_01j00000000000000000000000 --amount 12.50 --reason "slow disks"`,
      )
      .action(withBroker((run, id: string, o: CreditFlags) => note(run, id, o, name === 'refund')));
  invoices
    .command('refunded')
    .argument('<id>', 'a credit note', idArgument('crn'))
    .description('say that what a credit note pays back was paid by hand')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin invoices refunded crn_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, confirmRefund } = await import('#client');
        print(noteText(await answerOf(confirmRefund({ client, path: { id: id as `crn_${string}` } })), output));
      }),
    );
}

type Note = import('#client').CreditNote;

function noteText(note: Note, output: Output): string {
  return factsText(
    note,
    [
      ['credit note', note.number],
      ['id', note.id],
      ['total', centsText(note.totalCents)],
      ['off the invoice', centsText(note.appliedCents)],
      ['to the credit', centsText(note.toCreditCents)],
      ['to pay back', centsText(note.refundCents)],
      ['refund', note.refundState],
    ],
    output,
  );
}

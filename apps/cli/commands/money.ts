import type { Command } from 'commander';
import { idArgument, withBroker } from '../command.js';
import { Ended, EXIT } from '../exit.js';
import { instant, oneOf } from '../flags.js';
import { factsText, print, rowsText } from '../output.js';
import { dollars, jsonText, quantityText } from '../text.js';
import { invoiceText } from './invoices.js';

const GROUPS = ['hour', 'day', 'project', 'job', 'resource'] as const;

export function registerMoney(berth: Command): void {
  berth
    .command('usage')
    .description('what was used and what it cost')
    .option('--from <time>', 'ISO 8601, default 30 days ago', instant)
    .option('--to <time>', 'ISO 8601, default now', instant)
    .option('--by <group>', GROUPS.join(', '), oneOf(GROUPS), 'resource')
    .addHelpText('after', '\nExamples:\n  berth usage --by day\n  berth usage --by job --json')
    .action(
      withBroker(async ({ client, output }, o: { from?: string; to?: string; by: (typeof GROUPS)[number] }) => {
        const { answerOf, getUsage } = await import('#client');
        const usage = await answerOf(
          getUsage({
            client,
            query: {
              by: o.by,
              ...(o.from === undefined ? {} : { from: o.from }),
              ...(o.to === undefined ? {} : { to: o.to }),
            },
          }),
        );
        if (output.json) return print(`${jsonText(usage)}\n`);
        print(
          rowsText(
            usage.totals,
            [
              { title: o.by, of: (r) => r.group },
              { title: 'meter', of: (r) => r.meter },
              { title: 'quantity', of: (r) => quantityText(r.quantity, r.unit), right: true },
              { title: 'amount', of: (r) => dollars(r.amount), right: true },
            ],
            output,
          ),
        );
      }),
    );

  berth
    .command('balance')
    .description('show the credit')
    .addHelpText('after', '\nExamples:\n  berth balance')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, getBalance } = await import('#client');
        const b = await answerOf(getBalance({ client }));
        print(
          factsText(
            b,
            [
              ['available', dollars(b.available)],
              ['held', dollars(b.held)],
              ['balance', dollars(b.balance)],
            ],
            output,
          ),
        );
      }),
    );

  berth
    .command('invoice')
    .argument('[id]', 'an invoice', idArgument('inv'))
    .description('show an invoice; without an id, the newest')
    .addHelpText('after', '\nExamples:\n  berth invoice\n  berth invoice --json')
    .action(
      withBroker(async ({ client, output }, id: string | undefined) => {
        const { answerOf, getInvoice, listInvoices } = await import('#client');
        const wanted =
          id === undefined ? (await answerOf(listInvoices({ client, query: { limit: 1 } }))).items[0]?.id : id;
        if (wanted === undefined)
          throw new Ended(
            EXIT.notFound,
            'there is no invoice yet.\n  The first appears when something was used: berth usage',
          );
        const invoice = await answerOf(getInvoice({ client, path: { id: wanted } }));
        print(invoiceText(invoice, output));
      }),
    );
}

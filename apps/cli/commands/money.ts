import type { Command } from 'commander';
import { idArgument, withBroker } from '../command.js';
import { Ended, EXIT } from '../exit.js';
import { factsText, print } from '../output.js';
import { dollars } from '../text.js';
import { invoiceText } from './invoices.js';

export function registerMoney(berth: Command): void {
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

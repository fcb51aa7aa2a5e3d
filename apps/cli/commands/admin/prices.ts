import { readFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import type { PriceTerms } from '#client';
import { withBroker } from '../../command.js';
import { defined, instant } from '../../flags.js';
import { amountColumn, print, rowsText } from '../../output.js';
import { jsonText } from '../../text.js';

interface MarginFlags {
  by: 'provider' | 'sku' | 'day' | 'lease';
  from?: string;
  to?: string;
}

/** The price book and what it brings. */
export function registerAdminPrices(admin: Command): void {
  const prices = admin.command('prices').description('the price book');
  prices
    .command('list')
    .description('its versions, newest first; the terms with --json')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin prices list --json')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listPriceBooks } = await import('#client');
        const { items, inForce } = await answerOf(listPriceBooks({ client }));
        print(
          rowsText(
            items,
            [
              { title: 'version', of: (b) => `${b.version}${b.version === inForce ? ' (in force)' : ''}` },
              { title: 'from', of: (b) => b.effectiveAt },
              { title: 'note', of: (b) => b.note ?? '' },
              { title: 'margins', of: (b) => jsonText(b.terms.marginBps) },
            ],
            output,
          ),
        );
      }),
    );
  prices
    .command('publish')
    .argument('<file>', 'the terms as JSON, such as {"marginBps": {"hyperscaler": 1000}}')
    .description('add a version; what is rented already keeps its price')
    .option('--from <time>', 'when it takes effect, ISO 8601; else now', instant)
    .option('--note <text>', 'why')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin prices publish terms.json --note "new margins"')
    .action(
      withBroker(async ({ client }, file: string, o: { from?: string; note?: string }) => {
        const { answerOf, publishPriceBook } = await import('#client');
        // The broker checks it whole and names the field that is wrong.
        const terms = JSON.parse(await readFile(file, 'utf8')) as PriceTerms;
        const body = {
          terms,
          ...(o.from === undefined ? {} : { effectiveAt: o.from }),
          ...(o.note === undefined ? {} : { note: o.note }),
        };
        const made = await answerOf(publishPriceBook({ client, body }));
        print(`Version ${made.version} holds from ${made.effectiveAt} on.`);
      }),
    );
  admin
    .command('margin')
    .description('charges, cost and margin')
    .addOption(
      new Option('--by <what>', 'one row for each').choices(['provider', 'sku', 'day', 'lease']).default('provider'),
    )
    .option('--from <time>', 'ISO 8601; else 30 days ago', instant)
    .option('--to <time>', 'ISO 8601; else now', instant)
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin margin --by sku\n  berth --profile admin admin margin --by day --json',
    )
    .action(
      withBroker(async ({ client, output }, o: MarginFlags) => {
        const { answerOf, getMargins } = await import('#client');
        const { rows } = await answerOf(
          getMargins({
            client,
            query: defined({ by: o.by, from: o.from, to: o.to }),
          }),
        );
        print(
          rowsText(
            rows,
            [
              { title: o.by, of: (r) => r.group },
              amountColumn('charged', (r) => r.charge),
              amountColumn('cost', (r) => r.cost),
              amountColumn('margin', (r) => r.margin),
              { title: '%', of: (r) => (r.marginBps === null ? '' : (r.marginBps / 100).toFixed(1)), right: true },
              amountColumn('tail', (r) => r.tail),
              { title: 'unpaid s', of: (r) => String(BigInt(r.costOnlyMs) / 1_000n), right: true },
            ],
            output,
          ),
        );
      }),
    );
}

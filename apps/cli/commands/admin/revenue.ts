import { Option, type Command } from 'commander';
import { withBroker } from '../../command.js';
import { defined, instant } from '../../flags.js';
import { amountColumn, print, rowsText } from '../../output.js';

/** What the broker earned, out of its ledger. */
export function registerAdminRevenue(admin: Command): void {
  admin
    .command('revenue')
    .description('revenue, cost and what is left, out of the ledger')
    .addOption(new Option('--by <what>', 'one row for each').choices(['day', 'month']).default('day'))
    .option('--from <time>', 'ISO 8601; else 30 days ago', instant)
    .option('--to <time>', 'ISO 8601; else now', instant)
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin revenue\n  berth --profile admin --csv admin revenue --by month --from 2026-01-01',
    )
    .action(
      withBroker(async ({ client, output }, o: { by: 'day' | 'month'; from?: string; to?: string }) => {
        const { answerOf, getRevenue } = await import('#client');
        const { rows } = await answerOf(
          getRevenue({
            client,
            query: defined({ by: o.by, from: o.from, to: o.to }),
          }),
        );
        print(
          rowsText(
            rows,
            [
              { title: o.by, of: (r) => r.period },
              amountColumn('revenue', (r) => r.revenue),
              amountColumn('cost', (r) => r.cost),
              amountColumn('exposure', (r) => r.exposure),
              amountColumn('sla credits', (r) => r.slaCredits),
              amountColumn('margin', (r) => r.margin),
              amountColumn('credits', (r) => r.credits),
              amountColumn('fees', (r) => r.fees),
              amountColumn('losses', (r) => r.losses),
              amountColumn('rounding', (r) => r.rounding),
              amountColumn('result', (r) => r.result),
            ],
            output,
          ),
        );
      }),
    );
}

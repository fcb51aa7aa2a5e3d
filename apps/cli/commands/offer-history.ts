import type { Command } from 'commander';
import { pages, withBroker } from '../command.js';
import { instant, wholeNumber } from '../flags.js';
import { amountColumn, print, rowsText } from '../output.js';

interface HistoryFlags {
  from?: string;
  to?: string;
  limit: number;
}

/** `berth offers history`: what an offer cost. */
export function registerOfferHistory(offers: Command): void {
  offers
    .command('history')
    .argument('<id>', 'an offer, as `berth offers --json` names it')
    .description('what an offer cost, newest first: each change of its price or of whether it could be had')
    .option('--from <time>', 'ISO 8601', instant)
    .option('--to <time>', 'ISO 8601', instant)
    .option('--limit <n>', 'most changes', wholeNumber(1, 100_000), 50)
    .addHelpText(
      'after',
      '\nExamples:\n  berth offers history aws:aws/p5.48xlarge/us-east-1/on-demand\n  berth offers history host_01j00000000000000000000000:8 --json',
    )
    .action(
      withBroker(async ({ client, output }, id: string, o: HistoryFlags) => {
        const { answerOf, listOfferHistory } = await import('#client');
        const filter = {
          ...(o.from === undefined ? {} : { from: o.from }),
          ...(o.to === undefined ? {} : { to: o.to }),
        };
        const rows = await pages(o.limit, (cursor, limit) =>
          answerOf(
            listOfferHistory({
              client,
              path: { id },
              query: { ...filter, limit, ...(cursor === undefined ? {} : { cursor }) },
            }),
          ),
        );
        const most = rows.reduce((price, row) => Math.max(price, Number(row.pricePerHour)), 0);
        print(
          rowsText(
            rows,
            [
              { title: 'at', of: (r) => r.at },
              { title: 'what', of: (r) => r.kind },
              amountColumn('$/h', (r) => r.pricePerHour),
              // For the eye only: programs have the price.
              ...(output.table
                ? [{ title: '', of: (r: { pricePerHour: string }) => bar(Number(r.pricePerHour), most) }]
                : []),
              { title: 'stock', of: (r) => r.stock ?? '', right: true },
              { title: 'available', of: (r) => (r.available ? 'yes' : 'no') },
              { title: 'why', of: (r) => r.why ?? '' },
            ],
            output,
          ),
        );
      }),
    );
}

const BAR_CELLS = 12;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A bar as long as the price is high beside the highest. */
function bar(price: number, most: number): string {
  const eighths = most > 0 ? Math.max(1, Math.round((price / most) * BAR_CELLS * 8)) : 0;
  return '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? '');
}

import type { Command } from 'commander';
import type { QuoteView } from '#contracts';
import { idArgument, pages, withBroker } from '../command.js';
import { wholeNumber } from '../flags.js';
import { factsText, print, rowsText, type Output } from '../output.js';
import { tell } from '../exit.js';
import { ago, dollars, duration } from '../text.js';
import { workloadOptions, type WorkloadFlags } from './workload-flags.js';
import { givenWorkload } from './workload-of.js';

export function registerQuotes(berth: Command): void {
  workloadOptions(
    berth.command('quote').description('lock your price per hour for ten minutes; rents nothing and reserves nothing'),
  )
    .option('--project <id>', 'the project that may use it', idArgument('prj'))
    .addHelpText(
      'after',
      '\nExamples:\n  berth quote --gpu H100 --count 8 --interconnect nvswitch --gpu-hours 10\n  berth quote --hours 2\n  berth jobs submit --quote qt_01j00000000000000000000000 --command -- ./train.sh',
    )
    .action(
      withBroker(async ({ client, output }, o: WorkloadFlags & { project?: string }) => {
        const { answerOf, createQuote } = await import('#client');
        const body = {
          workload: (await givenWorkload(o)) as never,
          ...(o.project === undefined ? {} : { projectId: o.project as `prj_${string}` }),
        };
        const quote = (await answerOf(createQuote({ client, body }))) as unknown as QuoteView;
        print(quoteText(quote, output));
        if (!output.quiet) tell(`Use it with: berth jobs submit --quote ${quote.id} --command -- CMD ARGS`);
      }),
    );

  const quotes = berth.command('quotes').description('prices that were locked');
  quotes
    .command('ls')
    .description('list quotes, newest first')
    .option('--limit <n>', 'most rows', wholeNumber(1, 100_000), 20)
    .option('--all', 'every row')
    .addHelpText('after', '\nExamples:\n  berth quotes ls\n  berth quotes ls --all --json')
    .action(
      withBroker(async ({ client, output }, o: { limit: number; all?: boolean }) => {
        const { answerOf, listQuotes } = await import('#client');
        const rows = await pages(o.all ? null : o.limit, (cursor, limit) =>
          answerOf(listQuotes({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(
          rowsText(
            rows,
            [
              { title: 'id', of: (r) => r.id },
              { title: 'state', of: (r) => r.state },
              { title: '$/h', of: (r) => dollars(r.pricePerHour), right: true },
              { title: 'sku', of: (r) => r.offer.sku },
              { title: 'region', of: (r) => r.offer.region },
              { title: 'expires', of: (r) => r.expiresAt },
              { title: 'job', of: (r) => r.jobId ?? '' },
              { title: 'created', of: (r) => ago(r.createdAt) },
            ],
            output,
          ),
        );
      }),
    );
  quotes
    .command('get')
    .argument('<id>', 'a quote', idArgument('qt'))
    .description('show a quote; its decision with berth placement get')
    .addHelpText('after', '\nExamples:\n  berth quotes get qt_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, getQuote } = await import('#client');
        print(quoteText((await answerOf(getQuote({ client, path: { id } }))) as unknown as QuoteView, output));
      }),
    );
}

function quoteText(q: QuoteView, output: Output): string {
  const { terms, offer } = q;
  return factsText(
    q,
    [
      ['id', q.id],
      ['state', q.state],
      ['price per hour', dollars(q.pricePerHour)],
      ['vendor’s price then', dollars(offer.pricePerHour)],
      ['margin', `${terms.marginBps / 100} %`],
      ...(terms.discountBps > 0 ? [['discount', `${terms.discountBps / 100} %`] as const] : []),
      ...(terms.leaseMinimumS > 0 ? [['charged at least', duration(terms.leaseMinimumS)] as const] : []),
      ['machine', `${offer.sku} in ${offer.region}, ${offer.pricing}`],
      ['expected', `${duration(q.expectedS)}, ${dollars(q.expectedCharge)}`],
      ['good until', q.expiresAt],
      ['job', q.jobId],
      ['placement', q.placementId],
    ],
    output,
  );
}

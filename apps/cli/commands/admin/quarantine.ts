import type { Command } from 'commander';
import type { QuarantinedOffer } from '#client';
import { pages, withBroker } from '../../command.js';
import { wholeNumber } from '../../flags.js';
import { amountColumn, print, rowsText, type Output } from '../../output.js';
import { ago, jsonText } from '../../text.js';

/** `berth admin quarantine`: offers that cannot be true. */
export function registerQuarantine(admin: Command): void {
  const quarantine = admin.command('quarantine').description('offers that are kept aside because they cannot be true');
  quarantine
    .command('ls')
    .description('what is kept aside, and why')
    .option('--limit <n>', 'most offers', wholeNumber(1, 100_000), 100)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin quarantine ls')
    .action(
      withBroker(async ({ client, output }, o: { limit: number }) => {
        const { answerOf, listQuarantine } = await import('#client');
        const rows = await pages(o.limit, (cursor, limit) =>
          answerOf(listQuarantine({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(quarantineText(rows, output));
      }),
    );
  quarantine
    .command('release <offer> <reason>')
    .description('believe an offer for as long as it costs what it costs now')
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin quarantine release vendor:acme/h100/us/spot "the vendor confirmed it"',
    )
    .action(
      withBroker(async ({ client, output }, id: string, reason: string) => {
        const { answerOf, releaseOffer } = await import('#client');
        const row = await answerOf(releaseOffer({ client, body: { id, reason } }));
        print(output.json ? `${jsonText(row)}\n` : quarantineText([row], output));
      }),
    );
}

function quarantineText(rows: readonly QuarantinedOffer[], output: Output): string {
  return rowsText(
    rows,
    [
      { title: 'offer', of: (r) => r.id },
      { title: 'accelerator', of: (r) => r.accelerator },
      { title: 'pricing', of: (r) => r.pricing },
      amountColumn('$/h', (r) => r.pricePerHour),
      { title: 'since', of: (r) => ago(r.firstAt) },
      { title: 'seen', of: (r) => ago(r.lastAt) },
      { title: 'why', of: (r) => r.reason },
    ],
    output,
  );
}

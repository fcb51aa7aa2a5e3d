import type { Command } from 'commander';
import type { ConnectedProvider } from '#client';
import { idArgument, pages, withBroker } from '../../command.js';
import { print, rowsText, type Output } from '../../output.js';
import { ago, jsonText } from '../../text.js';

/** `berth admin providers`: where supply comes from, and how fresh it is. */
export function registerProviders(admin: Command): void {
  const providers = admin.command('providers').description('where supply comes from, and how its offers are read');
  providers
    .command('ls')
    .description('every provider: when its offers were last read, how many, and what went wrong')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin providers ls')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listProviders } = await import('#client');
        const rows = await pages(null, (cursor, limit) =>
          answerOf(listProviders({ client, query: { limit, ...(cursor === undefined ? {} : { cursor }) } })),
        );
        print(providersText(rows, output));
      }),
    );
  providers
    .command('list')
    .argument('<id>', 'a provider', idArgument('prv'))
    .description('read a vendor’s offers as soon as possible')
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin providers list prv_01j00000000000000000000000')
    .action(
      withBroker(async ({ client, output }, id: string) => {
        const { answerOf, readProviderOffers } = await import('#client');
        const row = await answerOf(readProviderOffers({ client, path: { id: id } }));
        print(output.json ? `${jsonText(row)}\n` : providersText([row], output));
      }),
    );
}

function providersText(rows: readonly ConnectedProvider[], output: Output): string {
  return rowsText(
    rows,
    [
      { title: 'id', of: (r) => r.id },
      { title: 'name', of: (r) => r.name },
      { title: 'adapter', of: (r) => r.adapter },
      { title: 'state', of: (r) => r.state },
      { title: 'offers', of: (r) => r.listing?.offers ?? '', right: true },
      { title: 'listed', of: (r) => (r.listing?.listedAt ? ago(r.listing.listedAt) : '') },
      {
        title: 'took',
        of: (r) => (r.listing?.tookMs == null ? '' : `${(r.listing.tookMs / 1_000).toFixed(1)} s`),
        right: true,
      },
      { title: 'trouble', of: trouble },
    ],
    output,
  );
}

function trouble({ listing }: ConnectedProvider): string {
  if (!listing) return '';
  if (listing.failures > 0) return `failed ${listing.failures} times: ${listing.error ?? ''}`;
  return listing.doubted > 0 ? `${listing.doubted} lists lacked too much at once` : '';
}

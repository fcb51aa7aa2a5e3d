import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Command } from 'commander';
import type { CatalogFormat, CatalogFormatView, CatalogImportView } from '#contracts';
import { withBroker } from '../command.js';
import { tell } from '../exit.js';
import { instant, oneOf } from '../flags.js';
import { readBytes } from '../input.js';
import { factsText, print, type Output } from '../output.js';
import { jsonText, plainLine, wrapped } from '../text.js';

export const FORMATS = [
  'berth-csv',
  'aws',
  'azure',
  'gcp',
  'gpu-pricing',
  'vast-ai',
  'fsdl',
  'fsdl-serverless',
] as const satisfies readonly CatalogFormat[];
/** From this size on a file travels packed, and it is told how far its import is. */
const LARGE_BYTES = 1_000_000;

interface ImportFlags {
  format: CatalogFormat;
  companion?: string;
  /** ISO 8601. */
  observedAt?: string;
  dryRun?: boolean;
}

/** `berth catalog`: price lists from files. */
export function registerCatalog(berth: Command): void {
  const catalog = berth.command('catalog').description('price lists from files (platform administrators)');
  catalog
    .command('import <file>')
    .description('list the offers of a price list for comparison; the same file again changes nothing')
    .requiredOption('--format <format>', FORMATS.join(', '), oneOf(FORMATS))
    .option('--companion <file>', 'the second file of a format that has one; else the one that ships')
    .option('--observed-at <time>', 'ISO 8601: when the list was true; else when the file was changed last', instant)
    .option('--dry-run', 'say what would happen, and change nothing')
    .addHelpText(
      'after',
      '\n<file> may be packed with gzip; - reads standard input.\n\nExamples:\n  berth --profile admin catalog import docs/samples/catalog/berth.csv --format berth-csv --dry-run\n  berth --profile admin catalog import prices.csv.gz --format gcp --companion zones.csv',
    )
    .action(withBroker(importFile));
  catalog
    .command('formats')
    .description('the formats that can be imported, and their columns')
    .addHelpText('after', '\nExamples:\n  berth --profile admin catalog formats')
    .action(
      withBroker(async ({ client, output }) => {
        const { answerOf, listCatalogFormats } = await import('#client');
        const { items } = await answerOf(listCatalogFormats({ client }));
        print(output.json ? `${jsonText(items)}\n` : items.map(formatText).join('\n'));
      }),
    );
}

async function importFile(
  { client, output }: Parameters<Parameters<typeof withBroker>[0]>[0],
  file: string,
  o: ImportFlags,
): Promise<void> {
  const { answerOf, importCatalog } = await import('#client');
  const { bytes, changedAtMs } = await readBytes(file);
  const observedAt = o.observedAt ?? (changedAtMs === null ? undefined : new Date(changedAtMs).toISOString());
  const packed = await travelling(bytes);
  if (bytes.length >= LARGE_BYTES && !output.quiet)
    tell(`Read ${megabytes(bytes)}; sending ${megabytes(packed)} to the broker …`);
  const view = (await answerOf(
    importCatalog({
      client,
      body: {
        format: o.format,
        content: packed.toString('base64'),
        encoding: 'base64',
        dryRun: o.dryRun === true,
        ...(observedAt === undefined ? {} : { observedAt }),
        ...(o.companion === undefined
          ? {}
          : {
              companion: {
                content: (await travelling((await readBytes(o.companion)).bytes)).toString('base64'),
                encoding: 'base64' as const,
              },
            }),
      },
    }),
  )) as CatalogImportView;
  print(importText(view, output));
}

/** Large files go packed; those that are packed already as they are. */
async function travelling(bytes: Buffer): Promise<Buffer> {
  return bytes.length < LARGE_BYTES || bytes.readUInt16BE(0) === 0x1f8b ? bytes : promisify(gzip)(bytes);
}

const megabytes = (of: Buffer): string => `${(of.length / 1e6).toFixed(1)} MB`;

/** What an import did, then what was kept aside and each rejected line. */
export function importText(view: CatalogImportView, output: Output): string {
  if (output.json) return `${jsonText(view)}\n`;
  const facts = factsText(
    view,
    [
      ['format', view.format],
      ['observed', view.observedAt],
      ['offers', view.offers],
      ['added', view.added],
      ['changed', view.changed],
      ['unchanged', view.unchanged],
      ['older', view.older],
      ['doubtful', view.doubtful],
      ['quarantined', view.quarantined],
      ['rejected', view.rejected],
    ],
    output,
  );
  const lines = [
    ...view.quarantine.map((q) => `kept aside: ${q.offerId}: ${q.reason}`),
    ...more(view.quarantined, view.quarantine.length, 'kept aside'),
    ...view.rejections.map((r) => `line ${r.line}: ${r.reason}`),
    ...more(view.rejected, view.rejections.length, 'rejected'),
    ...(view.dryRun ? ['A dry run: nothing was changed.'] : []),
  ];
  return facts + lines.map((line) => `${plainLine(line)}\n`).join('');
}

const more = (all: number, shown: number, what: string): string[] =>
  all > shown ? [`… and ${all - shown} more ${what}`] : [];

function formatText(format: CatalogFormatView): string {
  return [
    `${format.name}: ${format.file}`,
    `  columns: ${format.columns.join(', ')}`,
    ...(format.optionalColumns.length > 0 ? [`  may have: ${format.optionalColumns.join(', ')}`] : []),
    ...(format.companion
      ? [`  --companion: ${format.companion.file}; columns: ${format.companion.columns.join(', ')}`]
      : []),
  ]
    .map((line) => wrapped(plainLine(line), 100, '    '))
    .join('');
}

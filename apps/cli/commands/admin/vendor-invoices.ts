import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { Option, type Command } from 'commander';
import type { VendorDifference, VendorInvoice } from '#client';
import { idArgument, pages, withBroker } from '../../command.js';
import { tell, UsageError } from '../../exit.js';
import { collect, instant, wholeNumber } from '../../flags.js';
import { openInput } from '../../input.js';
import { amountColumn, factsText, print, rowsText, type Column, type Output } from '../../output.js';
import { rawRequest } from '../../session.js';
import { dollars, duration, jsonText } from '../../text.js';

const FORMATS = ['aws-cur', 'gcp', 'csv'] as const;
const KINDS = ['only-at-vendor', 'only-ours', 'duration', 'amount', 'agreed'] as const;
type Kind = (typeof KINDS)[number];

const invoiceId = idArgument('vin');
const asInvoice = (id: string) => id as `vin_${string}`;
const seconds = (ms: number | null): string | null => (ms === null ? null : duration(ms / 1_000));

const invoiceColumns: readonly Column<VendorInvoice>[] = [
  { title: 'id', of: (r) => r.id },
  { title: 'provider', of: (r) => r.providerId },
  { title: 'file', of: (r) => r.fileName },
  { title: 'from', of: (r) => r.from },
  { title: 'to', of: (r) => r.to },
  { title: 'lines', of: (r) => r.lines, right: true },
  amountColumn('billed', (r) => r.total),
  amountColumn('metered', (r) => r.metered),
];

const differenceColumns: readonly Column<VendorDifference>[] = [
  { title: 'id', of: (r) => r.id },
  { title: 'kind', of: (r) => r.kind },
  { title: 'machine', of: (r) => r.machineId },
  { title: 'lease', of: (r) => r.leaseId },
  { title: 'what', of: (r) => r.what },
  { title: 'from', of: (r) => r.from },
  amountColumn('billed', (r) => r.vendor),
  amountColumn('metered', (r) => r.metered),
  amountColumn('difference', (r) => r.difference),
  { title: 'time billed', of: (r) => seconds(r.vendorMs), right: true },
  { title: 'time metered', of: (r) => seconds(r.meteredMs), right: true },
  { title: 'line', of: (r) => r.firstLine, right: true },
  { title: 'accepted', of: (r) => r.acceptedAt },
];

function sumsText(i: VendorInvoice, output: Output): string {
  return factsText(
    i,
    [
      ['id', i.id],
      ['provider', i.providerId],
      ['file', i.fileName],
      ['from', i.from],
      ['to', i.to],
      ['lines', i.lines],
      ['known from before', i.knownLines === 0 ? null : i.knownLines],
      ['skipped', i.skippedLines === 0 ? null : i.skippedLines],
      ['billed', dollars(i.total)],
      ['of it for leases', dollars(i.matched)],
      ['of it for nobody', dollars(i.onlyAtVendor)],
      ['metered', dollars(i.metered)],
    ],
    output,
  );
}

interface ImportFlags {
  provider: string;
  format: (typeof FORMATS)[number];
  skipBadLines?: true;
  from?: string;
  to?: string;
  toleranceBps?: number;
}

export function registerAdminVendorInvoices(admin: Command): void {
  const invoices = admin.command('vendor-invoices').description('vendors’ invoices, compared with what was metered');
  invoices
    .command('import')
    .argument('<file>', 'the invoice, plain or packed with gzip')
    .description('compare a file with what was metered; the same file again changes nothing')
    .requiredOption('--provider <id>', 'whose invoice it is', idArgument('prv'))
    .addOption(new Option('--format <format>', 'of the file').choices(FORMATS).makeOptionMandatory())
    .option('--skip-bad-lines', 'leave out and count lines that cannot be read; else nothing is imported')
    .option('--from <time>', 'compare with what was metered from then on; else by the lines, in whole days', instant)
    .option('--to <time>', 'and before', instant)
    .option('--tolerance-bps <n>', 'how far both may be apart, in hundredths of a percent', wholeNumber(0, 10_000))
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin vendor-invoices import cur.csv.gz --provider prv_01j00000000000000000000000 --format aws-cur',
    )
    .action(
      withBroker(async ({ login, output }, file: string, o: ImportFlags) => {
        const query = new URLSearchParams({
          providerId: o.provider,
          format: o.format,
          name: basename(file).slice(0, 80),
          badLines: o.skipBadLines === true ? 'skip' : 'stop',
          ...(o.from === undefined ? {} : { from: o.from }),
          ...(o.to === undefined ? {} : { to: o.to }),
          ...(o.toleranceBps === undefined ? {} : { toleranceBps: String(o.toleranceBps) }),
        });
        const handle = await openInput(file);
        try {
          const response = await rawRequest(login, 'POST', `/v1/admin/vendor-invoices?${query}`, {
            headers: { 'content-type': 'application/octet-stream' },
            body: Readable.toWeb(handle.createReadStream({ autoClose: false })) as ReadableStream<Uint8Array>,
            // Node's fetch wants this said for bodies that are streams.
            ...({ duplex: 'half' } as object),
          });
          const answer = (await response.json()) as { invoice: VendorInvoice; again: boolean };
          if (output.json) return print(`${jsonText(answer)}\n`);
          if (answer.again && !output.quiet) tell('This file was imported before; nothing was changed.');
          for (const p of answer.invoice.problems.slice(0, 20)) tell(`line ${p.line} was skipped: ${p.message}`);
          print(sumsText(answer.invoice, output));
        } finally {
          await handle.close();
        }
      }),
    );
  invoices
    .command('list')
    .alias('ls')
    .description('list what was imported, newest first')
    .option('--provider <id>', 'of one provider', idArgument('prv'))
    .option('--limit <n>', 'most invoices', wholeNumber(1, 10_000), 50)
    .addHelpText('after', '\nExamples:\n  berth --profile admin admin vendor-invoices list')
    .action(
      withBroker(async ({ client, output }, o: { provider?: string; limit: number }) => {
        const { answerOf, listVendorInvoices } = await import('#client');
        const filter = o.provider === undefined ? {} : { providerId: o.provider as `prv_${string}` };
        const rows = await pages(o.limit, (cursor, limit) =>
          answerOf(
            listVendorInvoices({ client, query: { ...filter, limit, ...(cursor === undefined ? {} : { cursor }) } }),
          ),
        );
        print(rowsText(rows, invoiceColumns, output));
      }),
    );
  registerDifferences(invoices);
}

function registerDifferences(invoices: Command): void {
  const kindOption = (about: string) => new Option('--kind <kind...>', about).choices(KINDS);
  invoices
    .command('show')
    .argument('<id>', 'a vendor’s invoice', invoiceId)
    .description('show where bill and metering differ')
    .addOption(kindOption('only these kinds; else all but `agreed`'))
    .option('--limit <n>', 'most differences', wholeNumber(1, 1_000_000), 1_000)
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin vendor-invoices show vin_01j00000000000000000000000\n  berth --profile admin --csv admin vendor-invoices show vin_01j00000000000000000000000 --kind only-at-vendor',
    )
    .action(
      withBroker(async ({ client, output }, id: string, o: { kind?: Kind[]; limit: number }) => {
        const { answerOf, getVendorInvoice, listVendorDifferences } = await import('#client');
        const path = { id: asInvoice(id) };
        const kinds = o.kind === undefined ? {} : { kind: o.kind };
        const differences = await pages(o.limit, (cursor, limit) =>
          answerOf(
            listVendorDifferences({
              client,
              path,
              query: { ...kinds, limit, ...(cursor === undefined ? {} : { cursor }) },
            }),
          ),
        );
        const invoice = await answerOf(getVendorInvoice({ client, path }));
        if (output.json) return print(`${jsonText({ ...invoice, differences })}\n`);
        print(rowsText(differences, differenceColumns, output));
        if (output.table) print(`\n${sumsText(invoice, output)}`);
      }),
    );
  invoices
    .command('accept')
    .argument('<id>', 'a vendor’s invoice', invoiceId)
    .description('take differences as billed: what the provider is owed becomes that')
    .requiredOption('--reason <text>', 'for the audit log')
    .option('--difference <id>', 'one of them; again for the next', collect, [])
    .addOption(kindOption('all of these kinds'))
    .addHelpText(
      'after',
      '\nExamples:\n  berth --profile admin admin vendor-invoices accept vin_01j00000000000000000000000 --kind amount --reason "price of November"',
    )
    .action(
      withBroker(async ({ client, output }, id: string, o: { reason: string; difference: string[]; kind?: Kind[] }) => {
        if ((o.difference.length === 0) === (o.kind === undefined))
          throw new UsageError('which ones? Name differences with --difference, or kinds with --kind');
        const { answerOf, acceptVendorDifferences } = await import('#client');
        const ids = o.difference.map((one) => idArgument('vcm')(one) as `vcm_${string}`);
        const body = { reason: o.reason, ...(o.kind === undefined ? { ids } : { kinds: o.kind }) };
        const done = await answerOf(acceptVendorDifferences({ client, path: { id: asInvoice(id) }, body }));
        if (output.json) return print(`${jsonText(done)}\n`);
        print(`${done.accepted} accepted; the provider is owed ${dollars(done.amount)} more than before.\n`);
      }),
    );
}

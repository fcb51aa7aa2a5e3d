import { Controller } from '@nestjs/common';
import { z } from 'zod';
import { idOf, isoTime, nanoUsdText } from '#contracts';
import { authorOf } from '#identity/audit';
import {
  comparisonKinds,
  vendorFormats,
  VendorInvoices,
  type ComparisonRow,
  type VendorInvoiceRow,
} from '#money/vendor-invoices';
import { queryInt, queryList } from '../../http/query-types.js';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { nameText, timeText } from '../shapes.js';

const tag = 'Administration';
const access = { roles: ['platform-admin'] } as const;
const params = z.strictObject({ id: idOf('vendorInvoice') });
/** What an administrator looks at; `agreed` is asked for. */
const differences = comparisonKinds.filter((kind) => kind !== 'agreed');

const vendorInvoiceSchema = z
  .object({
    id: idOf('vendorInvoice'),
    providerId: z.string(),
    format: z.enum(vendorFormats),
    fileName: z.string(),
    fileHash: z.string().describe('SHA-256 of the content; packed or not, it is the same'),
    from: isoTime,
    to: isoTime,
    lines: z.int().describe('Lines that count'),
    knownLines: z.int().describe('Lines that an earlier file had'),
    skippedLines: z.int().describe('Lines that could not be read'),
    problems: z
      .array(z.object({ line: z.int(), message: z.string(), fix: z.string() }))
      .describe('The first of the skipped lines'),
    total: nanoUsdText.describe('What the vendor bills: `matched` + `onlyAtVendor`'),
    matched: nanoUsdText.describe('Of it, for leases'),
    onlyAtVendor: nanoUsdText.describe('Of it, for machines and services that no lease had'),
    metered: nanoUsdText.describe('What was metered as owed in that time'),
    importedAt: isoTime,
  })
  .meta({ id: 'VendorInvoice' });

const differenceSchema = z
  .object({
    id: idOf('vendorComparison'),
    kind: z.enum(comparisonKinds),
    leaseId: z.string().nullable(),
    machineId: z.string().nullable(),
    what: z.string(),
    from: isoTime,
    to: isoTime,
    vendor: nanoUsdText,
    metered: nanoUsdText,
    difference: nanoUsdText.describe('`vendor` less `metered`'),
    vendorMs: z.int().nullable().describe('Machine time on the bill; null where the vendor does not say'),
    meteredMs: z.int(),
    lines: z.int(),
    firstLine: z.int().nullable().describe('Where in the file to look'),
    acceptedAt: isoTime.nullable(),
    acceptedFor: z.string().nullable(),
    transactionId: z.string().nullable(),
  })
  .meta({ id: 'VendorDifference' });

const importVendorInvoice = route({
  method: 'POST',
  path: '/v1/admin/vendor-invoices',
  tag,
  name: 'importVendorInvoice',
  summary: 'Compare a vendor’s invoice with what was metered',
  description:
    'The body is the file as it is, or packed with gzip. `aws-cur`: Cost and Usage Report as CSV with resource ids; `gcp`: detailed billing export of BigQuery as JSON lines or CSV; `csv`: `machine_id,from,to,amount_usd` and, where known, `line_id,duration_s,description`. The same content again changes nothing. Without `from` and `to`, the whole days (UTC) in which its lines lie are compared.',
  access,
  query: z.strictObject({
    providerId: idOf('provider'),
    format: z.enum(vendorFormats),
    name: nameText.default('invoice'),
    badLines: z
      .enum(['stop', 'skip'])
      .default('stop')
      .meta({ description: 'What to do with lines that cannot be read' }),
    from: isoTime.optional(),
    to: isoTime.optional(),
    toleranceBps: queryInt(0, 10_000)
      .optional()
      .meta({ description: 'Hundredths of a percent that bill and metering may be apart; default 50' }),
  }),
  upload: true,
  returns: z.object({ invoice: vendorInvoiceSchema, again: z.boolean() }).meta({ id: 'VendorInvoiceImport' }),
  creates: true,
});

const listVendorInvoices = route({
  method: 'GET',
  path: '/v1/admin/vendor-invoices',
  tag,
  name: 'listVendorInvoices',
  summary: 'List imported invoices of vendors, newest first',
  access,
  query: z.strictObject({ providerId: idOf('provider').optional() }),
  returns: vendorInvoiceSchema,
  page: true,
});

const getVendorInvoice = route({
  method: 'GET',
  path: '/v1/admin/vendor-invoices/{id}',
  tag,
  name: 'getVendorInvoice',
  summary: 'Show the sums of a vendor’s invoice',
  access,
  params,
  returns: vendorInvoiceSchema,
});

const listVendorDifferences = route({
  method: 'GET',
  path: '/v1/admin/vendor-invoices/{id}/differences',
  tag,
  name: 'listVendorDifferences',
  summary: 'List where a vendor’s invoice and metering differ, in the order of time',
  description:
    '`only-at-vendor`: no lease had the machine then; `only-ours`: metered and not billed; `duration`: another time; `amount`: another amount for the same time; `agreed` (when asked for): the same within the tolerance.',
  access,
  params,
  query: z.strictObject({ kind: queryList(z.enum(comparisonKinds)).optional() }),
  returns: differenceSchema,
  page: true,
});

const acceptVendorDifferences = route({
  method: 'POST',
  path: '/v1/admin/vendor-invoices/{id}/accept',
  tag,
  name: 'acceptVendorDifferences',
  summary: 'Take differences as they are: what the provider is owed becomes what it bills',
  description:
    'By id or by kind. Books the difference on the provider’s account against `vendor-differences:berth`, once. What was accepted before stays as it is.',
  access,
  params,
  body: z
    .strictObject({
      reason: nameText,
      ids: z.array(idOf('vendorComparison')).min(1).max(1_000).optional(),
      kinds: z.array(z.enum(comparisonKinds)).min(1).optional(),
    })
    .refine((b) => (b.ids === undefined) !== (b.kinds === undefined), 'give ids or kinds')
    .meta({ id: 'VendorDifferencesAcceptance' }),
  returns: z
    .object({ accepted: z.int().describe('Those that were not accepted before'), amount: nanoUsdText })
    .meta({ id: 'VendorDifferencesAccepted' }),
});

@Controller()
export class VendorInvoicesController {
  constructor(private readonly vendorInvoices: VendorInvoices) {}

  @Serve(importVendorInvoice)
  async import(call: Call<typeof importVendorInvoice>) {
    const { providerId, format, name, badLines, from, to, toleranceBps } = call.query;
    const { invoice, again } = await this.vendorInvoices.import(
      {
        providerId,
        format,
        fileName: name,
        bytes: call.upload as AsyncIterable<Uint8Array>,
        badLines,
        ...(from === undefined ? {} : { fromMs: Date.parse(from) }),
        ...(to === undefined ? {} : { toMs: Date.parse(to) }),
        ...(toleranceBps === undefined ? {} : { tolerance: { bps: toleranceBps } }),
      },
      authorOf(call),
    );
    return { invoice: showInvoice(invoice), again };
  }

  @Serve(listVendorInvoices)
  async list({ query, page }: Call<typeof listVendorInvoices>) {
    const filter = query.providerId === undefined ? {} : { providerId: query.providerId };
    return page.answer(await this.vendorInvoices.list(filter, page.order), (row) => [row.id], showInvoice);
  }

  @Serve(getVendorInvoice)
  async get({ params }: Call<typeof getVendorInvoice>) {
    return showInvoice(await this.vendorInvoices.get(params.id));
  }

  @Serve(listVendorDifferences)
  async differences({ params, query, page }: Call<typeof listVendorDifferences>) {
    const rows = await this.vendorInvoices.comparisons(params.id, query.kind ?? differences, page.order);
    return page.answer(rows, (row) => [row.fromAt, row.id], showDifference);
  }

  @Serve(acceptVendorDifferences)
  async accept(call: Call<typeof acceptVendorDifferences>) {
    const { reason, ids, kinds } = call.body;
    const which = ids === undefined ? { kinds: kinds ?? [] } : { ids };
    const done = await this.vendorInvoices.accept(call.params.id, { reason, ...which }, authorOf(call));
    return { accepted: done.accepted, amount: String(done.amountNano) };
  }
}

function showInvoice(row: VendorInvoiceRow) {
  return {
    // Rows carry ids of their own kind; the type of a column is text.
    id: row.id as z.infer<typeof vendorInvoiceSchema>['id'],
    providerId: row.providerId,
    format: row.format,
    fileName: row.fileName,
    fileHash: row.fileHash,
    from: timeText(row.periodFrom),
    to: timeText(row.periodTo),
    lines: row.lines,
    knownLines: row.knownLines,
    skippedLines: row.skippedLines,
    problems: [...row.problems],
    total: String(row.totalNano),
    matched: String(row.matchedNano),
    onlyAtVendor: String(row.onlyAtVendorNano),
    metered: String(row.meteredNano),
    importedAt: timeText(row.importedAt),
  };
}

function showDifference(row: ComparisonRow) {
  const { kind, leaseId, machineId, what, vendorMs, oursMs, lines, firstLine, acceptedFor, transactionId } = row;
  return {
    // As above.
    id: row.id as z.infer<typeof differenceSchema>['id'],
    kind,
    leaseId,
    machineId,
    what,
    from: timeText(row.fromAt),
    to: timeText(row.toAt),
    vendor: String(row.vendorNano),
    metered: String(row.oursNano),
    difference: String(row.vendorNano - row.oursNano),
    vendorMs,
    meteredMs: oursMs,
    lines,
    firstLine,
    acceptedAt: timeText(row.acceptedAt),
    acceptedFor,
    transactionId,
  };
}

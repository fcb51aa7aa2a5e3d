import { z } from 'zod';
import { isoTime } from './wire.js';

/** Price lists that `POST /v1/admin/catalog/imports` reads. */
export const catalogFormats = [
  'berth-csv',
  'aws',
  'azure',
  'gcp',
  'gpu-pricing',
  'vast-ai',
  'fsdl',
  'fsdl-serverless',
] as const;
export type CatalogFormat = (typeof catalogFormats)[number];

/** Largest body of an import, and the most that a packed list may hold. */
export const CATALOG_IMPORT_BODY_BYTES = 16 * 1_048_576;
export const CATALOG_IMPORT_TEXT_BYTES = 16 * 1_048_576;
export const CATALOG_IMPORT_LINES = 50_000;
/** Rejected lines and offers kept aside that an answer lists; the counts are of all. */
export const CATALOG_IMPORT_LISTED = 100;

const fileSchema = z.strictObject({
  content: z.string().min(1),
  encoding: z
    .enum(['text', 'base64'])
    .default('text')
    .describe('`base64` for bytes as they are; those of a gzip file are unpacked'),
});
export type CatalogFile = z.output<typeof fileSchema>;

export const catalogImportSchema = z
  .strictObject({
    format: z.enum(catalogFormats),
    ...fileSchema.shape,
    companion: fileSchema
      .optional()
      .describe('The second file of a format that has one; without it the one that ships with Berth'),
    observedAt: isoTime
      .optional()
      .describe('When the list was true, for lines that do not say so themselves; now, unless given'),
    dryRun: z.boolean().default(false).describe('Say what would happen, and change nothing'),
  })
  .meta({ id: 'CatalogImportRequest' });
export type CatalogImportRequest = z.output<typeof catalogImportSchema>;

const count = z.number().int().nonnegative();

export const catalogImportView = z
  .object({
    format: z.enum(catalogFormats),
    dryRun: z.boolean(),
    observedAt: isoTime,
    offers: count.describe('That could be read'),
    added: count,
    changed: count,
    unchanged: count,
    older: count.describe('Left as they are, because the catalog saw them later than the list'),
    doubtful: count.describe('In the catalog, with a doubt, and never chosen'),
    quarantined: count.describe('Kept aside, because they cannot be true'),
    quarantine: z
      .array(z.object({ offerId: z.string(), reason: z.string() }))
      .describe(`The first ${CATALOG_IMPORT_LISTED}`),
    rejected: count.describe('Lines that became no offer'),
    rejections: z
      .array(z.object({ line: count.describe('From 1, with the heading; of JSON the element'), reason: z.string() }))
      .describe(`The first ${CATALOG_IMPORT_LISTED}`),
  })
  .meta({ id: 'CatalogImport' });
export type CatalogImportView = z.output<typeof catalogImportView>;

export const catalogFormatView = z
  .object({
    name: z.enum(catalogFormats),
    file: z.string().describe('What file it is'),
    columns: z.array(z.string()).describe('That it must have; of JSON the fields of an element'),
    optionalColumns: z.array(z.string()),
    companion: z
      .object({ file: z.string(), columns: z.array(z.string()) })
      .nullable()
      .describe('A second file that it is read with; one ships with Berth'),
  })
  .meta({ id: 'CatalogFormat' });
export type CatalogFormatView = z.output<typeof catalogFormatView>;

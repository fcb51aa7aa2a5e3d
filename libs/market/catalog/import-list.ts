import { gunzipSync } from 'node:zlib';
import { DomainError } from '#kernel';
import {
  CATALOG_IMPORT_LISTED,
  CATALOG_IMPORT_TEXT_BYTES,
  type CatalogFile,
  type CatalogImportRequest,
  type CatalogImportView,
} from '#contracts';
import { audit, type Author } from '#identity/audit';
import { WORKER, type Store, type Tx } from '#platform/database';
import type { Catalog } from './catalog.service.js';
import {
  lineCount,
  readPriceList,
  refuseTooMany,
  tooMuch,
  withNearestGpus,
  type PriceList,
} from './importers/index.js';

/** Ends the transaction of an import that was to be tried only. */
class DryRun extends Error {
  constructor(readonly counts: Counts) {
    super('a dry run is not kept');
  }
}

/**
 * Reads a price list and puts its offers into the catalog as `listed`, in one transaction with its line in the audit log. A dry run does the
 * same and takes it back.
 */
export async function importPriceList(
  store: Store,
  catalog: Catalog,
  by: Author,
  request: CatalogImportRequest,
): Promise<CatalogImportView> {
  const now = await store.transaction(WORKER, (tx) => tx.now());
  const observedAtMs = Math.min(now, request.observedAt === undefined ? now : Date.parse(request.observedAt));
  const companion = request.companion === undefined ? null : textOf(request.companion);
  const read = await readPriceList(request.format, { text: textOf(request), companion, observedAtMs });
  // A list that says it is of tomorrow comes from another clock or time zone.
  const list = { ...read, offers: read.offers.map((o) => (o.observedAtMs > now ? { ...o, observedAtMs: now } : o)) };
  const about = { format: request.format, dryRun: request.dryRun, observedAt: new Date(observedAtMs).toISOString() };
  const counts = await store
    .transaction(WORKER, async (tx) => {
      const done = await admitted(tx, catalog, list);
      if (request.dryRun) throw new DryRun(done);
      const { quarantine: _, rejections: __, ...totals } = done;
      const after = { ...totals, observedAt: about.observedAt };
      await audit(tx, { by, organizationId: null, action: 'catalog.import', subject: request.format, after });
      return done;
    })
    .catch((error: unknown) => {
      if (error instanceof DryRun) return error.counts;
      throw error;
    });
  return { ...about, ...counts };
}

type Counts = Omit<CatalogImportView, 'format' | 'dryRun' | 'observedAt'>;

async function admitted(tx: Tx, catalog: Catalog, { offers, rejections }: PriceList): Promise<Counts> {
  const { added, changed, refreshed, unchanged, older, quarantined } = await catalog.admit(tx, offers);
  const aside = [...quarantined].map(([offerId, reason]) => ({ offerId, reason }));
  return {
    offers: offers.length,
    added,
    changed,
    unchanged: unchanged + refreshed,
    older,
    doubtful: offers.filter(({ id, doubts }) => doubts.length > 0 && !quarantined.has(id)).length,
    quarantined: aside.length,
    quarantine: aside.slice(0, CATALOG_IMPORT_LISTED),
    rejected: rejections.length,
    rejections: rejections
      .slice(0, CATALOG_IMPORT_LISTED)
      .map(({ line, reason }) => ({ line, reason: withNearestGpus(reason) })),
  };
}

/** The text of a file, unpacked where it is gzip; refuses what is no text and what is too much. */
function textOf({ content, encoding }: CatalogFile): string {
  // Bytes lose the mark when they are decoded; a text may still have it.
  const text = encoding === 'text' ? content.replace(/^\uFEFF/, '') : decoded(content);
  if (text.includes('\0') || /\p{Cs}/u.test(text))
    throw refused('not-text', 'The file is not text: it has characters that no text has.');
  refuseTooMany(lineCount(text), 'lines');
  return text;
}

function decoded(base64: string): string {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) throw refused('not-base64', 'The content is not base64.');
  const bytes = Buffer.from(base64, 'base64');
  const packed = bytes[0] === 0x1f && bytes[1] === 0x8b;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(packed ? unpacked(bytes) : bytes);
  } catch (error) {
    if (error instanceof DomainError) throw error;
    throw refused('not-text', 'The file is not text in UTF-8.');
  }
}

function unpacked(bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: CATALOG_IMPORT_TEXT_BYTES });
  } catch (error) {
    if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE')
      throw tooMuch(`Unpacked, the list is larger than ${CATALOG_IMPORT_TEXT_BYTES} bytes.`, CATALOG_IMPORT_TEXT_BYTES);
    throw refused('malformed-gzip', 'The gzip file is damaged or cut short.');
  }
}

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
const refused = (code: string, message: string): DomainError => new DomainError('invalid', code, message);

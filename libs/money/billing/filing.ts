import { DomainError, notFound } from '#kernel';
import { organizations } from '#identity/tenancy';
import { WORKER, type Actor, type Store, type Tx } from '#platform/database';
import { csvOf } from './render/csv.js';
import { documentOfInvoice, documentOfNote, type BillingDocument } from './render/document.js';
import { pdfOf } from './render/pdf.js';
import { creditNoteLines, creditNotes } from './rows/documents.table.js';
import { invoiceLines, invoices, type InvoiceRow } from './rows/invoices.table.js';
import type { BillingSettings } from './settings.js';
import { viewOf } from './view.js';

/** Where documents lie; the object store of the installation. */
export interface DocumentBytes {
  put(key: string, body: Uint8Array): Promise<unknown>;
  get(key: string): Promise<AsyncIterable<Uint8Array>>;
}

export const documentFormats = ['pdf', 'csv'] as const;
export type DocumentFormat = (typeof documentFormats)[number];

export interface RenderedDocument {
  readonly bytes: Uint8Array;
  readonly fileName: string;
}

/** Documents of invoices and credit notes. The same invoice gives the same bytes, so filing it twice is filing it once. */
export class Filing {
  constructor(
    private readonly d: { readonly store: Store; readonly settings: BillingSettings; readonly bytes: DocumentBytes },
  ) {}

  /** Puts PDF and CSV of an issued invoice into the object store. */
  async file(row: InvoiceRow): Promise<void> {
    for (const format of documentFormats) {
      const { bytes } = await this.render(WORKER, row.id, format);
      await this.d.bytes.put(keyOf(row, format), bytes);
    }
    await this.d.store.transaction(WORKER, async (tx) =>
      tx.update(invoices, { id: row.id, version: row.version }, { filedAt: await tx.now() }),
    );
  }

  /** As it was filed; drafts, and what is not filed yet, are rendered now. */
  async document(actor: Actor, id: string, format: DocumentFormat): Promise<RenderedDocument> {
    const row = await this.d.store.transaction(actor, (tx) => visible(tx, actor, id));
    if (row.filedAt === null) return this.render(actor, id, format);
    const parts: Uint8Array[] = [];
    try {
      for await (const part of await this.d.bytes.get(keyOf(row, format))) parts.push(part);
    } catch (error) {
      // Lost from the store: the rows say all that was on it.
      if (error instanceof DomainError && error.kind === 'not-found') return this.render(actor, id, format);
      throw error;
    }
    return { bytes: Buffer.concat(parts), fileName: fileNameOf(row, format) };
  }

  async noteDocument(actor: Actor, id: string, format: DocumentFormat): Promise<RenderedDocument> {
    const document = await this.d.store.transaction(actor, async (tx) => {
      const own = actor.as === 'worker' ? {} : { organizationId: actor.organizationId };
      const note = await tx.first(creditNotes, { id, ...own });
      if (!note) throw notFound('credit note', id);
      const invoice = await visible(tx, actor, note.invoiceId);
      const taken = await tx.find(creditNoteLines, { creditNoteId: id }, { orderBy: [['n', 'asc']] });
      const lines = await tx.find(invoiceLines, { invoiceId: invoice.id }, { orderBy: [['n', 'asc']] });
      return documentOfNote(note, invoice, taken, lines, this.d.settings);
    });
    const bytes = format === 'pdf' ? await pdfOf(document) : Buffer.from(csvOf(document));
    return { bytes, fileName: `${document.number ?? id}.${format}` };
  }

  private async render(actor: Actor, id: string, format: DocumentFormat): Promise<RenderedDocument> {
    const { row, document } = await this.d.store.transaction(actor, async (tx) => {
      const row = await visible(tx, actor, id);
      return { row, document: await this.documentOf(tx, row) };
    });
    const bytes = format === 'pdf' ? await pdfOf(document) : Buffer.from(csvOf(document));
    return { bytes, fileName: fileNameOf(row, format) };
  }

  private async documentOf(tx: Tx, row: InvoiceRow): Promise<BillingDocument> {
    const organization = await tx.first(organizations, { id: row.organizationId });
    return documentOfInvoice(await viewOf(tx, row), organization?.name ?? row.organizationId, this.d.settings);
  }
}

async function visible(tx: Tx, actor: Actor, id: string): Promise<InvoiceRow> {
  const own = actor.as === 'worker' ? {} : { organizationId: actor.organizationId };
  const row = await tx.first(invoices, { id, ...own });
  if (!row) throw notFound('invoice', id);
  return row;
}

const keyOf = (row: InvoiceRow, format: DocumentFormat): string =>
  `invoices/${row.id}-${row.state === 'void' ? 'void' : 'issued'}.${format}`;

function fileNameOf(row: InvoiceRow, format: DocumentFormat): string {
  return `${row.number ?? `draft-${new Date(row.periodStart).toISOString().slice(0, 7)}`}.${format}`;
}

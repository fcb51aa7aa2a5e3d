import { pdfOf, type BillingSettings, type DocumentFormat, type RenderedDocument } from '#money/billing';
import type { Actor } from '#platform/database';
import { csvOfStatement, documentOfStatement, fileNameOf } from './document.js';
import type { Statements, StatementView } from './statements.js';

/** Documents of statements. A statement never changes, so the same one gives the same bytes. */
export class Filing {
  constructor(
    private readonly statements: Statements,
    private readonly settings: Pick<BillingSettings, 'footer'>,
  ) {}

  async document(actor: Actor, id: string, format: DocumentFormat): Promise<RenderedDocument> {
    return this.render(await this.statements.get(actor, id), format);
  }

  /** The month of `atMs` as its statement would be now, marked as a draft; the statement itself if there is one. */
  async draft(actor: Actor, providerId: string, atMs: number, format: DocumentFormat): Promise<RenderedDocument> {
    return this.render(await this.statements.preview(actor, providerId, atMs), format);
  }

  private async render(view: StatementView, format: DocumentFormat): Promise<RenderedDocument> {
    const bytes =
      format === 'csv' ? Buffer.from(csvOfStatement(view)) : await pdfOf(documentOfStatement(view, this.settings));
    return { bytes, fileName: fileNameOf(view.row, format) };
  }
}

import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { idOf } from '#contracts';
import { Billing } from '#money/billing';
import type { Ground } from '../../ground.js';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { GROUND } from '../../services.js';
import { invoiceSchema, invoiceWithLines, showInvoice, showView } from './invoice-shapes.js';
import { sent } from './documents.js';

/** Invoices are the organization's, over all its projects: a key of one project does not see them. */
const wholeOrganization = ['admin'] as const;
/** A platform administrator reads those of every organization. */
const readers = [...wholeOrganization, 'platform-admin'] as const;
const params = z.strictObject({ id: idOf('invoice') });
const tag = 'Money';

const listInvoices = route({
  method: 'GET',
  path: '/v1/invoices',
  tag,
  name: 'listInvoices',
  summary: 'List invoices, newest first',
  access: { roles: wholeOrganization },
  returns: invoiceSchema,
  page: true,
});

const previewInvoice = route({
  method: 'GET',
  path: '/v1/invoices/preview',
  tag,
  name: 'previewInvoice',
  summary: 'Show a month’s invoice as it would be if it were issued now',
  access: { roles: wholeOrganization },
  query: z.strictObject({
    month: z
      .string()
      .regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'must be a month such as 2026-11')
      .optional()
      .describe('Default: this month'),
  }),
  returns: invoiceWithLines,
});

const getInvoice = route({
  method: 'GET',
  path: '/v1/invoices/{id}',
  tag,
  name: 'getInvoice',
  summary: 'Show an invoice with its lines',
  description: 'Of a draft, everything is as it would be if it were issued now.',
  access: { roles: readers },
  params,
  returns: invoiceWithLines,
});

const readInvoicePdf = route({
  method: 'GET',
  path: '/v1/invoices/{id}/pdf',
  tag,
  name: 'readInvoicePdf',
  summary: 'Read an invoice as PDF',
  description: 'What was issued gives the same bytes for ever; a draft is marked as one.',
  access: { roles: readers },
  params,
  returns: { bytes: 'application/pdf' },
});

const readInvoiceCsv = route({
  method: 'GET',
  path: '/v1/invoices/{id}/csv',
  tag,
  name: 'readInvoiceCsv',
  summary: 'Read an invoice as CSV, a row for each line and each sum',
  access: { roles: readers },
  params,
  returns: { bytes: 'text/csv' },
});

const readCreditNotePdf = route({
  method: 'GET',
  path: '/v1/credit-notes/{id}/pdf',
  tag,
  name: 'readCreditNotePdf',
  summary: 'Read a credit note as PDF',
  access: { roles: readers },
  params: z.strictObject({ id: idOf('creditNote') }),
  returns: { bytes: 'application/pdf' },
});

const readCreditNoteCsv = route({
  method: 'GET',
  path: '/v1/credit-notes/{id}/csv',
  tag,
  name: 'readCreditNoteCsv',
  summary: 'Read a credit note as CSV, a row for each line and each sum',
  access: { roles: readers },
  params: z.strictObject({ id: idOf('creditNote') }),
  returns: { bytes: 'text/csv' },
});

@Controller()
export class InvoicesController {
  constructor(
    private readonly billing: Billing,
    @Inject(GROUND) private readonly ground: Ground,
  ) {}

  @Serve(listInvoices)
  async list({ principal, page }: Call<typeof listInvoices>) {
    const { organizationId } = principal;
    await this.billing.ensureDraft(organizationId, this.ground.clock.now());
    const rows = await this.billing.list(principal.actor, organizationId, orderOf(page.order));
    return page.answer(rows, (row) => [row.periodStart, row.id], showInvoice);
  }

  @Serve(previewInvoice)
  async preview({ principal, query }: Call<typeof previewInvoice>) {
    const atMs = query.month === undefined ? this.ground.clock.now() : Date.parse(`${query.month}-01T00:00:00Z`);
    return showView(await this.billing.preview(principal.actor, principal.organizationId, atMs));
  }

  @Serve(getInvoice)
  async get({ principal, params }: Call<typeof getInvoice>) {
    return showView(await this.billing.get(principal.actor, params.id));
  }

  @Serve(readInvoicePdf)
  async pdf({ principal, params }: Call<typeof readInvoicePdf>) {
    return sent(await this.billing.filing.document(principal.actor, params.id, 'pdf'));
  }

  @Serve(readInvoiceCsv)
  async csv({ principal, params }: Call<typeof readInvoiceCsv>) {
    return sent(await this.billing.filing.document(principal.actor, params.id, 'csv'));
  }

  @Serve(readCreditNotePdf)
  async note({ principal, params }: Call<typeof readCreditNotePdf>) {
    return sent(await this.billing.filing.noteDocument(principal.actor, params.id, 'pdf'));
  }

  @Serve(readCreditNoteCsv)
  async noteCsv({ principal, params }: Call<typeof readCreditNoteCsv>) {
    return sent(await this.billing.filing.noteDocument(principal.actor, params.id, 'csv'));
  }
}

/** Where a page of invoices goes on, as their list is ordered. */
export function orderOf({ limit, after }: { readonly limit: number; readonly after?: readonly unknown[] }) {
  return { limit, ...(after ? { after: [Number(after[0]), String(after[1])] as const } : {}) };
}

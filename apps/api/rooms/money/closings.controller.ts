import { Controller } from '@nestjs/common';
import { z } from 'zod';
import { idOf, isoTime } from '#contracts';
import { audit, authorOf } from '#identity/audit';
import { closings, closingStates, Payments, type ClosingRow } from '#money/payments';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { timeText } from '../shapes.js';

const tag = 'Administration';
const access = { roles: ['platform-admin'] } as const;

const closingSchema = z
  .object({
    id: idOf('closing'),
    organizationId: z.string(),
    invoiceId: z.string(),
    document: z.string().describe('The invoice at the payment processor'),
    closeAs: z.enum(closings),
    state: z.enum(closingStates),
    code: z.string().nullable(),
    message: z.string().nullable(),
    createdAt: isoTime,
  })
  .meta({ id: 'InvoiceClosing' });

const listInvoiceClosings = route({
  method: 'GET',
  path: '/v1/admin/invoice-closings',
  tag,
  name: 'listInvoiceClosings',
  summary: 'List the ends of invoices at the payment processor, newest first',
  description: 'What was paid by transfer, corrected or withdrawn is ended there too; `refused` waits for you.',
  access,
  query: z.strictObject({ state: z.enum(closingStates).optional() }),
  returns: closingSchema,
  page: true,
});

const retryInvoiceClosing = route({
  method: 'POST',
  path: '/v1/admin/invoice-closings/{id}/retry',
  tag,
  name: 'retryInvoiceClosing',
  summary: 'Try to end an invoice at the payment processor once more',
  description: 'For one that was refused. What is there is looked up first.',
  access,
  params: z.strictObject({ id: idOf('closing') }),
  returns: closingSchema,
});

@Controller()
export class ClosingsController {
  constructor(private readonly payments: Payments) {}

  @Serve(listInvoiceClosings)
  async list({ query, page }: Call<typeof listInvoiceClosings>) {
    const rows = await this.payments.closings(query.state ?? null, page.order);
    return page.answer(rows, (row) => [row.id], show);
  }

  @Serve(retryInvoiceClosing)
  async retry(call: Call<typeof retryInvoiceClosing>) {
    return show(
      await this.payments.retryClosing(call.params.id, (tx, before, after) =>
        audit(tx, {
          by: authorOf(call),
          organizationId: after.organizationId,
          action: 'invoice-closing.retry',
          subject: after.id,
          before: { state: before.state, code: before.code, message: before.message },
          after: { state: after.state },
        }),
      ),
    );
  }
}

function show({ id, organizationId, invoiceId, pushedId, closeAs, state, code, message, createdAt }: ClosingRow) {
  return {
    // Rows carry ids of their own kind; the type of a column is text.
    id: id as z.infer<typeof closingSchema>['id'],
    organizationId,
    invoiceId,
    document: pushedId,
    closeAs,
    state,
    code,
    message,
    createdAt: timeText(createdAt),
  };
}

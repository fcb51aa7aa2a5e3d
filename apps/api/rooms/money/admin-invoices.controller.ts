import { Controller } from '@nestjs/common';
import { z } from 'zod';
import { idOf, isoTime } from '#contracts';
import { authorOf } from '#identity/audit';
import { WORKER } from '#platform/database';
import { Billing, invoiceStates, refundTargets, type BillingProfileRow, type CreditNoteRow } from '#money/billing';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import {
  centsText,
  creditNoteSchema,
  invoiceSchema,
  invoiceWithLines,
  listedNoteSchema,
  showInvoice,
  showNote,
  showView,
} from './invoice-shapes.js';
import { orderOf } from './invoices.controller.js';
import { nameText, timeText } from '../shapes.js';

const access = { roles: ['platform-admin'] } as const;
const tag = 'Administration';
const params = z.strictObject({ id: idOf('invoice') });
const amountCents = centsText.refine((t) => BigInt(t) > 0n, 'must be more than zero');
const reasonText = nameText.describe('For the audit log and, of a credit note, for the tenant');
const reasonBody = z.strictObject({ reason: reasonText }).meta({ id: 'InvoiceReason' });

const listAllInvoices = route({
  method: 'GET',
  path: '/v1/admin/invoices',
  tag,
  name: 'listAllInvoices',
  summary: 'List the invoices of all organizations, newest month first',
  access,
  query: z.strictObject({
    organizationId: idOf('organization').optional(),
    state: z.enum(invoiceStates).optional(),
  }),
  returns: invoiceSchema,
  page: true,
});

const issueInvoice = route({
  method: 'POST',
  path: '/v1/admin/invoices/{id}/issue',
  tag,
  name: 'issueInvoice',
  summary: 'Issue an invoice before its grace is over',
  description: 'Its month must be over. What arrives later is on the next invoice. One that is issued stays as it is.',
  access,
  params,
  returns: invoiceWithLines,
});

const voidInvoice = route({
  method: 'POST',
  path: '/v1/admin/invoices/{id}/void',
  tag,
  name: 'voidInvoice',
  summary: 'Take an invoice back as if it had never been issued',
  description:
    'Only while nothing was paid or credited. Its posting is reversed, and its usage comes on the next invoice.',
  access,
  params,
  body: reasonBody,
  returns: invoiceWithLines,
});

const creditInvoice = route({
  method: 'POST',
  path: '/v1/admin/invoices/{id}/credit',
  tag,
  name: 'creditInvoice',
  summary: 'Write a credit note',
  description:
    'Over lines, over an amount that is spread over all lines, or over all that is left; amounts are without tax, which is added. It takes off what is still to be paid; what was paid goes to the credit, or is to be paid back.',
  access,
  params,
  body: z
    .strictObject({
      reason: reasonText,
      amountCents: amountCents.optional(),
      lines: z
        .array(z.strictObject({ n: z.int().min(0), cents: amountCents }))
        .min(1)
        .max(10_000)
        .optional(),
      refundTo: z.enum(refundTargets).default('credit'),
    })
    .refine((b) => b.amountCents === undefined || b.lines === undefined, 'give amountCents or lines, not both')
    .meta({ id: 'NewCreditNote' }),
  returns: creditNoteSchema,
  creates: true,
});

const listCreditNotes = route({
  method: 'GET',
  path: '/v1/admin/credit-notes',
  tag,
  name: 'listCreditNotes',
  summary: 'List the credit notes of all organizations, newest first',
  access,
  query: z.strictObject({ organizationId: idOf('organization').optional() }),
  returns: listedNoteSchema,
  page: true,
});

const confirmRefund = route({
  method: 'POST',
  path: '/v1/admin/credit-notes/{id}/refunded',
  tag,
  name: 'confirmRefund',
  summary: 'Say that what a credit note pays back was paid by hand',
  access,
  params: z.strictObject({ id: idOf('creditNote') }),
  returns: creditNoteSchema,
});

const payInvoice = route({
  method: 'POST',
  path: '/v1/admin/invoices/{id}/pay',
  tag,
  name: 'payInvoice',
  summary: 'Count a payment that came to the bank account',
  description:
    'Without an amount, all that is to be paid. What is more goes to the credit. A `reference` counts once, and is refused (409) for another amount.',
  access,
  params,
  body: z.strictObject({ reference: nameText, amountCents: amountCents.optional() }).meta({ id: 'NewInvoicePayment' }),
  returns: invoiceWithLines,
});

const writeOffInvoice = route({
  method: 'POST',
  path: '/v1/admin/invoices/{id}/uncollectible',
  tag,
  name: 'writeOffInvoice',
  summary: 'Give an invoice up',
  description: 'What is open becomes a loss. It may be paid after all.',
  access,
  params,
  body: reasonBody,
  returns: invoiceWithLines,
});

const profileFields = {
  name: nameText,
  address: z.array(nameText).max(8),
  taxId: nameText.nullable(),
  email: nameText.nullable(),
  taxLabel: nameText,
  taxRateBps: z.int().min(0).max(10_000).describe('Hundredths of a percent'),
  netDays: z.int().min(0).max(365).nullable().describe('Days from issue to due; null: the usual'),
};
const profileSchema = z
  .object({
    organizationId: z.string(),
    ...profileFields,
    name: z.string().describe('Empty until it is set: the organization’s own name counts'),
    updatedAt: isoTime.nullable(),
  })
  .meta({ id: 'BillingProfile' });
const profileParams = z.strictObject({ id: idOf('organization') });

const getBillingProfile = route({
  method: 'GET',
  path: '/v1/admin/organizations/{id}/billing',
  tag,
  name: 'getBillingProfile',
  summary: 'Show how a tenant is billed',
  access,
  params: profileParams,
  returns: profileSchema,
});

const setBillingProfile = route({
  method: 'PUT',
  path: '/v1/admin/organizations/{id}/billing',
  tag,
  name: 'setBillingProfile',
  summary: 'Set how a tenant is billed: name, address, tax, terms',
  description: 'Counts for invoices that are issued from now on.',
  access,
  params: profileParams,
  body: z
    .strictObject({
      name: profileFields.name,
      address: profileFields.address.default([]),
      taxId: profileFields.taxId.default(null),
      email: profileFields.email.default(null),
      taxLabel: profileFields.taxLabel.default('Tax'),
      taxRateBps: profileFields.taxRateBps.default(0),
      netDays: profileFields.netDays.default(null),
    })
    .meta({ id: 'NewBillingProfile' }),
  returns: profileSchema,
});

@Controller()
export class AdminInvoicesController {
  constructor(private readonly billing: Billing) {}

  @Serve(listAllInvoices)
  async list({ query, page }: Call<typeof listAllInvoices>) {
    const { organizationId, state } = query;
    const filter = {
      ...(organizationId === undefined ? {} : { organizationId }),
      ...(state === undefined ? {} : { state }),
    };
    const rows = await this.billing.listAll(filter, orderOf(page.order));
    return page.answer(rows, (row) => [row.periodStart, row.id], showInvoice);
  }

  @Serve(issueInvoice)
  async issue(call: Call<typeof issueInvoice>) {
    await this.billing.issueNow(call.params.id, authorOf(call));
    return this.show(call.params.id);
  }

  @Serve(voidInvoice)
  async void(call: Call<typeof voidInvoice>) {
    await this.billing.corrections.void(call.params.id, call.body.reason, authorOf(call));
    return this.show(call.params.id);
  }

  @Serve(creditInvoice)
  async credit(call: Call<typeof creditInvoice>) {
    const { reason, amountCents, lines, refundTo } = call.body;
    const what = lines
      ? { lines: lines.map(({ n, cents }) => ({ n, cents: BigInt(cents) })) }
      : amountCents === undefined
        ? ('all' as const)
        : { cents: BigInt(amountCents) };
    const order = { reason, what, refundTo };
    const note = await this.billing.corrections.credit(call.params.id, order, authorOf(call), (tx, made) =>
      call.remember(tx, showNote(made)),
    );
    return showNote(note);
  }

  @Serve(listCreditNotes)
  async notes({ query, page }: Call<typeof listCreditNotes>) {
    const filter = query.organizationId === undefined ? {} : { organizationId: query.organizationId };
    const rows = await this.billing.listNotes(filter, orderOf(page.order));
    const show = (note: CreditNoteRow) => ({ organizationId: note.organizationId, ...showNote(note) });
    return page.answer(rows, (row) => [row.id], show);
  }

  @Serve(confirmRefund)
  async refunded(call: Call<typeof confirmRefund>) {
    return showNote(await this.billing.corrections.refunded(call.params.id, 'manual', authorOf(call)));
  }

  @Serve(payInvoice)
  async pay(call: Call<typeof payInvoice>) {
    const { reference, amountCents } = call.body;
    const cents = amountCents === undefined ? null : BigInt(amountCents);
    await this.billing.payments.record(call.params.id, { method: 'manual', reference, cents }, authorOf(call));
    return this.show(call.params.id);
  }

  @Serve(writeOffInvoice)
  async writeOff(call: Call<typeof writeOffInvoice>) {
    await this.billing.payments.writeOff(call.params.id, call.body.reason, authorOf(call));
    return this.show(call.params.id);
  }

  @Serve(getBillingProfile)
  async profile({ params }: Call<typeof getBillingProfile>) {
    return showProfile(params.id, await this.billing.profiles.get(params.id));
  }

  @Serve(setBillingProfile)
  async setProfile(call: Call<typeof setBillingProfile>) {
    const { id } = call.params;
    return showProfile(id, await this.billing.profiles.set(id, call.body, authorOf(call)));
  }

  private async show(id: string) {
    return showView(await this.billing.get(WORKER, id));
  }
}

function showProfile(organizationId: string, row: BillingProfileRow | null) {
  const { name, address, taxId, email, taxLabel, taxRateBps, netDays } = row ?? {
    name: '',
    address: [],
    taxId: null,
    email: null,
    taxLabel: 'Tax',
    taxRateBps: 0,
    netDays: null,
  };
  const updatedAt = timeText(row?.updatedAt ?? null);
  return { organizationId, name, address, taxId, email, taxLabel, taxRateBps, netDays, updatedAt };
}

import type { Obj, Params } from '../shelf.js';
import { invalid } from '../stripe-error.js';
import { given, metadataOf, readers, type Handlers, type World } from '../world.js';
import { cardOf } from './customers.js';
import { confirm, newIntent } from './payments.js';

/** Cents of an item: `amount`, or price by quantity, rounded half away from zero. */
function centsOf(params: Params): number {
  if (params['amount'] !== undefined) return Number(params['amount']);
  const quantity = Number(params['quantity_decimal'] ?? params['quantity'] ?? 1);
  return Math.round(Number(params['unit_amount_decimal'] ?? 0) * quantity);
}

function lineOf(world: World, item: Obj): Record<string, unknown> {
  return {
    ...world.checker.plainest('InvoiceLineItems.InvoiceLineItem'),
    id: item.id.replace('ii_', 'il_'),
    amount: item['amount'],
    subtotal: item['amount'],
    currency: item['currency'],
    description: item['description'],
    invoice: item['invoice'],
    metadata: item['metadata'],
    period: item['period'],
    quantity: item['quantity'],
    quantity_decimal: item['quantity_decimal'],
    discountable: true,
  };
}

/** Items in the order in which they came. */
const itemsOf = (world: World, invoiceId: string): Obj[] =>
  world.shelf
    .all('invoiceitem')
    .filter((item) => item['invoice'] === invoiceId)
    .toReversed();

/** Lines and sums follow the items. */
function refresh(world: World, invoice: Obj): Obj {
  const items = itemsOf(world, invoice.id);
  const total = items.reduce((sum, item) => sum + Number(item['amount']), 0);
  const paid = Number(invoice['amount_paid']);
  const due = Math.max(0, total);
  return Object.assign(invoice, {
    lines: {
      object: 'list',
      data: items.slice(0, 10).map((item) => lineOf(world, item)),
      has_more: items.length > 10,
      url: `/v1/invoices/${invoice.id}/lines`,
    },
    subtotal: total,
    total,
    amount_due: due,
    amount_remaining: invoice['status'] === 'paid' ? 0 : due - paid,
  });
}

function draftOnly(invoice: Obj): void {
  if (invoice['status'] !== 'draft')
    throw invalid('This invoice is no longer editable', { code: 'invoice_not_editable' });
}

function finalize(world: World, invoice: Obj): Obj {
  draftOnly(invoice);
  refresh(world, invoice);
  invoice['status'] = Number(invoice['amount_due']) === 0 ? 'paid' : 'open';
  invoice['number'] ??= `STAND-${invoice.id.slice(-6)}`;
  world.emit('invoice.finalized', invoice);
  if (invoice['status'] === 'paid') world.emit('invoice.paid', invoice);
  return invoice;
}

function paid(world: World, invoice: Obj, fields: Record<string, unknown>): Obj {
  Object.assign(invoice, { status: 'paid', attempted: true, amount_remaining: 0, ...fields });
  world.emit('invoice.paid', invoice);
  return invoice;
}

function pay(world: World, invoice: Obj, params: Params): Obj {
  if (invoice['status'] === 'draft') finalize(world, invoice);
  if (invoice['status'] === 'paid') throw invalid('Invoice is already paid');
  if (invoice['status'] !== 'open') throw invalid(`This invoice is ${String(invoice['status'])} and cannot be paid.`);
  if (params['paid_out_of_band'] === true) return paid(world, invoice, { amount_paid: invoice['amount_due'] });
  const customer = world.shelf.get('customer', invoice['customer']);
  const settings = customer['invoice_settings'] as { default_payment_method: string | null };
  const method = params['payment_method'] ?? invoice['default_payment_method'] ?? settings.default_payment_method;
  if (typeof method !== 'string') throw invalid('There is no default payment method set on this Customer.');
  const intent = paymentOf(world, invoice);
  intent['payment_method'] = cardOf(world, method).id;
  invoice['attempt_count'] = Number(invoice['attempt_count']) + 1;
  invoice['attempted'] = true;
  try {
    confirm(world, intent, { off_session: params['off_session'] ?? true });
  } catch (error) {
    world.emit('invoice.payment_failed', invoice);
    throw error;
  }
  if (intent['status'] !== 'succeeded') return invoice;
  const payment = world.shelf.all('invoice_payment').find((p) => p['invoice'] === invoice.id);
  if (payment) Object.assign(payment, { status: 'paid', amount_paid: invoice['amount_due'] });
  return paid(world, invoice, { amount_paid: invoice['amount_due'] });
}

/** An invoice has one payment, tried as often as needed. */
function paymentOf(world: World, invoice: Obj): Obj {
  const known = world.shelf.all('invoice_payment').find((p) => p['invoice'] === invoice.id);
  if (known) return world.shelf.get('payment_intent', (known['payment'] as Params)['payment_intent']);
  const intent = newIntent(world, {
    amount: invoice['amount_due'],
    currency: 'usd',
    customer: invoice['customer'],
    description: 'Payment for Invoice',
  });
  world.make('InvoicePayments.InvoicePayment', {
    id: world.newId('inpay'),
    object: 'invoice_payment',
    amount_requested: invoice['amount_due'],
    currency: 'usd',
    invoice: invoice.id,
    is_default: true,
    payment: { type: 'payment_intent', payment_intent: intent.id },
    status: 'open',
  });
  return intent;
}

const invoiceFields = [
  'description',
  'collection_method',
  'due_date',
  'number',
  'footer',
  'default_payment_method',
  'auto_advance',
] as const;

export const invoices: Handlers = {
  ...readers('/v1/invoices', 'invoice'),
  ...readers('/v1/invoice_payments', 'invoice_payment'),
  ...readers('/v1/invoiceitems', 'invoiceitem'),
  'POST /v1/invoices': (world, params) => {
    const { customer } = world.shelf.get('customer', params['customer']) && params;
    if (params['due_date'] !== undefined && params['collection_method'] !== 'send_invoice') {
      throw invalid("You can only specify due_date for invoices with collection_method 'send_invoice'.");
    }
    const number = params['number'];
    if (number !== undefined && world.shelf.all('invoice').some((i) => i['number'] === number)) {
      throw invalid(`An invoice with number ${String(number)} already exists.`);
    }
    const invoice = world.make('Invoices.Invoice', {
      collection_method: 'charge_automatically',
      ...given(params, ...invoiceFields),
      id: world.newId('in'),
      object: 'invoice',
      customer,
      currency: params['currency'] ?? 'usd',
      status: 'draft',
      billing_reason: 'manual',
      metadata: metadataOf({}, params['metadata']),
    });
    if (params['pending_invoice_items_behavior'] === 'include') {
      for (const item of world.shelf.all('invoiceitem')) {
        if (item['invoice'] === null && item['customer'] === customer) item['invoice'] = invoice.id;
      }
    }
    world.emit('invoice.created', refresh(world, invoice));
    return invoice;
  },
  'POST /v1/invoices/{}': (world, params, [id]) => {
    const invoice = world.shelf.get('invoice', id);
    draftOnly(invoice);
    Object.assign(invoice, given(params, ...invoiceFields), {
      metadata: metadataOf(invoice['metadata'], params['metadata']),
    });
    world.emit('invoice.updated', invoice);
    return invoice;
  },
  'DELETE /v1/invoices/{}': (world, _, [id]) => {
    const invoice = world.shelf.get('invoice', id);
    draftOnly(invoice);
    world.shelf.remove(invoice.id);
    world.emit('invoice.deleted', invoice);
    return { id: invoice.id, object: 'invoice', deleted: true };
  },
  'GET /v1/invoices/{}/lines': (world, params, [id = '']) =>
    world.shelf.page(
      itemsOf(world, id).map((item) => lineOf(world, item) as Obj),
      params,
      `/v1/invoices/${id}/lines`,
    ),
  'POST /v1/invoices/{}/finalize': (world, _, [id]) => finalize(world, world.shelf.get('invoice', id)),
  'POST /v1/invoices/{}/send': (world, _, [id]) => {
    const invoice = world.shelf.get('invoice', id);
    if (invoice['status'] === 'draft') finalize(world, invoice);
    world.emit('invoice.sent', invoice);
    return invoice;
  },
  'POST /v1/invoices/{}/pay': (world, params, [id]) => pay(world, world.shelf.get('invoice', id), params),
  'POST /v1/invoices/{}/void': (world, _, [id]) => {
    const invoice = world.shelf.get('invoice', id);
    if (invoice['status'] !== 'open' && invoice['status'] !== 'uncollectible') {
      throw invalid('You can only void an invoice that is open or uncollectible.');
    }
    invoice['status'] = 'void';
    world.emit('invoice.voided', invoice);
    return invoice;
  },
  'POST /v1/invoices/{}/mark_uncollectible': (world, _, [id]) => {
    const invoice = world.shelf.get('invoice', id);
    if (invoice['status'] !== 'open') throw invalid('You can only mark an open invoice as uncollectible.');
    invoice['status'] = 'uncollectible';
    world.emit('invoice.marked_uncollectible', invoice);
    return invoice;
  },
  'POST /v1/invoiceitems': (world, params) => {
    world.shelf.get('customer', params['customer']);
    const invoice = params['invoice'] === undefined ? null : world.shelf.get('invoice', params['invoice']);
    if (invoice) draftOnly(invoice);
    if (invoice && itemsOf(world, invoice.id).length >= 250) throw invalid('An invoice has at most 250 items.');
    const quantity = String(params['quantity_decimal'] ?? params['quantity'] ?? 1);
    const item = world.make('InvoiceItems.InvoiceItem', {
      ...given(params, 'customer', 'description', 'invoice', 'period'),
      id: world.newId('ii'),
      object: 'invoiceitem',
      amount: centsOf(params),
      currency: params['currency'] ?? 'usd',
      date: world.now(),
      discountable: true,
      quantity: Math.trunc(Number(quantity)),
      quantity_decimal: quantity,
      metadata: metadataOf({}, params['metadata']),
    });
    if (invoice) refresh(world, invoice);
    world.emit('invoiceitem.created', item);
    return item;
  },
  'DELETE /v1/invoiceitems/{}': (world, _, [id]) => {
    const item = world.shelf.get('invoiceitem', id);
    world.shelf.remove(item.id);
    world.emit('invoiceitem.deleted', item);
    return { id: item.id, object: 'invoiceitem', deleted: true };
  },
};

import type { Stripe } from 'stripe';
import type { CallIdentity, CollectionPort, InvoiceToPush, Payment, PushedInvoice } from '#contracts';
import { lookUp, OutcomeError, outcomeOf } from './failure.js';
import {
  amountOf,
  disputeOf,
  idOf,
  invoiceOf,
  paymentOf,
  REFERENCE,
  referenceOf,
  refundOf,
  sessionOf,
} from './translate.js';

const PAGE = 100;
const WITH_FEE = { expand: ['latest_charge.balance_transaction'] };
const WITH_CARD = { expand: ['setup_intent.payment_method'] };
/** Stripe takes 250 items on an invoice; the last one may sum up what is beyond. */
const MOST_ITEMS = 250;

/** Collecting from tenants by Stripe: customers, checkout sessions in setup mode, payment intents, invoices, refunds. */
export function collection(stripe: Stripe): CollectionPort {
  const payment = async (id: string): Promise<Payment> => paymentOf(await stripe.paymentIntents.retrieve(id, WITH_FEE));

  async function pushed(invoice: Stripe.Invoice): Promise<PushedInvoice> {
    if (invoice.status !== 'paid') return invoiceOf(invoice, null);
    const { data } = await stripe.invoicePayments.list({ invoice: invoice.id, status: 'paid', limit: 1 });
    const paidBy = idOf(data[0]?.payment.payment_intent);
    return invoiceOf(invoice, paidBy === null ? null : await payment(paidBy));
  }

  async function invoiceAt(customerId: string, reference: string): Promise<Stripe.Invoice | null> {
    for await (const invoice of stripe.invoices.list({ customer: customerId, limit: PAGE })) {
      if (referenceOf(invoice) === reference && invoice.status !== 'void') return invoice;
    }
    return null;
  }

  /** The invoice as it should be already, when Stripe refuses to make it so once more. */
  async function unlessAlready(
    invoiceId: string,
    already: (invoice: Stripe.Invoice) => boolean,
    change: () => Promise<Stripe.Invoice>,
  ): Promise<PushedInvoice> {
    try {
      return await pushed(await change());
    } catch (error) {
      const now = await stripe.invoices.retrieve(invoiceId).catch(() => null);
      if (now && already(now)) return pushed(now);
      throw error;
    }
  }

  async function push({ key, reference, ...of }: CallIdentity & InvoiceToPush): Promise<PushedInvoice> {
    const { customerId, number } = of;
    const draft =
      (await invoiceAt(customerId, reference)) ??
      (await stripe.invoices.create(
        {
          customer: customerId,
          number,
          auto_advance: false,
          description: `Invoice ${number}, due ${new Date(of.dueAtMs).toISOString().slice(0, 10)}`,
          metadata: { [REFERENCE]: reference },
        },
        { idempotencyKey: `${key}:draft` },
      ));
    if (draft.status !== 'draft') return pushed(draft);
    const there = new Set<string | null>();
    for await (const item of stripe.invoiceItems.list({ invoice: draft.id, limit: PAGE })) there.add(referenceOf(item));
    const lines = atMost(of.lines, MOST_ITEMS);
    for (const line of lines) {
      if (there.has(line.id)) continue;
      await stripe.invoiceItems.create(
        {
          customer: customerId,
          invoice: draft.id,
          amount: Number(line.amountCents),
          currency: 'usd',
          description: line.description,
          metadata: { [REFERENCE]: line.id },
        },
        { idempotencyKey: `${key}:line:${line.id}` },
      );
    }
    const open = await stripe.invoices.finalizeInvoice(
      draft.id,
      { auto_advance: false },
      { idempotencyKey: `${key}:finalize` },
    );
    const wanted = lines.reduce((sum, line) => sum + line.amountCents, 0n);
    if (BigInt(open.total) !== wanted) {
      const message = `Stripe counts ${open.total} cents on ${number}, which has ${wanted}.`;
      throw new OutcomeError({ kind: 'refused', code: 'total-differs', message });
    }
    return pushed(open);
  }

  return {
    createCustomer: ({ key, reference, name }) =>
      outcomeOf(async () => {
        const customer = { name, metadata: { [REFERENCE]: reference } };
        return { customerId: (await stripe.customers.create(customer, { idempotencyKey: key })).id };
      }),
    findCustomer: (reference) =>
      lookUp(async () => {
        const query = `metadata['${REFERENCE}']:'${reference}'`;
        const [found] = (await stripe.customers.search({ query, limit: 1 })).data;
        return found ? { customerId: found.id } : null;
      }),
    openSetup: ({ key, reference, customerId, successUrl, cancelUrl }) =>
      outcomeOf(async () =>
        sessionOf(
          await stripe.checkout.sessions.create(
            {
              mode: 'setup',
              currency: 'usd',
              customer: customerId,
              success_url: successUrl,
              cancel_url: cancelUrl,
              client_reference_id: reference,
              metadata: { [REFERENCE]: reference },
            },
            { idempotencyKey: key },
          ),
        ),
      ),
    getSetup: (id) => lookUp(async () => sessionOf(await stripe.checkout.sessions.retrieve(id, WITH_CARD))),
    charge: ({ key, reference, customerId, methodId, amountCents, description }) =>
      outcomeOf(async () =>
        paymentOf(
          await stripe.paymentIntents.create(
            {
              amount: amountOf(amountCents),
              currency: 'usd',
              customer: customerId,
              payment_method: methodId,
              confirm: true,
              off_session: true,
              description,
              metadata: { [REFERENCE]: reference },
              ...WITH_FEE,
            },
            { idempotencyKey: key },
          ),
        ),
      ),
    getPayment: (id) => lookUp(() => payment(id)),
    findPayment: (customerId, reference) =>
      lookUp(async () => {
        const found: Stripe.PaymentIntent[] = [];
        for await (const intent of stripe.paymentIntents.list({ customer: customerId, limit: PAGE })) {
          if (referenceOf(intent) === reference) found.push(intent);
        }
        const best =
          found.find((i) => i.status === 'succeeded') ?? found.find((i) => i.status === 'processing') ?? found[0];
        return best ? payment(best.id) : null;
      }),
    pushInvoice: (of) => outcomeOf(() => push(of)),
    payInvoice: ({ key, invoiceId, methodId }) =>
      outcomeOf(() =>
        unlessAlready(
          invoiceId,
          (invoice) => invoice.status === 'paid',
          () =>
            stripe.invoices.pay(invoiceId, { payment_method: methodId, off_session: true }, { idempotencyKey: key }),
        ),
      ),
    closeInvoice: ({ key, invoiceId, as }) =>
      outcomeOf(() =>
        unlessAlready(
          invoiceId,
          (invoice) => invoice.status === (as === 'void' ? 'void' : 'paid'),
          () =>
            as === 'void'
              ? stripe.invoices.voidInvoice(invoiceId, {}, { idempotencyKey: key })
              : stripe.invoices.pay(invoiceId, { paid_out_of_band: true }, { idempotencyKey: key }),
        ),
      ),
    getInvoice: (id) => lookUp(async () => pushed(await stripe.invoices.retrieve(id))),
    findInvoice: (customerId, reference) =>
      lookUp(async () => {
        const found = await invoiceAt(customerId, reference);
        return found ? pushed(found) : null;
      }),
    refund: ({ key, reference, paymentId, amountCents }) =>
      outcomeOf(async () =>
        refundOf(
          await stripe.refunds.create(
            { payment_intent: paymentId, amount: amountOf(amountCents), metadata: { [REFERENCE]: reference } },
            { idempotencyKey: key },
          ),
        ),
      ),
    getRefund: (id) => lookUp(async () => refundOf(await stripe.refunds.retrieve(id))),
    takenBack: (paymentId) =>
      lookUp(async () => {
        const of = { payment_intent: paymentId, limit: PAGE };
        const refunds = [];
        for await (const refund of stripe.refunds.list(of))
          refunds.push({ ...refundOf(refund), reference: referenceOf(refund) });
        const disputes = [];
        for await (const dispute of stripe.disputes.list(of)) disputes.push(disputeOf(dispute));
        return { refunds, disputes };
      }),
    disputesSince: (sinceMs) =>
      lookUp(async () => {
        const found = [];
        const created = { gte: Math.floor(sinceMs / 1_000) };
        for await (const dispute of stripe.disputes.list({ created, limit: PAGE })) {
          const { payment_intent: intent } = dispute;
          found.push({ ...disputeOf(dispute), paymentId: typeof intent === 'string' ? intent : (intent?.id ?? null) });
        }
        return found;
      }),
    refundsSince: (sinceMs) =>
      lookUp(async () => {
        const found = [];
        const created = { gte: Math.floor(sinceMs / 1_000) };
        for await (const refund of stripe.refunds.list({ created, limit: PAGE }))
          found.push({
            ...refundOf(refund),
            paymentId: idOf(refund.payment_intent),
            reference: referenceOf(refund),
          });
        return found;
      }),
    findRefund: (paymentId, reference) =>
      lookUp(async () => {
        for await (const refund of stripe.refunds.list({ payment_intent: paymentId, limit: PAGE })) {
          if (referenceOf(refund) === reference) return refundOf(refund);
        }
        return null;
      }),
  };
}

/** The lines, or as many as fit with one more that sums up the rest. */
export function atMost(lines: InvoiceToPush['lines'], most: number): InvoiceToPush['lines'] {
  if (lines.length <= most) return lines;
  const rest = lines.slice(most - 1);
  const amountCents = rest.reduce((sum, line) => sum + line.amountCents, 0n);
  return [...lines.slice(0, most - 1), { id: 'rest', description: `${rest.length} further lines`, amountCents }];
}

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Stripe } from 'stripe';
import { singleTryClient } from '#adapters/stripe';
import { DAY, ManualClock, MINUTE, SeededRandom } from '#kernel';
import { StripeStandIn } from './stand-in.js';

let clock: ManualClock;
let standIn: StripeStandIn;
let stripe: Stripe;
beforeEach(async () => {
  clock = new ManualClock(Date.UTC(2026, 10, 21));
  standIn = await StripeStandIn.start(clock);
  stripe = new Stripe('sk_test_spec', {
    host: '127.0.0.1',
    port: standIn.port,
    protocol: 'http',
    telemetry: false,
    maxNetworkRetries: 0,
    httpClient: singleTryClient(),
  });
});
afterEach(async () => {
  await standIn.close();
  expect(standIn.mistakes).toEqual([]);
});

const customerWithCard = async (card = 'pm_card_visa') => {
  const customer = await stripe.customers.create({ name: 'Ann', metadata: { berth: 'org_1' } });
  const method = await stripe.paymentMethods.attach(card, { customer: customer.id });
  return { customer: customer.id, payment_method: method.id };
};
const charge = async (of: { customer: string; payment_method: string }, amount: number, idempotencyKey?: string) =>
  stripe.paymentIntents.create(
    { ...of, amount, currency: 'usd', confirm: true, off_session: true, expand: ['latest_charge.balance_transaction'] },
    idempotencyKey === undefined ? {} : { idempotencyKey },
  );

describe('money', () => {
  it('is taken from a card, with a fee, and can be transferred two days later', async () => {
    const intent = await charge(await customerWithCard(), 10_000);
    const latest = intent.latest_charge as Stripe.Charge;
    expect([intent.status, intent.amount_received]).toEqual(['succeeded', 10_000]);
    expect((latest.balance_transaction as Stripe.BalanceTransaction).fee).toBe(320);
    const account = await stripe.accounts.create({ type: 'express', capabilities: { transfers: { requested: true } } });
    const transfer = { amount: 9_000, currency: 'usd', destination: account.id, transfer_group: 'payout_1' };
    await expect(stripe.transfers.create(transfer)).rejects.toMatchObject({
      code: 'insufficient_capabilities_for_transfer',
    });
    standIn.completeAccount(account.id);
    await expect(stripe.transfers.create(transfer)).rejects.toMatchObject({ code: 'balance_insufficient' });
    clock.advance(2 * DAY);
    const sent = await stripe.transfers.create(transfer);
    await stripe.transfers.createReversal(sent.id, { amount: 1_000, metadata: { berth: 'r' } });
    expect((await stripe.transfers.retrieve(sent.id)).amount_reversed).toBe(1_000);
    expect((await stripe.transfers.list({ transfer_group: 'payout_1' })).data.map((t) => t.id)).toEqual([sent.id]);
    expect((await stripe.balance.retrieve()).available).toEqual([{ amount: 1_680, currency: 'usd' }]);
  });

  it('is not taken by a card that refuses, and the refused payment stays to be seen', async () => {
    const of = await customerWithCard('pm_card_chargeCustomerFail');
    await expect(charge(of, 5_000)).rejects.toMatchObject({
      type: 'StripeCardError',
      statusCode: 402,
      decline_code: 'insufficient_funds',
      payment_intent: { status: 'requires_payment_method' },
    });
    const [kept] = (await stripe.paymentIntents.list({ customer: of.customer })).data;
    expect([kept?.status, kept?.last_payment_error?.code]).toEqual(['requires_payment_method', 'card_declined']);
    await expect(charge(await customerWithCard('pm_card_authenticationRequired'), 5_000)).rejects.toMatchObject({
      code: 'authentication_required',
    });
    expect(standIn.capturedCents).toBe(0);
  });

  it('goes back, never more than was taken', async () => {
    const intent = await charge(await customerWithCard(), 1_000);
    await stripe.refunds.create({ payment_intent: intent.id, amount: 400 });
    await expect(stripe.refunds.create({ payment_intent: intent.id, amount: 601 })).rejects.toThrow('greater than');
    await stripe.refunds.create({ payment_intent: intent.id });
    await expect(stripe.refunds.create({ payment_intent: intent.id })).rejects.toMatchObject({
      code: 'charge_already_refunded',
    });
    expect((await stripe.refunds.list({ payment_intent: intent.id })).data.map((r) => r.amount)).toEqual([600, 400]);
  });
});

describe('a name of an older version of the API', () => {
  it('is refused from the SDK, and taken from a tool that does not ask for its version', async () => {
    const sent = { amount: 1_000, currency: 'usd', payment_method_types: ['card'] };
    await expect(stripe.paymentIntents.create(sent as Stripe.PaymentIntentCreateParams)).rejects.toThrow(
      'unknown parameter: payment_method_types',
    );
    const answer = await fetch(`${standIn.url}/v1/payment_intents`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk_test_spec', 'content-type': 'application/x-www-form-urlencoded' },
      body: 'amount=1000&currency=usd&payment_method_types[0]=card',
    });
    expect(answer.status).toBe(200);
  });
});

describe('an invoice', () => {
  it('is drafted with lines, finalized, paid once', async () => {
    const { customer, payment_method } = await customerWithCard();
    const invoice = await stripe.invoices.create({ customer, number: 'B-1', auto_advance: false });
    for (const amount of [1_050, -50])
      await stripe.invoiceItems.create({ customer, invoice: invoice.id, amount, currency: 'usd', description: 'x' });
    const open = await stripe.invoices.finalizeInvoice(invoice.id);
    expect([open.status, open.total, open.lines.data.length]).toEqual(['open', 1_000, 2]);
    await expect(
      stripe.invoiceItems.create({ customer, invoice: invoice.id, amount: 1, currency: 'usd' }),
    ).rejects.toMatchObject({ code: 'invoice_not_editable' });
    const paid = await stripe.invoices.pay(invoice.id, { payment_method });
    expect([paid.status, paid.amount_paid]).toEqual(['paid', 1_000]);
    await expect(stripe.invoices.pay(invoice.id, { payment_method })).rejects.toThrow('already paid');
    const [payment] = (await stripe.invoicePayments.list({ invoice: invoice.id })).data;
    expect([payment?.status, payment?.payment.type]).toEqual(['paid', 'payment_intent']);
    expect(standIn.capturedCents).toBe(1_000);
  });
});

describe('a page for leaving a card', () => {
  it('gives the customer a card', async () => {
    const customer = (await stripe.customers.create({})).id;
    const page = await stripe.checkout.sessions.create({
      mode: 'setup',
      currency: 'usd',
      customer,
      success_url: 'https://x',
    });
    expect([page.status, page.url]).toEqual(['open', expect.stringContaining(page.id)]);
    const card = standIn.leaveCard(page.id);
    const done = await stripe.checkout.sessions.retrieve(page.id, { expand: ['setup_intent.payment_method'] });
    const intent = done.setup_intent as Stripe.SetupIntent;
    expect([done.status, (intent.payment_method as Stripe.PaymentMethod).id]).toEqual(['complete', card.id]);
    expect(standIn.webhooks.waiting).toContain('checkout.session.completed');
  });
});

describe('an idempotency key', () => {
  it('gives the first answer again for a day, refusals included', async () => {
    const of = await customerWithCard();
    const first = await charge(of, 1_000, 'k');
    expect((await charge(of, 1_000, 'k')).id).toBe(first.id);
    await expect(charge(of, 1_001, 'k')).rejects.toMatchObject({ type: 'StripeIdempotencyError', statusCode: 400 });
    const bad = await customerWithCard('pm_card_chargeCustomerFail');
    await expect(charge(bad, 700, 'n')).rejects.toMatchObject({ statusCode: 402 });
    standIn.setCard(bad.payment_method, 'pays');
    await expect(charge(bad, 700, 'n')).rejects.toMatchObject({ statusCode: 402 });
    expect(standIn.capturedCents).toBe(1_000);
    clock.advance(DAY);
    expect((await charge(of, 1_000, 'k')).id).not.toBe(first.id);
  });

  it('is busy while the first request is being worked on', async () => {
    const of = await customerWithCard();
    standIn.faults.plan('late');
    await expect(charge(of, 1_000, 'k')).rejects.toMatchObject({ type: 'StripeConnectionError' });
    await expect(charge(of, 1_000, 'k')).rejects.toMatchObject({ statusCode: 409, code: 'idempotency_key_in_use' });
    standIn.faults.release();
    expect((await charge(of, 1_000, 'k')).status).toBe('succeeded');
    expect(standIn.capturedCents).toBe(1_000);
  });
});

describe('faults', () => {
  it.each([
    ['lost-before', 0, 'succeeded'],
    ['lost-after', 1, 'succeeded'],
    ['error-before', 0, 500],
    ['error-after', 1, 500],
    ['rate-limit', 0, 'succeeded'],
  ] as const)('%s: %s payment after the failure, and the key answers %s', async (fault, payments, then) => {
    const of = await customerWithCard();
    standIn.faults.plan(fault);
    await expect(charge(of, 1_000, 'k')).rejects.toThrow();
    expect(standIn.objects('charge')).toHaveLength(payments);
    const again = await charge(of, 1_000, 'k').then(
      (intent) => intent.status,
      (error: unknown) => (error as Stripe.errors.StripeError).statusCode,
    );
    expect(again).toBe(then);
  });
});

describe('what is found by searching', () => {
  it('is a minute late', async () => {
    const { id } = await stripe.customers.create({ metadata: { berth: 'org_7' } });
    const search = async () => (await stripe.customers.search({ query: "metadata['berth']:'org_7'" })).data;
    expect(await search()).toEqual([]);
    clock.advance(MINUTE);
    expect((await search()).map((c) => c.id)).toEqual([id]);
  });
});

describe('webhooks', () => {
  it('are signed, shuffled, doubled, and come again until they are taken', async () => {
    await charge(await customerWithCard(), 1_000);
    const seen: string[] = [];
    let status = 503;
    const send = async (payload: string, signature: string): Promise<number> => {
      const event = stripe.webhooks.constructEvent(payload, signature, 'whsec_spec', Infinity);
      seen.push(event.id);
      return Promise.resolve(status);
    };
    standIn.webhooks.target = { send, secret: 'whsec_spec' };
    const before = standIn.webhooks.waiting.length;
    await standIn.webhooks.deliver({ shuffle: new SeededRandom('order'), copies: 2 });
    expect(seen).toHaveLength(2 * before);
    expect(seen).not.toEqual(seen.toSorted());
    status = 200;
    await standIn.webhooks.deliver();
    expect(seen).toHaveLength(3 * before);
    expect(standIn.webhooks.waiting).toEqual([]);
    expect((await stripe.events.list({ limit: 100 })).data).toHaveLength(before);
  });
});

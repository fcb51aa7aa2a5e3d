import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { stripePort } from '#adapters/stripe';
import type { PaymentOutcome, PaymentPort } from '#contracts';
import { DAY, ManualClock, MINUTE } from '#kernel';
import { StripeStandIn } from './stand-in.js';
import { signature } from './webhooks.js';

let clock: ManualClock;
let standIn: StripeStandIn;
let port: PaymentPort;
beforeEach(async () => {
  clock = new ManualClock(Date.UTC(2026, 10, 21));
  standIn = await StripeStandIn.start(clock);
  port = stripePort({ secretKey: 'sk_test_spec', webhookSecret: 'whsec_old, whsec_new', apiBase: standIn.url });
});
afterEach(async () => {
  await standIn.close();
  expect(standIn.mistakes).toEqual([]);
});

function done<T>(outcome: PaymentOutcome<T>): T {
  if (outcome.kind !== 'done') throw new Error(`${outcome.kind}: ${outcome.message}`);
  return outcome.value;
}

async function payer(behaviour: 'pays' | 'declines' | 'needs-authentication' | 'processes' = 'pays') {
  const { customerId } = done(await port.createCustomer({ key: 'c', reference: 'org_1', name: 'Ann' }));
  const urls = { successUrl: 'https://b/ok', cancelUrl: 'https://b/no' };
  const setup = done(await port.openSetup({ key: 's', reference: 'set_1', customerId, ...urls }));
  expect([setup.state, setup.method]).toEqual(['open', null]);
  standIn.leaveCard(setup.id, behaviour);
  const { state, method } = await port.getSetup(setup.id);
  expect([state, method?.brand, method?.last4]).toEqual(['complete', 'visa', '4242']);
  return { customerId, methodId: method?.id ?? '' };
}

const charge = (of: { customerId: string; methodId: string }, key = 'k', reference = 'pay_1') =>
  port.charge({ ...of, key, reference, amountCents: 2_000n, description: 'credit' });

describe('collecting', () => {
  it('charges a card that was left, and knows the fee', async () => {
    const payment = done(await charge(await payer()));
    expect(payment).toEqual({
      id: payment.id,
      state: 'succeeded',
      capturedCents: 2_000n,
      feeCents: 88n,
      failure: null,
    });
    expect(await port.getPayment(payment.id)).toEqual(payment);
  });

  it('says declined when the card says no, and finds the refused payment', async () => {
    const of = await payer('declines');
    expect(await charge(of)).toMatchObject({ kind: 'declined', code: 'insufficient_funds' });
    expect(await port.findPayment(of.customerId, 'pay_1')).toMatchObject({
      state: 'declined',
      capturedCents: 0n,
      failure: { code: 'insufficient_funds' },
    });
    expect(await port.findPayment(of.customerId, 'pay_2')).toBeNull();
  });

  it('takes a bank that wants to ask the payer for a no', async () => {
    expect(await charge(await payer('needs-authentication'))).toMatchObject({
      kind: 'declined',
      code: 'authentication_required',
    });
  });

  it('waits for a payment that is being processed', async () => {
    const payment = done(await charge(await payer('processes')));
    expect([payment.state, payment.capturedCents]).toEqual(['processing', 0n]);
    standIn.settle(payment.id);
    expect((await port.getPayment(payment.id)).capturedCents).toBe(2_000n);
  });

  it('finds the payment that took money among several of one reference', async () => {
    const of = await payer('declines');
    await charge(of, 'k1');
    standIn.setCard(of.methodId, 'pays');
    await charge(of, 'k2');
    standIn.setCard(of.methodId, 'declines');
    await charge(of, 'k3');
    expect(await port.findPayment(of.customerId, 'pay_1')).toMatchObject({ state: 'succeeded' });
  });

  it('finds a customer by searching once that has caught up', async () => {
    const { customerId } = await payer();
    expect(await port.findCustomer('org_1')).toBeNull();
    clock.advance(MINUTE);
    expect(await port.findCustomer('org_1')).toEqual({ customerId });
  });

  it('refunds a part, and finds the refund', async () => {
    const { id } = done(await charge(await payer()));
    const refund = done(await port.refund({ key: 'r', reference: 'rfd_1', paymentId: id, amountCents: 500n }));
    expect([refund.state, refund.amountCents]).toEqual(['succeeded', 500n]);
    expect(await port.getRefund(refund.id)).toEqual(refund);
    expect(await port.findRefund(id, 'rfd_1')).toEqual(refund);
    expect(await port.findRefund(id, 'rfd_2')).toBeNull();
    const tooMuch = await port.refund({ key: 'r2', reference: 'rfd_2', paymentId: id, amountCents: 1_501n });
    expect(tooMuch.kind).toBe('refused');
  });
});

describe('an invoice', () => {
  const lines = [
    { id: 'l1', description: 'H100', amountCents: 1_050n },
    { id: 'l2', description: 'credit note', amountCents: -50n },
  ];
  const push = (customerId: string, key = 'p', more = lines) =>
    port.pushInvoice({ key, reference: 'inv_1', customerId, number: 'B-1', dueAtMs: clock.now() + DAY, lines: more });

  it('is pushed with its lines and paid by card', async () => {
    const { customerId, methodId } = await payer();
    const pushed = done(await push(customerId));
    expect(pushed).toMatchObject({ state: 'open', totalCents: 1_000n, paidCents: 0n, payment: null });
    const paid = done(await port.payInvoice({ key: 'pi', reference: 'pay_1', invoiceId: pushed.id, methodId }));
    expect(paid).toMatchObject({ state: 'paid', payment: { capturedCents: 1_000n, feeCents: 59n } });
    const again = done(await port.payInvoice({ key: 'pi2', reference: 'pay_1', invoiceId: pushed.id, methodId }));
    expect(again.payment?.id).toBe(paid.payment?.id);
    expect(standIn.capturedCents).toBe(1_000);
  });

  it.each(['lost-before', 'lost-after', 'error-before', 'error-after'] as const)(
    'is there once with each line once, whichever of its requests meets %s',
    async (fault) => {
      const { customerId } = await payer();
      for (const where of [/invoices$/, /invoiceitems$/, /finalize$/]) {
        standIn.faults.plan(fault, new RegExp(`^POST .*${where.source}`));
      }
      for (let n = 0; ; n++) {
        const outcome = await push(customerId, `p${n}`);
        if (outcome.kind === 'done') break;
        expect(outcome.kind).toBe('unknown');
        expect(n).toBeLessThan(5);
      }
      expect(standIn.objects('invoice').map((i) => [i['status'], i['total']])).toEqual([['open', 1_000]]);
      expect(standIn.objects('invoiceitem')).toHaveLength(2);
      expect(await port.findInvoice(customerId, 'inv_1')).toMatchObject({ state: 'open', totalCents: 1_000n });
    },
  );

  it('of more lines than Stripe takes sums up the rest', async () => {
    const { customerId } = await payer();
    const many = Array.from({ length: 260 }, (_, i) => ({ id: `l${i}`, description: 'x', amountCents: 1n }));
    expect(done(await push(customerId, 'p', many)).totalCents).toBe(260n);
    expect(standIn.objects('invoiceitem')).toHaveLength(250);
  });

  it('that was paid elsewhere or withdrawn is closed, twice as well as once', async () => {
    const { customerId } = await payer();
    const { id } = done(await push(customerId));
    for (const key of ['a', 'b']) {
      const closed = await port.closeInvoice({ key, reference: 'inv_1', invoiceId: id, as: 'paid-elsewhere' });
      expect(done(closed)).toMatchObject({ state: 'paid', payment: null });
    }
    const withdraw = await port.closeInvoice({ key: 'c', reference: 'inv_1', invoiceId: id, as: 'void' });
    expect(withdraw.kind).toBe('refused');
    expect(standIn.capturedCents).toBe(0);
  });
});

describe('paying providers', () => {
  it('opens an account, sends to it once it may, and takes back', async () => {
    standIn.world.availableAtOnce = true;
    done(await charge(await payer()));
    const account = done(
      await port.createAccount({ key: 'a', reference: 'prv_1', country: 'US', email: 'p@example.com' }),
    );
    expect(account.transfersEnabled).toBe(false);
    expect(account.requirementsDue.length).toBeGreaterThan(0);
    const link = done(
      await port.accountLink({ accountId: account.id, returnUrl: 'https://b/r', refreshUrl: 'https://b/f' }),
    );
    expect(link.expiresAtMs).toBeGreaterThan(clock.now());
    const send = (key: string) => port.transfer({ key, reference: 'po_1', accountId: account.id, amountCents: 1_500n });
    expect(await send('t0')).toMatchObject({ kind: 'refused', code: 'insufficient_capabilities_for_transfer' });
    standIn.completeAccount(account.id);
    expect(await port.getAccount(account.id)).toMatchObject({ transfersEnabled: true, payoutsEnabled: true });
    expect(await port.availableCents()).toBe(1_912n);
    const transfer = done(await send('t1'));
    expect(await port.findTransfer('po_1')).toEqual(transfer);
    expect(await port.findTransfer('po_2')).toBeNull();
    const back = done(
      await port.reverseTransfer({ key: 'x', reference: 'rev_1', transferId: transfer.id, amountCents: 500n }),
    );
    expect(await port.findReversal(transfer.id, 'rev_1')).toEqual(back);
    expect(await port.getTransfer(transfer.id)).toMatchObject({ amountCents: 1_500n, reversedCents: 500n });
    expect(await port.findAccount('prv_1')).toMatchObject({ id: account.id });
  });
});

describe('what went wrong', () => {
  it.each([
    ['lost-before', { kind: 'unknown', spent: false }],
    ['lost-after', { kind: 'unknown', spent: false }],
    ['error-before', { kind: 'unknown', spent: false }],
    ['error-after', { kind: 'unknown', spent: false }],
    ['rate-limit', { kind: 'retry' }],
  ] as const)('%s is told as %j', async (fault, told) => {
    const of = await payer();
    standIn.faults.plan(fault);
    expect(await charge(of)).toMatchObject(told);
  });

  it('a key is spent when Stripe answers it with an old failure, and busy while it works', async () => {
    const of = await payer();
    standIn.faults.plan('error-before');
    await charge(of);
    expect(await charge(of)).toMatchObject({ kind: 'unknown', spent: true });
    standIn.faults.plan('late');
    await charge(of, 'k2');
    expect(await charge(of, 'k2')).toMatchObject({ kind: 'unknown', spent: false });
  });

  it('nothing can have happened where nobody listens', async () => {
    const nobody = stripePort({ secretKey: 'sk_test_spec', webhookSecret: 'w', apiBase: 'http://127.0.0.1:1' });
    expect(await nobody.createCustomer({ key: 'c', reference: 'r', name: 'n' })).toMatchObject({ kind: 'retry' });
    await expect(nobody.getPayment('pi_1')).rejects.toMatchObject({ kind: 'retry' });
  });

  it('a wrong key, a wrong request, a thing that is not there are refused', async () => {
    const of = await payer();
    expect(await port.charge({ ...of, key: 'k', reference: 'p', amountCents: 10n, description: 'x' })).toMatchObject({
      kind: 'refused',
      code: 'amount_too_small',
    });
    await charge(of, 'same');
    const other = await port.charge({ ...of, key: 'same', reference: 'p', amountCents: 2_001n, description: 'x' });
    expect(other).toMatchObject({ kind: 'refused', code: 'idempotency-key-reused' });
    await expect(port.getPayment('pi_none')).rejects.toMatchObject({ kind: 'refused' });
    const stranger = stripePort({ secretKey: 'bad key', webhookSecret: 'w', apiBase: standIn.url });
    expect(await stranger.createCustomer({ key: 'c', reference: 'r', name: 'n' })).toMatchObject({
      code: 'unauthorized',
    });
  });
});

describe('a webhook', () => {
  const body = JSON.stringify({
    id: 'evt_1',
    object: 'event',
    type: 'payment_intent.succeeded',
    created: 1_795_219_200,
    data: { object: { id: 'pi_1', metadata: { berth_reference: 'pay_1' }, amount: 1 } },
  });
  const read = (text: string, header: string, nowMs = clock.now()) => port.readEvent(Buffer.from(text), header, nowMs);
  const at = (offsetMs: number, secret = 'whsec_new', text = body) => signature(secret, text, clock.now() + offsetMs);

  it('is read when it was signed with any of the secrets', () => {
    const told = {
      id: 'evt_1',
      type: 'payment_intent.succeeded',
      createdAtMs: 1_795_219_200_000,
      objectId: 'pi_1',
      reference: 'pay_1',
      paymentId: null,
    };
    expect(read(body, at(0))).toEqual(told);
    expect(read(body, at(0, 'whsec_old'))).toEqual(told);
    expect(read(body, `${at(0)},v0=abc`)).toEqual(told);
  });

  it.each([
    ['another secret', body, () => at(0, 'whsec_other')],
    ['another body', body.replace('pi_1', 'pi_2'), () => at(0)],
    ['no signature', body, () => ''],
    ['a signature without a time', body, () => at(0).replace(/t=\d+,/, '')],
    ['another time', body, () => at(0).replace(/t=\d+/, 't=1795219201')],
    ['another scheme', body, () => at(0).replace('v1=', 'v0=')],
    ['a recorded message', body, () => at(-5 * MINUTE - 1_000)],
    ['a message of the future', body, () => at(5 * MINUTE + 1_000)],
    ['no JSON', 'nothing', () => at(0, 'whsec_new', 'nothing')],
    ['no event', '{"id":"evt_1"}', () => at(0, 'whsec_new', '{"id":"evt_1"}')],
  ])('is refused with %s', (_, text, header) => {
    expect(read(text, header())).toBeNull();
  });

  it('may be five minutes old or young', () => {
    for (const offset of [-5 * MINUTE, 5 * MINUTE]) expect(read(body, at(offset))).not.toBeNull();
  });

  it('of a type that nobody knows is read as well', () => {
    const text = body.replace('payment_intent.succeeded', 'moon.landed').replace('"id":"pi_1",', '');
    expect(read(text, at(0, 'whsec_new', text))).toMatchObject({ type: 'moon.landed', objectId: null });
  });
});

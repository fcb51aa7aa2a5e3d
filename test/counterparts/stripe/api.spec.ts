import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock, usd } from '#kernel';
import { WORKER } from '#platform/database';
import { paymentEvents } from '#money/payments';
import { TestApi, type TestAnswer, type TestTenant } from '../../../apps/api/testing/test-api.js';
import { StripeStandIn } from './stand-in.js';
import { signature } from './webhooks.js';

const SECRET = 'whsec_api';
let standIn: StripeStandIn;
let api: TestApi;
let tenant: TestTenant;

beforeAll(async () => {
  standIn = await StripeStandIn.start(systemClock);
  api = await TestApi.start(
    {},
    {
      BILLING: 'stripe',
      STRIPE_SECRET_KEY: 'sk_test_spec',
      STRIPE_WEBHOOK_SECRET: SECRET,
      STRIPE_API_BASE: standIn.url,
      PUBLIC_URL: 'https://berth.example.com',
    },
  );
  tenant = await api.tenant();
  standIn.webhooks.target = { secret: SECRET, send: async (payload, header) => (await post(payload, header)).status };
});
afterAll(async () => {
  await api.close();
  await standIn.close();
  expect(standIn.mistakes).toEqual([]);
});

const post = (body: string, header: string | undefined): Promise<TestAnswer> =>
  api.call('POST /v1/webhooks/stripe', {
    body,
    headers: { 'content-type': 'application/json; charset=utf-8', ...(header ? { 'stripe-signature': header } : {}) },
  });
const call = (line: `${string} /${string}`, body?: unknown): Promise<TestAnswer> =>
  api.call(line, { key: tenant.key, ...(body === undefined ? {} : { body }) });
const drive = (kind: string, id: string): Promise<void> => api.ground.broker.loop.reconcile(kind, id);
const credit = async (): Promise<unknown> => (await call('GET /v1/ledger')).body['available'];

describe('paying by card, over the API and PostgreSQL', () => {
  it('takes no card before one was left', async () => {
    expect((await call('GET /v1/billing')).body).toMatchObject({ mode: 'stripe', card: null });
    const refused = await call('POST /v1/billing/top-ups', { amount: String(usd('20')) });
    expect([refused.status, refused.body['code']]).toEqual([409, 'no-card']);
  });

  it('gives a page, and knows the card that was left on it', async () => {
    const { status, body } = await call('POST /v1/billing/setup', {});
    expect([status, body['state']]).toEqual([201, 'open']);
    expect(body['url']).toContain('https://checkout.stripe.com/');
    const [session] = standIn.objects('checkout.session');
    expect(session?.['success_url']).toBe('https://berth.example.com/docs');
    standIn.leaveCard(session?.id ?? '');
    expect((await standIn.webhooks.deliver({ copies: 2 })).map((d) => d.status)).not.toContain(400);
    await drive('payment-setup', String(body['id']));
    expect((await call(`GET /v1/billing/setup/${String(body['id'])}`)).body['state']).toBe('complete');
    expect((await call('GET /v1/billing')).body['card']).toMatchObject({ brand: 'visa', last4: '4242' });
  });

  it('makes a top-up credit, once, whatever is repeated', async () => {
    const ask = () =>
      api.call('POST /v1/billing/top-ups', {
        key: tenant.key,
        body: { amount: String(usd('20')) },
        headers: { 'idempotency-key': 'top-up-1' },
      });
    const [first, again] = [await ask(), await ask()];
    expect([first.status, again.body['id']]).toEqual([201, first.body['id']]);
    const id = String(first.body['id']);
    await Promise.all([drive('payment', id), drive('payment', id)]);
    await standIn.webhooks.deliver({ copies: 3 });
    await drive('payment', id);
    expect((await call(`GET /v1/billing/payments/${id}`)).body).toMatchObject({
      state: 'settled',
      captured: String(usd('20')),
    });
    expect(await credit()).toBe(String(usd('20')));
    expect(standIn.capturedCents).toBe(2_000);
  });

  it('refuses an amount that is no cents or out of bounds', async () => {
    for (const amount of ['5000000001', String(usd('4.99')), String(usd('10000.01')), '-5000000000']) {
      expect([amount, (await call('POST /v1/billing/top-ups', { amount })).status]).toEqual([amount, 400]);
    }
  });

  it('recharges by itself', async () => {
    const rules = { on: true, below: String(usd('100')), amount: String(usd('30')), monthlyCap: String(usd('50')) };
    expect((await call('PUT /v1/billing/auto-recharge', rules)).body['autoRecharge']).toMatchObject({ ...rules });
    const low = { ...rules, monthlyCap: String(usd('10')) };
    expect((await call('PUT /v1/billing/auto-recharge', low)).body['code']).toBe('cap-too-low');
    expect(await api.ground.broker.payments.recharge()).toBe(1);
    expect(await api.ground.broker.payments.recharge()).toBe(0);
    const [newest] = (await call('GET /v1/billing/payments')).body['items'] as { id: string; kind: string }[];
    expect(newest?.kind).toBe('auto-recharge');
    await drive('payment', newest?.id ?? '');
    expect(await credit()).toBe(String(usd('50')));
    expect(await api.ground.broker.payments.recharge()).toBe(0);
  });

  it('refunds for an administrator, and writes who did it', async () => {
    const [, first] = (await call('GET /v1/billing/payments')).body['items'] as { id: string }[];
    const line = `POST /v1/admin/payments/${first?.id ?? ''}/refunds` as const;
    expect((await call(line, { amount: String(usd('5')) })).status).toBe(403);
    const refund = await api.call(line, { key: api.platformKey, body: { amount: String(usd('5')) } });
    expect([refund.status, await credit()]).toEqual([201, String(usd('45'))]);
    await drive('refund', String(refund.body['id']));
    const shown = (await call(`GET /v1/billing/payments/${first?.id ?? ''}`)).body;
    expect(shown).toMatchObject({ refunded: String(usd('5')), refunds: [{ state: 'settled' }] });
    const log = await api.call('GET /v1/admin/audit?action=payment.refund', { key: api.platformKey });
    expect(log.body['items']).toMatchObject([{ subject: first?.id }]);
  });

  it('takes back what a bank takes back, and shows why', async () => {
    const [newest] = (await call('GET /v1/billing/payments')).body['items'] as { id: string }[];
    const id = newest?.id ?? '';
    const intent = standIn
      .objects('payment_intent')
      .find((i) => (i['metadata'] as { berth_reference?: string }).berth_reference === id);
    standIn.openDispute(intent?.id ?? '');
    expect((await standIn.webhooks.deliver({ copies: 2 })).map((d) => d.status)).not.toContain(400);
    await Promise.all([drive('payment', id), drive('payment', id)]);
    expect((await call(`GET /v1/billing/payments/${id}`)).body).toMatchObject({
      state: 'disputed',
      disputes: [{ state: 'open', reason: 'fraudulent', withdrawn: String(usd('30')) }],
    });
    expect(await credit()).toBe(String(usd('15')));
    expect((await call('GET /v1/billing')).body['autoRecharge']).toMatchObject({ on: false });
  });

  it('books a refund that was made at Stripe', async () => {
    const [, first] = (await call('GET /v1/billing/payments')).body['items'] as { id: string }[];
    const id = first?.id ?? '';
    const intent = standIn
      .objects('payment_intent')
      .find((i) => (i['metadata'] as { berth_reference?: string }).berth_reference === id);
    standIn.refundElsewhere(intent?.id ?? '', 200);
    await standIn.webhooks.deliver({ copies: 2 });
    await drive('payment', id);
    const shown = (await call(`GET /v1/billing/payments/${id}`)).body;
    const refunds = shown['refunds'] as { id: string }[];
    expect(refunds).toHaveLength(2);
    for (const refund of refunds) await drive('refund', refund.id);
    expect((await call(`GET /v1/billing/payments/${id}`)).body).toMatchObject({
      refunded: String(usd('7')),
      refunds: [{ state: 'settled' }, { state: 'settled' }],
    });
    expect(await credit()).toBe(String(usd('13')));
  });
});

describe('the webhook', () => {
  const event = JSON.stringify({
    id: 'evt_moon',
    object: 'event',
    type: 'moon.landed',
    created: 1_795_219_200,
    data: { object: { id: 'moon_1' } },
  });

  it('keeps an event once, of whatever kind', async () => {
    const header = signature(SECRET, event, Date.now());
    expect((await post(event, header)).body).toEqual({ received: true, known: false });
    expect((await post(event, header)).body).toEqual({ received: true, known: true });
    const kept = await api.ground.store.transaction(WORKER, (tx) => tx.find(paymentEvents, { id: 'evt_moon' }));
    expect(kept).toMatchObject([{ type: 'moon.landed', objectId: 'moon_1', woke: null }]);
  });

  it.each([
    ['no signature', () => undefined],
    ['a wrong one', () => 't=1,v1=00'],
    ['another secret', () => signature('whsec_other', event, Date.now())],
    ['an old one', () => signature(SECRET, event, Date.now() - 600_000)],
    ['one of the future', () => signature(SECRET, event, Date.now() + 600_000)],
  ])('refuses %s with a problem', async (_, header) => {
    const answer = await post(event, header());
    expect([answer.status, answer.body['code']]).toEqual([400, 'signature-wrong']);
  });

  it('reads nothing of a body that is too large or not signed', async () => {
    expect((await post('x'.repeat(262_145), signature(SECRET, 'x', Date.now()))).status).toBe(413);
    expect((await post('{"broken', signature('whsec_other', '{"broken', Date.now()))).body['code']).toBe(
      'signature-wrong',
    );
    expect((await post('{"broken', signature(SECRET, '{"broken', Date.now()))).status).toBe(400);
  });
});

describe('an installation without cards', () => {
  it('says so wherever a card is needed, and still shows how it bills', async () => {
    const manual = await TestApi.start();
    try {
      const { key } = await manual.tenant();
      expect((await manual.call('GET /v1/billing', { key })).body).toMatchObject({ mode: 'manual', card: null });
      for (const [line, body] of [
        ['POST /v1/billing/setup', {}],
        ['POST /v1/billing/top-ups', { amount: String(usd('20')) }],
        ['PUT /v1/billing/auto-recharge', { on: false, below: '0', amount: '0', monthlyCap: '0' }],
      ] as const) {
        const answer = await manual.call(line, { key, body });
        expect([line, answer.status, answer.body['code']]).toEqual([line, 422, 'cards-not-taken']);
        expect(answer.body['fix']).toContain('BILLING=stripe');
      }
      const hook = await manual.call('POST /v1/webhooks/stripe', { body: '{}' });
      expect([hook.status, hook.body['code']]).toEqual([422, 'cards-not-taken']);
    } finally {
      await manual.close();
    }
  });
});

import { beforeAll, describe, expect, it } from '@jest/globals';
import { ApiChecker } from './checker.js';
import type { Endpoint, StripeApi } from './derive.js';
import { formTree } from './form.js';
import { loadApi } from './load.js';

let api: StripeApi;
let checker: ApiChecker;
beforeAll(() => {
  api = loadApi();
  checker = new ApiChecker(api);
});

const at = (method: string, path: string): Endpoint => {
  const found = checker.match(method, path);
  if (!found) throw new Error(`no ${method} ${path}`);
  return found.endpoint;
};
const ask = (line: string, form: string): unknown => {
  const [method = '', path = ''] = line.split(' ');
  return checker.request(at(method, path), form);
};

describe('what the SDK says of the API', () => {
  it('is all of it: endpoints and shapes do not silently become fewer', () => {
    expect(api.endpoints).toHaveLength(650);
    expect(Object.keys(api.definitions).length).toBeGreaterThan(7_500);
    expect(api.endpoints.filter((e) => Object.keys(e.response).length === 0).map((e) => e.id)).toEqual([
      'OAuth.deauthorize',
      'OAuth.token',
      'Quote.pdf',
      'V2.Billing.MeterEventStream.create',
    ]);
  });

  it('finds a fixed path before one with a place for an id', () => {
    expect(checker.match('GET', '/v1/customers/search')?.endpoint.id).toBe('Customer.search');
    expect(checker.match('GET', '/v1/customers/cus_1')?.ids).toEqual(['cus_1']);
    expect(checker.match('GET', '/v1/customer')).toBeNull();
    expect(checker.match('PUT', '/v1/customers')).toBeNull();
  });
});

describe('a form', () => {
  it('is read as a tree', () => {
    expect(formTree('a=1&b[c]=2&d[0][e]=3&d[1][e]=4&f[]=5&f[]=6')).toEqual({
      a: '1',
      b: { c: '2' },
      d: [{ e: '3' }, { e: '4' }],
      f: ['5', '6'],
    });
  });

  it('gets the types of the schema', () => {
    const form = 'amount=1050&currency=usd&confirm=true&metadata[berth]=pay_1&expand[0]=latest_charge&off_session=true';
    expect(ask('POST /v1/payment_intents', form)).toEqual({
      params: {
        amount: 1050,
        currency: 'usd',
        confirm: true,
        metadata: { berth: 'pay_1' },
        expand: ['latest_charge'],
        off_session: true,
      },
    });
    expect(ask('POST /v1/invoiceitems', 'customer=c&quantity_decimal=0.000000000001&unit_amount_decimal=12.5')).toEqual(
      { params: { customer: 'c', quantity_decimal: '0.000000000001', unit_amount_decimal: '12.5' } },
    );
  });

  it.each([
    ['an unknown field', 'POST /v1/payment_intents', 'amount=1&currency=usd&amonut=2', 'unknown parameter: amonut'],
    ['a missing field', 'POST /v1/payment_intents', 'amount=1', "must have required property 'currency'"],
    ['cents with a fraction', 'POST /v1/payment_intents', 'amount=10.5&currency=usd', 'amount must be integer'],
    ['a word that is none', 'POST /v1/payment_intents', 'amount=1&currency=usd&capture_method=later', 'capture_method'],
    ['a name of before', 'POST /v1/invoiceitems', 'customer=c&price=price_1', 'unknown parameter: price'],
    ['a name of before', 'POST /v1/invoiceitems', 'customer=c&unit_amount=5', 'unknown parameter: unit_amount'],
    ['13 places', 'POST /v1/invoiceitems', 'customer=c&quantity_decimal=0.0000000000001', 'quantity_decimal'],
    ['an unknown field deep down', 'POST /v1/accounts', 'capabilities[transfers][wanted]=true', 'wanted'],
    ['a body where there is none', 'POST /v1/transfers/tr_1/reversals', 'sum=5', 'unknown parameter: sum'],
  ])('with %s is refused (%s %s)', (_, line, form, why) => {
    expect(ask(line, form)).toEqual({ wrong: expect.stringContaining(why) });
  });
});

describe('an answer', () => {
  it('must have every field that the types promise, and none more', () => {
    const retrieve = at('GET', '/v1/refunds/re_1');
    const refund = checker.plainest('Refunds.Refund');
    expect(checker.response(retrieve, refund)).toBeNull();
    const { amount: _, ...less } = refund;
    expect(checker.response(retrieve, less)).toContain('amount');
    expect(checker.response(retrieve, { ...refund, extra: 1 })).toContain('extra');
    expect(checker.response(retrieve, { ...refund, amount: 1.5 })).toContain('amount');
    expect(checker.response(retrieve, { ...refund, reason: 'because' })).not.toBeNull();
  });
});

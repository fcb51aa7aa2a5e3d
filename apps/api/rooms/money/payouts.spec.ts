import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openOwner, type Owner } from '../../testing/owned.js';
import { TestApi, type TestAnswer } from '../../testing/test-api.js';

let api: TestApi;
let owner: Owner;
beforeAll(async () => {
  api = await TestApi.start();
  owner = await openOwner(api, 'Ann');
});
afterAll(() => api.close());

type Line = `${'GET' | 'POST' | 'PUT'} /${string}`;
const operator = (line: Line, body?: object): Promise<TestAnswer> => api.call(line, { key: owner.operatorKey, body });
const admin = (line: Line, body?: object): Promise<TestAnswer> => api.call(line, { key: api.platformKey, body });
const items = ({ body }: TestAnswer) => body['items'] as Record<string, string>[];

describe('payouts over the API', () => {
  it('show a provider its statements, to the cent', async () => {
    const [latest, before] = items(await operator('GET /v1/payouts/statements'));
    // $2.345678901 each: 10 % is kept back for 14 days, and complete cents of the rest are paid out.
    expect(before).toMatchObject({ accrued: '2345678901', openingCents: '0', payoutCents: '211', closingCents: '0' });
    expect(latest).toMatchObject({ accrued: '2345678901', heldBack: '469135780', closingCents: '0' });
    const { body } = await operator(`GET /v1/payouts/statements/${before?.['id']}`);
    const lines = body['lines'] as { kind: string; amount: string; cents: string }[];
    expect(lines.map(({ kind, amount, cents }) => [kind, amount, cents])).toEqual([
      ['accrual', '2345678901', '235'],
      ['holdback', '-234567890', '-24'],
      ['payout', '-2110000000', '-211'],
    ]);
    const csv = await operator(`GET /v1/payouts/statements/${before?.['id']}/csv`);
    expect(csv.body['text']).toContain('closing balance');
    const pdf = await operator(`GET /v1/payouts/statements/${before?.['id']}/pdf`);
    expect([pdf.status, pdf.headers['content-type']]).toEqual([200, 'application/pdf']);
    expect((await operator('GET /v1/payouts/preview')).body).toMatchObject({
      number: null,
      providerId: owner.ids.providerId,
    });
    expect((await operator('GET /v1/payouts/preview/pdf')).status).toBe(200);
  });

  it('are approved, paid by hand and taken back by administrators, on the record', async () => {
    const id = owner.ids.payoutId;
    expect((await operator(`POST /v1/admin/payouts/${id}/approve`)).status).toBe(403);
    expect((await admin(`POST /v1/admin/payouts/${id}/approve`)).body['state']).toBe('awaiting');
    expect((await admin(`POST /v1/admin/payouts/${id}/paid`, { reference: 'wire 7' })).body['state']).toBe('paid');
    expect((await operator(`GET /v1/payouts/${id}`)).body).toMatchObject({ state: 'paid', reference: 'wire 7' });
    const twice = await admin(`POST /v1/admin/payouts/${id}/paid`, { reference: 'wire 7' });
    expect([twice.status, twice.body['code']]).toEqual([409, 'wrong-state']);
    const part = { reason: 'one lease too many', amountCents: '11' };
    const some = await api.call(`POST /v1/admin/payouts/${id}/reverse`, {
      key: api.platformKey,
      body: part,
      headers: { 'idempotency-key': 'reversal-1' },
    });
    expect(some.body).toMatchObject({ state: 'paid', amountCents: '211', reversedCents: '11' });
    const again = await api.call(`POST /v1/admin/payouts/${id}/reverse`, {
      key: api.platformKey,
      body: part,
      headers: { 'idempotency-key': 'reversal-1' },
    });
    expect(again.body).toMatchObject({ reversedCents: '11' });
    const tooMuch = await admin(`POST /v1/admin/payouts/${id}/reverse`, { reason: 'all', amountCents: '201' });
    expect([tooMuch.status, tooMuch.body['code']]).toEqual([409, 'reversal-too-large']);
    const back = await admin(`POST /v1/admin/payouts/${id}/reverse`, { reason: 'account closed' });
    expect(back.body).toMatchObject({ state: 'reversed', reversedCents: '211' });
    const log = items(await admin(`GET /v1/admin/audit?subject=${id}`));
    expect(log.map((a) => a['action'])).toEqual([
      'payout.reverse',
      'payout.reverse',
      'payout.mark-paid',
      'payout.approve',
    ]);
  });

  it('are disputed, and disputes resolved', async () => {
    const { providerId } = owner.ids;
    const about = { providerId, reason: 'sla-breach', note: 'slow disks', amount: '1000000000' };
    const opened = await admin('POST /v1/admin/payouts/disputes', about);
    expect([opened.status, opened.body['state']]).toEqual([201, 'open']);
    const id = opened.body['id'];
    expect(items(await operator('GET /v1/payouts/disputes'))[0]).toMatchObject({ id, amount: '1000000000' });
    const resolved = await admin(`POST /v1/admin/payouts/disputes/${String(id)}/resolve`, {
      as: 'dismissed',
      resolution: 'they were not',
    });
    expect(resolved.body).toMatchObject({ state: 'dismissed', resolution: 'they were not' });
    const { body } = await operator('GET /v1/payouts/balance');
    expect(body['providers']).toMatchObject([{ providerId, accrued: '0', disputed: '10' }]);
  });

  it('run once for a month, and only when it is over', async () => {
    const month = new Date().toISOString().slice(0, 7);
    const { providerId } = owner.ids;
    const early = await admin('POST /v1/admin/payouts/run', { month, providerId });
    expect(early.body['failed']).toMatchObject([{ providerId, message: expect.stringContaining('ends on') }]);
    const last = items(await operator('GET /v1/payouts/statements'))[0]?.['periodStart']?.slice(0, 7);
    const again = await admin('POST /v1/admin/payouts/run', { month: last, providerId });
    expect(again.body).toMatchObject({ made: [], known: 1, failed: [] });
  });

  it('follow terms that administrators set', async () => {
    const { providerId } = owner.ids;
    const terms = await admin(`PUT /v1/admin/payouts/providers/${providerId}/terms`, { holdbackBps: 500 });
    expect(terms.body).toMatchObject({ holdbackBps: 500, holdbackDays: 14, minimumCents: '1', method: 'manual' });
    expect((await admin(`GET /v1/admin/payouts/providers/${providerId}/terms`)).body).toEqual(terms.body);
    const account = await operator('POST /v1/payouts/account', { country: 'DE' });
    expect([account.status, account.body['code']]).toEqual([422, 'transfers-not-made']);
  });
});

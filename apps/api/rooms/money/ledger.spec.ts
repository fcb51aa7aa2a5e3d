import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { usd } from '#kernel';
import { WORKER } from '#platform/database';
import { account, Ledger, Sealer } from '#money/ledger';
import { openOwner, type Owner } from '../../testing/owned.js';
import { TestApi } from '../../testing/test-api.js';

let api: TestApi;
let owner: Owner;
beforeAll(async () => {
  api = await TestApi.start();
  owner = await openOwner(api, 'Ann');
  const { organizationId } = owner.ids;
  for (const dollars of ['3', '4'])
    await api.ground.store.transaction(WORKER, (tx) =>
      api.app.get(Ledger).credit(tx, organizationId, usd(dollars), 'payment', `paid-${dollars}`),
    );
});
afterAll(async () => api.close());

interface Shown {
  opening: string;
  closing: string;
  entries: { kind: string; amount: string; balance: string }[];
  nextCursor: string | null;
}

describe('the ledger over the API', () => {
  const statement = async (path: string, key: string): Promise<Shown> => {
    const answer = await api.call(`GET ${path}` as 'GET /', { key });
    expect(answer.status).toBe(200);
    return answer.body as unknown as Shown;
  };

  it('shows a tenant its own credit, entry by entry and in pages', async () => {
    const whole = await statement('/v1/ledger/statement', owner.adminKey);
    const paid = whole.entries.filter((e) => e.kind === 'payment');
    expect(paid.slice(-2).map((e) => e.amount)).toEqual(['3000000000', '4000000000']);
    expect(whole.entries.at(-1)?.balance).toBe(whole.closing);
    const pages: Shown['entries'] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const more = cursor === '' ? '' : `&cursor=${cursor}`;
      const page = await statement(`/v1/ledger/statement?limit=1${more}`, owner.adminKey);
      pages.push(...page.entries);
      cursor = page.nextCursor;
    }
    expect(pages).toEqual(whole.entries);
  });

  it('shows administrators any account, and no account that is none', async () => {
    const id = account.credit(owner.ids.organizationId);
    const own = await statement('/v1/ledger/statement', owner.adminKey);
    const same = await statement(`/v1/admin/ledger/accounts/${id}/statement`, api.platformKey);
    expect(same.entries).toEqual(own.entries);
    const none = await api.call('GET /v1/admin/ledger/accounts/credit:org_x/statement' as 'GET /', {
      key: api.platformKey,
    });
    expect(none.status).toBe(404);
  });

  it('balances, then and now', async () => {
    const now = await api.call('GET /v1/admin/ledger/trial-balance', { key: api.platformKey });
    expect(now.body).toMatchObject({ totals: [{ currency: 'USD', balance: '0' }] });
    const rows = now.body['accounts'] as { accountId: string; balance: string }[];
    expect(rows.find((r) => r.accountId === account.cash)?.balance).toBe('-7000000000');
    const then = await api.call('GET /v1/admin/ledger/trial-balance?at=2020-01-01T00:00:00Z' as 'GET /', {
      key: api.platformKey,
    });
    const before = then.body['accounts'] as { balance: string }[];
    expect(before.every((r) => r.balance === '0')).toBe(true);
  });

  it('says how far the books are sealed', async () => {
    const look = async (): Promise<unknown> =>
      (await api.call('GET /v1/admin/ledger/verify', { key: api.platformKey })).body;
    expect(await look()).toMatchObject({ done: true, broken: null, through: 0, rest: { lost: 0, wrongAccounts: [] } });
    const link = await api.app.get(Sealer).run();
    expect(await look()).toMatchObject({
      done: true,
      broken: null,
      sealed: { hash: link?.hash },
      rest: { unsealed: 0, unsealedSince: null, lost: 0, wrongAccounts: [] },
    });
  });
});

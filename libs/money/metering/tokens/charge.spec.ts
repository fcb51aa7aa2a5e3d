import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HOUR, newId, SeededRandom, usd } from '#kernel';
import type { TokenTerms } from '#money/rating';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { account, balancesBefore } from '#money/ledger';
import { usageRecords, type UsageRow } from '../usage.table.js';
import { chargeTokens, type TokenUsage } from './charge.js';
import { tokenMonths } from './tokens.table.js';

const MONTH = Date.UTC(2026, 9, 1);
const terms: TokenTerms = {
  bookVersion: 1,
  discountBps: 0,
  tokens: {
    small: { input: String(usd('1')), cached: '0', output: String(usd('2')) },
    large: { input: String(usd('10')), cached: '0', output: String(usd('30')) },
  },
  free: { input: '1000' },
  requestMinimumNano: '0',
};

describe.each(specStores)('charging tokens, $name', ({ name, open }) => {
  let opened: SpecStore;
  let till: Till;
  const random = new SeededRandom(`tokens ${name}`);
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened, random);
  });
  afterAll(() => opened.close());

  const hold = async (tenant: Tenant, dollars: string): Promise<string> =>
    (await till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd(dollars) }))).id;
  const usage = (
    tenant: Tenant,
    holdId: string,
    counts: Partial<TokenUsage['counts']>,
    more: Partial<TokenUsage> = {},
  ) => ({
    shard: {
      id: newId('shard', MONTH, random),
      ...tenant,
      leaseId: 'lease_a',
      jobId: 'job_a',
      providerId: 'prv_a',
      resource: 'batch-inference',
      providerClass: 'hyperscaler' as const,
      fromMs: MONTH,
      toMs: MONTH + HOUR,
    },
    model: 'small',
    terms,
    holdId,
    counts: { input: 0n, cached: 0n, output: 0n, ...counts },
    requests: 1n,
    ...more,
  });
  const charge = (...list: TokenUsage[]) => till.tx((tx) => chargeTokens(tx, list, { clock: opened.clock, random }));
  const records = async ({ organizationId }: Tenant): Promise<UsageRow[]> =>
    till.tx((tx) => tx.find(usageRecords, { organizationId }));
  const charged = async (tenant: Tenant): Promise<bigint> =>
    (await records(tenant)).reduce((n, r) => n + r.amountNano, 0n);

  it('shares the free tier between models, and takes what it costs out of the holds', async () => {
    const tenant = await till.tenant('10');
    const [one, two] = [await hold(tenant, '2'), await hold(tenant, '3')];
    await charge(
      usage(tenant, one, { input: 600n, output: 1_000n }),
      usage(tenant, two, { input: 600n }, { model: 'large' }),
    );
    await charge(usage(tenant, one, { input: 50n }));
    // 1,000 of 1,250 are free, whichever model came first; all the output is paid.
    const months = await till.tx((tx) => tx.find(tokenMonths, { organizationId: tenant.organizationId, model: '' }));
    expect(months).toMatchObject([{ month: MONTH, input: 1_250n, output: 1_000n }]);
    const paid = (await till.tx((tx) => tx.find(tokenMonths, { organizationId: tenant.organizationId })))
      .filter((m) => m.model !== '')
      .reduce((n, m) => n + m.input, 0n);
    expect(paid).toBe(250n);
    const total = await charged(tenant);
    const left = async (id: string): Promise<bigint> =>
      (await till.tx((tx) => till.holds.get(tx, id)))?.remainingNano ?? 0n;
    expect((await left(one)) + (await left(two))).toBe(usd('5') - total);
    expect((await records(tenant)).map((r) => r.meter).sort()).toEqual([
      'input-tokens',
      'input-tokens',
      'input-tokens',
      'lines',
      'lines',
      'lines',
      'output-tokens',
    ]);
    await till.audit();
  });

  it('charges no more than the hold has: the rest is the broker’s', async () => {
    const tenant = await till.tenant('1');
    const before = (await till.tx((tx) => balancesBefore(tx, null))).get(account.exposure) ?? 0n;
    await charge(usage(tenant, await hold(tenant, '0.003'), { input: 2_000n, output: 2_000n }));
    expect(await charged(tenant)).toBe(usd('0.003'));
    const after = (await till.tx((tx) => balancesBefore(tx, null))).get(account.exposure) ?? 0n;
    expect(before - after).toBe(usd('0.002'));
    await charge(usage(tenant, 'hold_gone', { input: 10n }));
    expect(await charged(tenant)).toBe(usd('0.003'));
    await till.audit();
  });

  it('charges a shard once', async () => {
    const tenant = await till.tenant('1');
    const one = usage(tenant, await hold(tenant, '0.5'), { input: 2_000n });
    await charge(one);
    await expect(charge(one)).rejects.toThrow();
    expect(await charged(tenant)).toBe(usd('0.001'));
    await till.audit();
  });

  it('asks the least of requests only where nothing of them was free', async () => {
    const tenant = await till.tenant('1');
    const least = { terms: { ...terms, requestMinimumNano: String(usd('0.001')) }, requests: 5n };
    const id = await hold(tenant, '0.5');
    await charge(usage(tenant, id, { input: 1_100n }, least));
    expect(await charged(tenant)).toBe(usd('0.0001'));
    await charge(usage(tenant, id, { input: 100n }, least));
    expect(await charged(tenant)).toBe(usd('0.0051'));
    await charge(usage(tenant, id, { output: 10_000n }, least));
    expect(await charged(tenant)).toBe(usd('0.0251'));
    await till.audit();
  });

  it('gives the free tier once to those who ask at one moment', async () => {
    const tenant = await till.tenant('1');
    const ids = [await hold(tenant, '0.1'), await hold(tenant, '0.1'), await hold(tenant, '0.1')];
    await Promise.all(ids.map((id) => charge(usage(tenant, id, { input: 500n }))));
    expect(await charged(tenant)).toBe(usd('0.0005'));
    await till.audit();
  });

  it('begins each month anew', async () => {
    const tenant = await till.tenant('1');
    const id = await hold(tenant, '0.5');
    const late = usage(tenant, id, { input: 1_000n });
    await charge(usage(tenant, id, { input: 1_000n }));
    await charge({ ...late, shard: { ...late.shard, toMs: Date.UTC(2026, 10, 1) + 1 } });
    expect(await charged(tenant)).toBe(0n);
    await charge(
      usage(tenant, id, { input: 1_000n }, { shard: { ...usage(tenant, id, {}).shard, toMs: Date.UTC(2026, 10, 1) } }),
    );
    expect(await charged(tenant)).toBe(usd('0.001'));
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HOUR, ManualClock, usd } from '#kernel';
import { WORKER } from '#platform/database';
import { usageBy, usageRecords } from '#money/metering';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { openBilling } from './billing.fixture.js';
import { invoices, type Billing, type InvoiceRow } from './index.js';

const NOVEMBER = Date.UTC(2026, 10, 1);
const DECEMBER = Date.UTC(2026, 11, 1);
const JANUARY = Date.UTC(2027, 0, 1);

describe('drafts', () => {
  let opened: SpecStore;
  let till: Till;
  let billing: Billing;
  const clock = new ManualClock(NOVEMBER);
  beforeAll(async () => {
    const postgres = specStores.find((s) => s.name === 'PostgreSQL');
    if (!postgres) throw new Error('no PostgreSQL');
    opened = await postgres.open();
    till = await openTill(opened);
    billing = openBilling(till, clock).billing;
  });
  afterAll(async () => opened.close());

  const list = (tenant: Tenant): Promise<InvoiceRow[]> => billing.list(WORKER, tenant.organizationId, { limit: 10 });

  it('are one per organization and month, however many ask at once', async () => {
    const [one, two] = [await till.tenant('0'), await till.tenant('0')];
    await Promise.all(
      [one, two].flatMap(({ organizationId }) =>
        Array.from({ length: 15 }, (_, i) => billing.ensureDraft(organizationId, NOVEMBER + i * 24 * HOUR)),
      ),
    );
    await billing.ensureDraft(one.organizationId, DECEMBER - 1);
    await billing.ensureDraft(one.organizationId, DECEMBER);
    expect((await list(one)).map((i) => [i.periodStart, i.periodEnd, i.state, i.number])).toEqual([
      [DECEMBER, JANUARY, 'draft', null],
      [NOVEMBER, DECEMBER, 'draft', null],
    ]);
    expect(await list(two)).toHaveLength(1);
  });

  it('leave an invoice that is no draft any more as it is', async () => {
    const { organizationId } = await till.tenant('0');
    await billing.ensureDraft(organizationId, NOVEMBER);
    await till.tx((tx) => tx.update(invoices, { organizationId }, { state: 'void', number: 'B-1' }));
    await billing.ensureDraft(organizationId, NOVEMBER);
    expect((await billing.list(WORKER, organizationId, { limit: 10 })).map((i) => i.number)).toEqual(['B-1']);
  });

  it('page from the newest month on', async () => {
    const tenant = await till.tenant('0');
    for (const at of [DECEMBER, NOVEMBER, JANUARY]) await billing.ensureDraft(tenant.organizationId, at);
    const seen: number[] = [];
    for (let after: readonly [number, string] | undefined; ;) {
      const page = await billing.list(WORKER, tenant.organizationId, { limit: 1, ...(after ? { after } : {}) });
      const [row] = page;
      if (!row) break;
      seen.push(row.periodStart);
      after = [row.periodStart, row.id];
    }
    expect(seen).toEqual([JANUARY, DECEMBER, NOVEMBER]);
  });

  it('count the month’s usage and only it: the sum is the ledger’s, and the usage report’s', async () => {
    const tenant = await till.tenant('100');
    const { organizationId } = tenant;
    const providerId = await till.provider();
    const hold = await till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd('100') }));
    const start = NOVEMBER + 5 * HOUR + 17;
    let from = start;
    for (const to of [start + HOUR / 3, DECEMBER - 1, DECEMBER + HOUR, DECEMBER + 2 * HOUR]) {
      const side = { perHour: usd('0.1') + 1n, startMs: start, fromMs: from, toMs: to };
      await till.tx((tx) =>
        till.metering.leaseTime(tx, {
          leaseId: `lease_${organizationId}`,
          ...tenant,
          jobId: null,
          providerId,
          holdId: hold.id,
          resource: 'H100 x1',
          charge: side,
          cost: null,
        }),
      );
      from = to;
    }
    for (const at of [NOVEMBER, DECEMBER]) await billing.ensureDraft(organizationId, at);
    const [december, november] = await list(tenant);
    const drafts = await Promise.all([november, december].map((i) => billing.get(WORKER, i?.id ?? '')));
    expect(drafts.map((d) => d.lines.map((l) => [l.resource, l.meter, l.quantity, l.unit]))).toEqual([
      [['H100 x1', 'lease-time', BigInt(DECEMBER - start), 'ms']],
      [['H100 x1', 'lease-time', BigInt(2 * HOUR), 'ms']],
    ]);
    const billed = drafts.reduce((n, d) => n + d.usageNano, 0n);
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
    expect(billed).toBe(usd('100') - credit.balanceNano);
    for (const [i, month] of [[NOVEMBER, DECEMBER] as const, [DECEMBER, JANUARY] as const].entries()) {
      const [fromMs, toMs] = month;
      const report = await till.tx((tx) =>
        usageBy(tx, { organizationId, projectIds: 'all', fromMs, toMs, by: 'project' }),
      );
      expect(report.reduce((n, t) => n + t.amountNano, 0n)).toBe(drafts[i]?.usageNano);
    }
    expect(await till.tx((tx) => tx.find(usageRecords, { organizationId }))).toHaveLength(5);
    await till.audit();
  });

  it('are not there for anybody else', async () => {
    const [one, two] = [await till.tenant('0'), await till.tenant('0')];
    await billing.ensureDraft(one.organizationId, NOVEMBER);
    const id = (await list(one))[0]?.id ?? '';
    const as = ({ organizationId }: Tenant) => ({ as: 'tenant', organizationId, projectIds: 'all' }) as const;
    expect((await billing.get(as(one), id)).invoice.id).toBe(id);
    await expect(billing.get(as(two), id)).rejects.toMatchObject({ kind: 'not-found' });
    expect(await billing.list(as(two), one.organizationId, { limit: 10 })).toEqual([]);
    await expect(billing.get(WORKER, 'inv_nobody')).rejects.toMatchObject({ kind: 'not-found' });
  });
});

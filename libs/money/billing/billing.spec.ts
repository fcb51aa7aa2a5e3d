import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { HOUR, ManualClock, SeededRandom, usd } from '#kernel';
import { WORKER } from '#platform/database';
import { usageBy, usageRecords } from '#money/metering';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { Billing, draft, invoices, type InvoiceLine, type InvoiceRow } from './index.js';

const NOVEMBER = Date.UTC(2026, 10, 1);
const DECEMBER = Date.UTC(2026, 11, 1);
const JANUARY = Date.UTC(2027, 0, 1);

const invoice: InvoiceRow = {
  id: 'inv_spec',
  organizationId: 'org_spec',
  periodStart: NOVEMBER,
  periodEnd: DECEMBER,
  state: 'draft',
  number: null,
  createdAt: NOVEMBER,
};
const line = (amountNano: bigint): Omit<InvoiceLine, 'cents'> => ({
  projectId: 'prj_spec',
  resource: 'H100 x1',
  meter: 'lease-time',
  quantity: 1n,
  unit: 'ms',
  amountNano,
});

describe('the lines of an invoice', () => {
  it('add up to the total, in nano-dollars and in cents, and no line is off by a cent', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: 0n, max: usd('100000') }), { maxLength: 30 }), (amounts) => {
        const made = draft(invoice, amounts.map(line));
        expect(made.totalNano).toBe(amounts.reduce((a, n) => a + n, 0n));
        expect(made.lines.reduce((a, l) => a + l.cents, 0n)).toBe(made.totalCents);
        const off = made.totalCents * 10_000_000n - made.totalNano;
        expect((off < 0n ? -off : off) <= 5_000_000n).toBe(true);
        for (const l of made.lines) {
          const difference = l.cents * 10_000_000n - l.amountNano;
          expect((difference < 0n ? -difference : difference) < 20_000_000n).toBe(true);
          if (l.amountNano === 0n) expect(l.cents).toBe(0n);
        }
      }),
    );
  });

  it('share the cents by largest remainder', () => {
    const third = usd('0.01') / 3n;
    expect(draft(invoice, [third, third, third].map(line))).toMatchObject({
      totalCents: 1n,
      lines: [{ cents: 1n }, { cents: 0n }, { cents: 0n }],
    });
  });

  it('are zero on an invoice of nothing', () => {
    expect(draft(invoice, [])).toEqual({ invoice, lines: [], totalNano: 0n, totalCents: 0n });
    expect(draft(invoice, [line(0n)]).lines).toEqual([{ ...line(0n), cents: 0n }]);
  });
});

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
    billing = new Billing(till.store, clock, new SeededRandom('billing'));
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
    await till.tx((tx) => tx.update(invoices, { organizationId }, { state: 'open', number: 'B-1' }));
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
    const billed = drafts.reduce((n, d) => n + d.totalNano, 0n);
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, organizationId));
    expect(billed).toBe(usd('100') - credit.balanceNano);
    for (const [i, month] of [[NOVEMBER, DECEMBER] as const, [DECEMBER, JANUARY] as const].entries()) {
      const [fromMs, toMs] = month;
      const report = await till.tx((tx) =>
        usageBy(tx, { organizationId, projectIds: 'all', fromMs, toMs, by: 'project' }),
      );
      expect(report.reduce((n, t) => n + t.amountNano, 0n)).toBe(drafts[i]?.totalNano);
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

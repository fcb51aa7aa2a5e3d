import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { chargeBetween, HOUR, StaleVersion, usd } from '#kernel';
import { account, balancesBefore, transactions } from '#money/ledger';
import type { HoldRow } from '#money/quotas';
import { UniqueViolation } from '#platform/database';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import { monthEnd, monthStart, usageRecords, type LeaseInterval, type MeteredAmounts, type UsageRow } from './index.js';

const CHARGE = usd('2.2');
const COST = usd('2');
const START = Date.UTC(2026, 10, 21, 10, 0, 0, 7);

describe.each(specStores)('metering $name', ({ open }) => {
  let opened: SpecStore;
  let till: Till;
  let providerId: string;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
    providerId = await till.provider();
  });
  afterAll(async () => opened.close());

  let leases = 0;
  const lease = (): string => `lease_spec${leases++}`;
  const hold = (tenant: Tenant, dollars: string): Promise<HoldRow> =>
    till.tx((tx) => till.holds.take(tx, { ...tenant, amountNano: usd(dollars) }));
  const side = (perHour: bigint, startMs: number, fromMs: number, toMs: number): LeaseInterval['charge'] => ({
    perHour,
    startMs,
    fromMs,
    toMs,
  });
  const interval = (
    leaseId: string,
    tenant: Tenant,
    holdId: string | null,
    sides: Pick<LeaseInterval, 'charge' | 'cost'>,
  ): LeaseInterval => ({ leaseId, ...tenant, jobId: null, providerId, holdId, resource: 'H100 x1', ...sides });
  const meter = (i: LeaseInterval): Promise<MeteredAmounts> => till.tx((tx) => till.metering.leaseTime(tx, i));
  const records = (leaseId: string, of: UsageRow['side']): Promise<UsageRow[]> =>
    till.tx((tx) => tx.find(usageRecords, { leaseId, side: of }, { orderBy: [['fromAt', 'asc']] }));
  const rest = async (h: HoldRow): Promise<bigint> =>
    (await till.tx((tx) => till.holds.get(tx, h.id)))?.remainingNano ?? -1n;
  const sum = (rows: readonly UsageRow[]): bigint => rows.reduce((n, r) => n + r.amountNano, 0n);

  it('tiles a lease’s time without gap or overlap, whatever the cuts, and charges what one interval would', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(45 * 24 * HOUR), { minLength: 1, maxLength: 6 }), async (marks) => {
        const tenant = await till.tenant('3000');
        const own = await hold(tenant, '3000');
        const id = lease();
        const cuts = [0, ...marks].sort((a, b) => a - b).map((m) => START + m);
        const end = cuts.at(-1) ?? START;
        let charged = 0n;
        for (let i = 1; i < cuts.length; i++) {
          const [from, to] = [cuts[i - 1] ?? START, cuts[i] ?? START];
          const amounts = await meter(
            interval(id, tenant, own.id, { charge: side(CHARGE, START, from, to), cost: side(COST, START, from, to) }),
          );
          charged += amounts.chargedNano;
          expect(amounts.exposureNano).toBe(0n);
        }
        for (const billed of ['charge', 'cost'] as const) {
          const rows = await records(id, billed);
          let at = START;
          for (const row of rows) {
            expect(row.fromAt).toBe(at);
            expect(row.quantity).toBe(BigInt(row.toAt - row.fromAt));
            expect(row.toAt > row.fromAt && row.toAt <= monthEnd(row.fromAt)).toBe(true);
            at = row.toAt;
          }
          expect(at).toBe(end);
          expect(sum(rows)).toBe(chargeBetween(billed === 'charge' ? CHARGE : COST, START, START, end));
        }
        expect(sum(await records(id, 'charge'))).toBe(charged);
        expect(await rest(own)).toBe(usd('3000') - charged);
        const credit = await till.tx((tx) => till.ledger.creditOf(tx, tenant.organizationId));
        expect(credit.balanceNano).toBe(usd('3000') - charged);
      }),
      { numRuns: opened.postgres ? 10 : 50 },
    );
    await till.audit();
  });

  it('cuts at the month’s end to the millisecond', async () => {
    const tenant = await till.tenant('10');
    const own = await hold(tenant, '10');
    const id = lease();
    const december = Date.UTC(2026, 11, 1);
    await meter(
      interval(id, tenant, own.id, { charge: side(CHARGE, START, december - HOUR, december + HOUR), cost: null }),
    );
    expect((await records(id, 'charge')).map((r) => [r.fromAt, r.toAt, r.unitPriceNano])).toEqual([
      [december - HOUR, december, CHARGE],
      [december, december + HOUR, CHARGE],
    ]);
    expect([monthStart(december - 1), monthEnd(december - 1)]).toEqual([Date.UTC(2026, 10, 1), december]);
    expect([monthStart(december), monthEnd(december)]).toEqual([december, Date.UTC(2027, 0, 1)]);
  });

  it('charges no more than the hold has; the rest is the broker’s, from the newest time on', async () => {
    const tenant = await till.tenant('10');
    const own = await hold(tenant, '3');
    const id = lease();
    const december = Date.UTC(2026, 11, 1);
    const amounts = await meter(
      interval(id, tenant, own.id, {
        charge: side(CHARGE, START, december - HOUR, december + HOUR),
        cost: side(COST, START, december - HOUR, december + HOUR),
      }),
    );
    expect(amounts).toEqual({ chargedNano: usd('3'), costNano: usd('4'), exposureNano: usd('1.4') });
    expect(await rest(own)).toBe(0n);
    expect((await records(id, 'charge')).map((r) => r.amountNano)).toEqual([usd('2.2'), usd('0.8')]);
    await till.audit();
  });

  it.each(['an ended hold', 'no hold'])('charges nothing on %s, and still owes the provider', async (which) => {
    const tenant = await till.tenant('10');
    const own = await hold(tenant, '3');
    await till.tx((tx) => till.holds.settle(tx, own.id));
    const id = lease();
    const amounts = await meter(
      interval(id, tenant, which === 'no hold' ? null : own.id, {
        charge: side(CHARGE, START, START, START + HOUR),
        cost: side(COST, START, START, START + HOUR),
      }),
    );
    expect(amounts).toEqual({ chargedNano: 0n, costNano: usd('2'), exposureNano: usd('2.2') });
    const credit = await till.tx((tx) => till.ledger.creditOf(tx, tenant.organizationId));
    expect(credit.availableNano).toBe(usd('10'));
    await till.audit();
  });

  it('writes and moves nothing for no time', async () => {
    const tenant = await till.tenant('1');
    const id = lease();
    const none = { chargedNano: 0n, costNano: 0n, exposureNano: 0n };
    expect(await meter(interval(id, tenant, null, { charge: null, cost: null }))).toEqual(none);
    expect(
      await meter(interval(id, tenant, null, { charge: side(CHARGE, START, START + 5, START + 5), cost: null })),
    ).toEqual(none);
    expect(await records(id, 'charge')).toEqual([]);
  });

  it('owes the provider for time that the tenant does not pay: from boot to the accepted probe', async () => {
    const tenant = await till.tenant('1');
    const id = lease();
    const amounts = await meter(
      interval(id, tenant, null, { charge: null, cost: side(COST, START, START, START + HOUR) }),
    );
    expect(amounts).toEqual({ chargedNano: 0n, costNano: usd('2'), exposureNano: 0n });
    await till.audit();
  });

  it('lets the second writer of an interval change nothing, its transaction undone as a whole', async () => {
    const tenant = await till.tenant('10');
    const own = await hold(tenant, '5');
    const id = lease();
    const same = interval(id, tenant, own.id, {
      charge: side(CHARGE, START, START, START + HOUR),
      cost: side(COST, START, START, START + HOUR),
    });
    const both = await Promise.allSettled([meter(same), meter(same)]);
    expect(both.map((b) => b.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(both.find((b) => b.status === 'rejected')?.reason).toBeInstanceOf(StaleVersion);
    // The same start with another end and one side only is the same interval to the key, too.
    const longer = interval(id, tenant, own.id, { charge: side(CHARGE, START, START, START + 2 * HOUR), cost: null });
    await expect(meter(longer)).rejects.toBeInstanceOf(UniqueViolation);
    expect(await rest(own)).toBe(usd('2.8'));
    expect(await till.tx((tx) => tx.find(transactions, { reference: id }))).toHaveLength(1);
    await till.audit();
  });

  it('ties each record to the ledger transaction that paid for it', async () => {
    const tenant = await till.tenant('10');
    const own = await hold(tenant, '5');
    const id = lease();
    await meter(
      interval(id, tenant, own.id, {
        charge: side(CHARGE, START, START, START + HOUR),
        cost: side(COST, START, START, START + HOUR),
      }),
    );
    const [paid] = await till.tx((tx) => tx.find(transactions, { reference: id }));
    const both = [...(await records(id, 'charge')), ...(await records(id, 'cost'))];
    expect(both.map((r) => r.transactionId)).toEqual([paid?.id, paid?.id]);
    expect(paid).toMatchObject({ kind: 'usage', organizationId: tenant.organizationId });
  });

  it('books margin as revenue and the cost as owed to the provider', async () => {
    const other = await till.provider();
    const tenant = await till.tenant('10');
    const own = await hold(tenant, '5');
    const before = await till.tx((tx) => balanceOf(tx, account.revenue));
    await meter({
      ...interval(lease(), tenant, own.id, {
        charge: side(CHARGE, START, START, START + HOUR),
        cost: side(COST, START, START, START + HOUR),
      }),
      providerId: other,
    });
    await till.tx(async (tx) => {
      expect((await balanceOf(tx, account.revenue)) - before).toBe(usd('0.2'));
      expect(await balanceOf(tx, account.payable(other))).toBe(usd('2'));
    });
  });

  it('counts a shard’s tokens and lines once, at no charge, and leaves zeros out', async () => {
    const tenant = await till.tenant('1');
    const leaseId = lease();
    const shard = {
      id: `shd_${leaseId}`,
      leaseId,
      ...tenant,
      jobId: 'job_spec',
      providerId,
      resource: 'batch-inference',
      fromMs: START,
      toMs: START + 5,
    };
    const count = (): Promise<void> =>
      till.tx((tx) =>
        till.metering.shardCounts(tx, [{ shard, counts: { 'input-tokens': 30, 'output-tokens': 0, lines: 10 } }]),
      );
    await Promise.all([count(), count()]);
    await count();
    const rows = await till.tx((tx) => tx.find(usageRecords, { leaseId }, { orderBy: [['meter', 'asc']] }));
    expect(rows.map((r) => [r.meter, r.unit, r.quantity, r.amountNano, r.transactionId])).toEqual([
      ['input-tokens', 'tokens', 30n, 0n, null],
      ['lines', 'lines', 10n, 0n, null],
    ]);
    await till.audit();
  });
});

async function balanceOf(tx: Parameters<Parameters<Till['tx']>[0]>[0], id: string): Promise<bigint> {
  return (await balancesBefore(tx, null, [id])).get(id) ?? 0n;
}

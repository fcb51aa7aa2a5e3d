import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DAY, HOUR, SeededRandom, newId } from '#kernel';
import { specStores, type SpecStore } from '#testing';
import { openTill, type Tenant, type Till } from '#testing/till';
import {
  usageBy,
  usageGroups,
  usageRecords,
  usageRow,
  type UsageGroup,
  type UsageRow,
  type UsageTotal,
} from './index.js';

const random = new SeededRandom('usage');
const NOON = Date.UTC(2026, 10, 21, 12);

describe.each(specStores)('usage reports, $name', ({ name, open }) => {
  let opened: SpecStore;
  let till: Till;
  let tenant: Tenant;
  let other: Tenant;
  beforeAll(async () => {
    opened = await open();
    till = await openTill(opened);
    tenant = await till.tenant('0');
    other = await till.tenant('0');
    await till.tx((tx) =>
      tx.insert(usageRecords, [
        record(tenant, NOON - HOUR, NOON, 10n, { jobId: 'job_a' }),
        record(tenant, NOON, NOON + HOUR / 2, 5n, { jobId: 'job_a', resource: 'A100 x1' }),
        record(tenant, NOON + HOUR / 2, NOON + DAY, 100n, { jobId: null }),
        record(tenant, NOON, NOON + 60_000, 0n, { jobId: 'job_a', meter: 'lines', quantity: 40n }),
        record(tenant, NOON, NOON + HOUR / 2, 3n, { jobId: 'job_b', projectId: 'prj_second' }),
        // Neither what a vendor is owed nor what somebody else used is this tenant's usage.
        record(tenant, NOON, NOON + HOUR / 2, 777n, { side: 'cost' }),
        record(other, NOON, NOON + HOUR / 2, 999n, {}),
      ]),
    );
  });
  afterAll(async () => opened.close());

  const report = (
    by: UsageGroup,
    more: { fromMs?: number; toMs?: number; projectIds?: readonly string[] | 'all' } = {},
  ): Promise<UsageTotal[]> =>
    till.tx((tx) =>
      usageBy(tx, {
        organizationId: tenant.organizationId,
        projectIds: 'all',
        fromMs: NOON - DAY,
        toMs: NOON + 2 * DAY,
        by,
        ...more,
      }),
    );
  it('are refused where they are more than anybody reads', async () => {
    const ask = (most: number) =>
      till.tx((tx) =>
        usageBy(tx, {
          organizationId: tenant.organizationId,
          projectIds: 'all',
          fromMs: NOON - DAY,
          toMs: NOON + 2 * DAY,
          by: 'job',
          most,
        }),
      );
    const all = await report('job');
    expect(all.length).toBeGreaterThan(2);
    expect(await ask(all.length)).toEqual(all);
    await expect(ask(all.length - 1)).rejects.toMatchObject({ kind: 'too-large', code: 'report-too-long' });
  });

  const amounts = (totals: UsageTotal[]): [string, string, bigint][] =>
    totals.map((t) => [t.group, t.meter, t.amountNano]);

  it('sum by the hour and by the day in which an interval ended', async () => {
    expect(amounts(await report('hour'))).toEqual([
      ['2026-11-21T11:00:00Z', 'lease-time', 10n],
      ['2026-11-21T12:00:00Z', 'lease-time', 8n],
      ['2026-11-21T12:00:00Z', 'lines', 0n],
      ['2026-11-22T11:00:00Z', 'lease-time', 100n],
    ]);
    expect(amounts(await report('day'))).toEqual([
      ['2026-11-21', 'lease-time', 18n],
      ['2026-11-21', 'lines', 0n],
      ['2026-11-22', 'lease-time', 100n],
    ]);
  });

  it('sum by job, idle time apart', async () => {
    expect(amounts(await report('job'))).toEqual([
      ['idle', 'lease-time', 100n],
      ['job_a', 'lease-time', 15n],
      ['job_a', 'lines', 0n],
      ['job_b', 'lease-time', 3n],
    ]);
  });

  it('sum by resource, quantities with their units', async () => {
    const totals = await report('resource');
    expect(totals.map((t) => [t.group, t.meter, t.quantity, t.unit])).toEqual([
      ['A100 x1', 'lease-time', BigInt(HOUR / 2), 'ms'],
      ['H100 x1', 'lease-time', BigInt(HOUR + DAY), 'ms'],
      ['H100 x1', 'lines', 40n, 'lines'],
    ]);
  });

  it('sum by project, and only those asked for', async () => {
    const first = tenant.projectId;
    expect(new Set((await report('project')).map((t) => t.group))).toEqual(new Set([first, 'prj_second']));
    expect(amounts(await report('project', { projectIds: ['prj_second'] }))).toEqual([
      ['prj_second', 'lease-time', 3n],
    ]);
    expect(await report('project', { projectIds: [] })).toEqual([]);
  });

  it.each(usageGroups)('come to the same sum by %s', async (by) => {
    expect((await report(by)).reduce((n, t) => n + t.amountNano, 0n)).toBe(118n);
  });

  it('of adjoining times add up: nothing is counted twice and nothing is lost', async () => {
    const cuts = [-DAY, 0, 30_000, HOUR / 4, HOUR / 2, 3 * HOUR, DAY, 2 * DAY].map((d) => NOON + d);
    let sum = 0n;
    let lines = 0n;
    for (let i = 1; i < cuts.length; i++) {
      const part = await report('resource', { fromMs: cuts[i - 1] ?? 0, toMs: cuts[i] ?? 0 });
      sum += part.reduce((n, t) => n + t.amountNano, 0n);
      lines += part.reduce((n, t) => (t.meter === 'lines' ? n + t.quantity : n), 0n);
    }
    expect([sum, lines]).toEqual([118n, 40n]);
  });

  it('show a tenant its own only, whatever it asks for', async () => {
    // The store in memory has no policies; the query itself is the one fence there.
    if (name === 'in memory') return;
    const asOther = await till.store.transaction(
      { as: 'tenant', organizationId: other.organizationId, projectIds: 'all' },
      (tx) =>
        usageBy(tx, {
          organizationId: tenant.organizationId,
          projectIds: 'all',
          fromMs: 0,
          toMs: NOON + 2 * DAY,
          by: 'job',
        }),
    );
    expect(asOther).toEqual([]);
  });
});

function record(tenant: Tenant, fromAt: number, toAt: number, amountNano: bigint, more: Partial<UsageRow>): UsageRow {
  const id = newId('usage', fromAt, random);
  return usageRow({
    id,
    key: id,
    ...tenant,
    leaseId: 'lease_spec',
    jobId: null,
    providerId: 'prv_spec',
    meter: 'lease-time',
    side: 'charge',
    resource: 'H100 x1',
    fromAt,
    toAt,
    quantity: BigInt(toAt - fromAt),
    unitPriceNano: 1n,
    amountNano,
    transactionId: null,
    createdAt: toAt,
    ...more,
  });
}

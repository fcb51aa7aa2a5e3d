import { describe, expect, it } from '@jest/globals';
import { chargeBetween, HOUR, usd } from '#kernel';
import { createJobSchema, workloadSchema } from '#contracts';
import { BROKER } from '#identity/audit';
import { placements } from '#market/placement';
import { reservationUses, type ReservationRow } from '#market/reservations';
import { usageRecords, type UsageRow } from '#money/metering';
import { WORKER } from '#platform/database';
import { cpuSku, openWorld, type World } from '#testing/world';
import { explainDay, leases, machineCost, type LeaseRow } from './index.js';

const DEAR = { ...cpuSku, name: 'cpu-dear', priceUsdPerHour: '1.00' };

const submit = (world: World, keepWarmS = 0) =>
  world.broker.jobs.submit({
    organizationId: world.organizationId,
    projectId: world.projectId,
    actor: WORKER,
    request: createJobSchema.parse({
      spec: { kind: 'command', command: ['true'] },
      keepWarmS,
      maxCost: '2000000000',
    }),
  });
const reserve = (world: World, machines: number, hours = 1_000): Promise<ReservationRow> =>
  world.store.transaction(WORKER, async (tx) => {
    const now = await tx.now();
    return world.broker.leases.reservations.add(tx, BROKER, {
      providerId: world.provider.id,
      machine: { sku: 'cpu-dear' },
      region: cpuSku.region,
      zone: null,
      machines,
      fromAt: now,
      untilAt: now + hours * HOUR,
      paidPerHour: usd('0.6'),
      note: 'one year',
    });
  });
const leasesOf = (world: World): Promise<LeaseRow[]> =>
  world.store.transaction(WORKER, (tx) => tx.find(leases, {}, { orderBy: [['id', 'asc']] }));
const records = (world: World, side: UsageRow['side']): Promise<UsageRow[]> =>
  world.store.transaction(WORKER, (tx) => tx.find(usageRecords, { side, meter: 'lease-time' }));
const sum = (rows: readonly UsageRow[]): bigint => rows.reduce((n, r) => n + r.amountNano, 0n);

describe('a machine that is reserved and paid for', () => {
  it('is taken before cheaper ones until all are, costs nothing more, and is free again at the end', async () => {
    const world = await openWorld({ skus: [cpuSku, DEAR] });
    await world.credit('25');
    const { id } = await reserve(world, 1);
    const jobs = [await submit(world), await submit(world)];
    await world.run(20_000);
    const [first, second] = await leasesOf(world);
    expect([first?.offer.sku, first?.reservationId, second?.offer.sku, second?.reservationId]).toEqual([
      'cpu-dear',
      id,
      'cpu-4x',
      null,
    ]);
    await world.run(240_000);
    for (const job of jobs) expect((await world.broker.jobs.get(WORKER, job.id)).state).toBe('succeeded');
    const costs = (await records(world, 'cost')).filter((r) => r.leaseId === first?.id);
    const free = costs.every((r) => r.source === 'reservation' && r.amountNano === 0n && r.unitPriceNano === 0n);
    expect([costs.length > 0, free]).toEqual([true, true]);
    expect(costs[0]?.quantity).toBeGreaterThan(0n);
    expect(await world.store.transaction(WORKER, (tx) => tx.find(reservationUses, {}))).toEqual([]);
    const [lease] = await leasesOf(world);
    if (!lease) throw new Error('the lease is gone');
    expect([lease.state, machineCost(lease, world.clock.now())]).toEqual(['ended', 0n]);
    const decisions = await world.store.transaction(WORKER, (tx) =>
      tx.find(placements, { id: lease.placementId ?? '' }),
    );
    // The tenant reads it: what its price is made from, and nothing of how many the broker has or others use.
    const told = decisions[0]?.decision;
    expect(told?.candidates[0]?.offer.sku).toBe('cpu-dear');
    expect(told?.candidates[0]?.reasons.join(' ')).toContain('A machine that the broker has reserved.');
    expect(BigInt(told?.candidates[0]?.cost.compute ?? 0)).toBeGreaterThan(0n);
    expect(told?.candidates[0]?.cost.compute).toBe(told?.candidates[1]?.cost.compute);
    expect(JSON.stringify(told)).not.toMatch(/marginal|1 of 1|free\b/);
    expect(world.failures).toEqual([]);
  });

  it('costs its tenant the price as ever where nothing cheaper was there', async () => {
    const world = await openWorld({ skus: [DEAR] });
    await world.credit('25');
    await reserve(world, 1);
    await submit(world);
    await world.run(240_000);
    const [lease] = await leasesOf(world);
    // The margin of the provider is 10 %.
    expect([lease?.chargePerHour, lease?.basisPerHour]).toEqual([usd('1.1'), null]);
    expect(sum(await records(world, 'charge'))).toBeGreaterThan(0n);
    expect(sum(await records(world, 'cost'))).toBe(0n);
  });

  it('costs its tenant no more than what would have been taken otherwise, and the day says so', async () => {
    const world = await openWorld({ skus: [cpuSku, DEAR] });
    await world.credit('25');
    await reserve(world, 1);
    await submit(world);
    await world.run(240_000);
    const [lease] = await leasesOf(world);
    expect([lease?.offer.sku, lease?.basisPerHour, lease?.chargePerHour]).toEqual([
      'cpu-dear',
      usd('0.4'),
      usd('0.44'),
    ]);
    const tenant = { as: 'tenant', organizationId: world.organizationId, projectIds: 'all' } as const;
    const day = await world.store.transaction(WORKER, (tx) => explainDay(tx, tenant, Date.UTC(2026, 10, 21)));
    expect(day.hours.flatMap((h) => h.lines).find((l) => l.meter === 'lease-time')?.why).toBe(
      '$0.44 an hour; what the work would have cost elsewhere, below the price of this machine',
    );
  });

  it('is left alone for work that is not finished when the reservation ends', async () => {
    const world = await openWorld({ skus: [cpuSku, DEAR] });
    await world.credit('25');
    await reserve(world, 1, 0.01);
    await submit(world);
    await world.run(10_000);
    expect((await leasesOf(world)).map((l) => [l.offer.sku, l.reservationId])).toEqual([['cpu-4x', null]]);
  });

  it('is the one that wins by its price anyway, for as long as the reservation lasts', async () => {
    const world = await openWorld({ skus: [DEAR] });
    await world.credit('25');
    const { id } = await reserve(world, 1, 0.02);
    await submit(world);
    await world.run(240_000);
    const [lease] = await leasesOf(world);
    expect([lease?.reservationId, lease?.basisPerHour, lease?.chargePerHour]).toEqual([id, null, usd('1.1')]);
    const reserved = (await records(world, 'cost')).filter((r) => r.source === 'reservation');
    expect([reserved.length > 0, sum(reserved)]).toEqual([true, 0n]);
    expect(world.failures).toEqual([]);
  });

  it('is the one that a quote is for, at the quoted price', async () => {
    const world = await openWorld({ skus: [DEAR] });
    await world.credit('25');
    const of = { organizationId: world.organizationId, projectId: world.projectId };
    const { quote } = await world.broker.quotes.make(WORKER, { ...of, workload: workloadSchema.parse({}) });
    const { id } = await reserve(world, 1);
    const request = createJobSchema.parse({ spec: { kind: 'command', command: ['true'] }, quoteId: quote.id });
    await world.broker.jobs.submit({ ...of, actor: WORKER, request });
    await world.run(240_000);
    const [lease] = await leasesOf(world);
    expect([lease?.reservationId, lease?.basisPerHour, lease?.chargePerHour]).toEqual([id, null, quote.chargePerHour]);
    expect(sum(await records(world, 'cost'))).toBe(0n);
    expect(world.failures).toEqual([]);
  });

  it('costs its price from the moment at which the reservation is ended', async () => {
    const world = await openWorld({ skus: [DEAR] });
    await world.credit('25');
    const { id } = await reserve(world, 1);
    await submit(world, 600);
    await world.run(180_000);
    const ended = await world.store.transaction(WORKER, async (tx) => {
      const row = await world.broker.leases.reservations.end(tx, BROKER, id);
      expect(await world.broker.leases.endReserved(tx, row)).toBe(1);
      return row;
    });
    await world.run(900_000);
    const [lease] = await leasesOf(world);
    if (lease?.bootedAt == null || lease.costThrough === null) throw new Error('the machine has not ended');
    expect([lease.state, lease.reservedUntil]).toEqual(['ended', ended.untilAt]);
    const costs = (await records(world, 'cost')).sort((a, b) => a.fromAt - b.fromAt);
    const after = chargeBetween(usd('1'), ended.untilAt, ended.untilAt, lease.costThrough);
    expect(after).toBeGreaterThan(0n);
    expect([sum(costs), machineCost(lease, world.clock.now())]).toEqual([after, after]);
    // Without a gap, from the boot on.
    const through = costs.reduce((at, r) => (r.fromAt === at ? r.toAt : NaN), lease.bootedAt);
    expect(through).toBe(lease.costThrough);
    expect(costs.every((r) => (r.source === 'reservation') === r.toAt <= ended.untilAt)).toBe(true);
    expect(world.failures).toEqual([]);
  });

  it('is not kept warm at a price that was lowered for the work it did', async () => {
    const world = await openWorld({ skus: [cpuSku, DEAR] });
    await world.credit('25');
    await reserve(world, 1);
    await submit(world, 600);
    await world.run(200_000);
    const [lease] = await leasesOf(world);
    expect([lease?.offer.sku, lease?.basisPerHour, lease?.want]).toEqual(['cpu-dear', usd('0.4'), 'release']);
    const warm = await world.store.transaction(WORKER, (tx) => world.broker.leases.warm(tx, world.projectId));
    expect([warm, (await world.store.transaction(WORKER, (tx) => tx.find(reservationUses, {}))).length]).toEqual([
      [],
      0,
    ]);
    expect(world.failures).toEqual([]);
  });

  it('costs nothing for the rest of the vendor’s step where its use ended within the reservation', async () => {
    const billing = { minimumS: 3_600, incrementS: 3_600 };
    const world = await openWorld({ skus: [DEAR], settings: { billing } });
    await world.credit('25');
    const { id } = await reserve(world, 1);
    await submit(world);
    await world.run(10_000);
    const untilAt = world.clock.now() + 1_800_000;
    await world.store.transaction(WORKER, (tx) => world.broker.leases.endReserved(tx, { id, untilAt }));
    await world.run(240_000);
    const [lease] = await leasesOf(world);
    expect([lease?.state, lease?.reservedUntil]).toEqual(['ended', untilAt]);
    const costs = await records(world, 'cost');
    expect([costs.length > 0, sum(costs), costs.filter((r) => r.source !== 'reservation')]).toEqual([true, 0n, []]);
    expect(lease?.costThrough).toBeLessThan(untilAt);
    expect(world.failures).toEqual([]);
  });

  it('gives way to a machine of the project that is warm', async () => {
    const world = await openWorld({ skus: [cpuSku, DEAR] });
    await world.credit('25');
    await submit(world, 3_000);
    await world.run(180_000);
    await reserve(world, 1);
    const second = await submit(world);
    await world.run(60_000);
    expect((await world.broker.jobs.get(WORKER, second.id)).state).toBe('succeeded');
    expect((await leasesOf(world)).map((l) => l.offer.sku)).toEqual(['cpu-4x']);
  });
});

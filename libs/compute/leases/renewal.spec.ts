import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { chargeBetween, ManualClock } from '#kernel';
import { MemoryStore, WORKER } from '#platform/database';
import { openWorld } from '#testing/world';
import { createJobSchema } from '#contracts';
import { account, balancesBefore } from '#money/ledger';
import { holds, renewalOf } from '#money/quotas';
import { usageRecords } from '#money/metering';
import { events } from '#platform/reconcile';
import { burn, defaultLeaseTimes, graceUntil, leases, renewalFor } from './index.js';

const times = defaultLeaseTimes;
const rate = 3_600_000_000n;

describe('the charge of a lease beyond its hold', () => {
  it('is bounded by one renewal and the grace, whatever comes late', () => {
    const looks = fc.array(
      fc.record({
        afterMs: fc.oneof(fc.integer({ min: 1, max: 90_000 }), fc.integer({ min: 1, max: 3 * 3_600_000 })),
        meter: fc.boolean(),
      }),
      { minLength: 1, maxLength: 60 },
    );
    fc.assert(
      fc.property(
        looks,
        fc.bigInt({ min: 1n, max: 20n * rate }),
        fc.integer({ min: 1, max: 7_200_000 }),
        (steps, perHour, capMs) => {
          let now = 0;
          let through = 0;
          // The carve of a new lease, and what the job's hold has besides.
          let left = burn(perHour, times.holdAheadMs + times.meterEveryMs);
          let parent = burn(perHour, capMs);
          const whole = left + parent;
          const bound = burn(perHour, times.renewEveryMs + times.graceMs);
          let charged = 0n;
          let exposure = 0n;
          for (const { afterMs, meter } of steps) {
            now += afterMs;
            const before = left;
            const wanted = renewalOf(left, renewalFor({ chargePerHour: perHour, chargedThrough: through }, now, times));
            const moved = wanted < parent ? wanted : parent;
            parent -= moved;
            left += moved;
            if (!meter) continue;
            const due = chargeBetween(perHour, 0, through, now);
            const paid = due < left ? due : left;
            expect(paid - before).toBeLessThanOrEqual(bound);
            left -= paid;
            charged += paid;
            exposure += due - paid;
            through = now;
          }
          expect(charged).toBeLessThanOrEqual(whole);
          expect(charged + left + parent).toBe(whole);
          expect(charged + exposure).toBe(chargeBetween(perHour, 0, 0, through));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('is nothing, and the broker bears nothing, while renewals and looks come in time', () => {
    fc.assert(
      fc.property(fc.integer({ min: 61_000, max: 7_200_000 }), (capMs) => {
        let parent = burn(rate, capMs);
        let left = burn(rate, times.holdAheadMs + times.meterEveryMs);
        let until: number | null = null;
        let through = 0;
        for (let now = 20_000; ; now += 20_000) {
          if (until !== null && until <= now) now = until;
          const wanted = renewalOf(left, renewalFor({ chargePerHour: rate, chargedThrough: through }, now, times));
          const moved = wanted < parent ? wanted : parent;
          parent -= moved;
          left += moved;
          const stop = until !== null && now >= until;
          if (stop || now % 60_000 === 0) {
            const due = chargeBetween(rate, 0, through, now);
            expect(due).toBeLessThanOrEqual(left);
            left -= due;
            through = now;
            until = graceUntil({ chargePerHour: rate, graceUntil: until }, left + parent, now, times);
          }
          if (stop) break;
        }
        // It has used what it was given but for the last seconds.
        expect(left + parent).toBeLessThan(burn(rate, 70_000));
      }),
    );
  });
});

describe('grace', () => {
  const lease = { chargePerHour: rate, graceUntil: null };
  it('begins when the money does not last beyond the next look and a grace', () => {
    expect(graceUntil(lease, burn(rate, 180_000), 0, times)).toBeNull();
    expect(graceUntil(lease, burn(rate, 179_000), 0, times)).toBe(120_000);
  });
  it('ends before the money does, and at once where there is none', () => {
    expect(graceUntil(lease, burn(rate, 50_000), 1_000, times)).toBe(1_000 + 46_000);
    expect(graceUntil(lease, 0n, 1_000, times)).toBe(1_000);
  });
  it('is not put off by looking again', () => {
    expect(graceUntil({ ...lease, graceUntil: 90_000 }, burn(rate, 179_000), 60_000, times)).toBe(90_000);
  });
  it('never begins where nothing is charged', () => {
    expect(graceUntil({ chargePerHour: 0n, graceUntil: null }, 0n, 0, times)).toBeNull();
  });
});

describe('a running lease', () => {
  const start = async (maxCost: string) => {
    const clock = new ManualClock(Date.UTC(2026, 10, 21));
    const world = await openWorld({ clock, store: new MemoryStore(clock) });
    // Agents hold their work for ever, so that leases last.
    world.broker.work.desired = () => Promise.resolve([]);
    await world.credit('25');
    await world.broker.jobs.submit({
      organizationId: world.organizationId,
      projectId: world.projectId,
      actor: WORKER,
      request: createJobSchema.parse({ spec: { kind: 'command', command: ['sleep'] }, maxCost, timeoutS: 86_400 }),
    });
    return world;
  };
  const read = <T>(world: Awaited<ReturnType<typeof start>>, work: Parameters<typeof world.store.transaction<T>>[1]) =>
    world.store.transaction(WORKER, work);

  it('holds about a minute ahead of its time, not all that its job may cost', async () => {
    const world = await start('5000000000');
    await world.run(600_000);
    await world.broker.renewHolds();
    const [lease] = await read(world, (tx) => tx.find(leases, { state: 'ready' }));
    if (!lease) throw new Error('no lease is ready');
    const part = await read(world, (tx) => tx.first(holds, { id: lease.holdId ?? '' }));
    const now = world.clock.now();
    const past = burn(lease.chargePerHour, now - (lease.chargedThrough ?? now));
    expect(part?.remainingNano).toBeGreaterThanOrEqual(past + burn(lease.chargePerHour, times.holdAheadMs));
    expect(part?.remainingNano).toBeLessThanOrEqual(past + burn(lease.chargePerHour, 2 * times.holdAheadMs));
    expect(await read(world, (tx) => tx.first(holds, { id: lease.holdId ?? '' }))).toEqual(part);
  });

  it('is told, waits out its grace and stops before its job’s cap is overrun, at nobody’s cost but the tenant’s', async () => {
    const world = await start('20000000');
    await world.run(3_600_000);
    const [lease] = await read(world, (tx) => tx.find(leases, {}, { orderBy: [['id', 'asc']] }));
    expect([lease?.state, lease?.endReason]).toEqual(['ended', 'unpaid']);
    const told = await read(world, (tx) => tx.find(events, { subjectId: lease?.id ?? '', type: 'lease.grace' }));
    expect(told).toHaveLength(1);
    const usage = await read(world, (tx) => tx.find(usageRecords, { side: 'charge' }));
    const charged = usage.reduce((n, u) => n + u.amountNano, 0n);
    expect(charged).toBeLessThanOrEqual(20_000_000n);
    expect(charged).toBeGreaterThan(15_000_000n);
    const lost = await read(world, (tx) => balancesBefore(tx, null, [account.exposure]));
    expect(lost.get(account.exposure) ?? 0n).toBe(0n);
    expect(world.failures).toEqual([]);
  });
});

import { describe, expect, it } from '@jest/globals';
import { usd } from '#kernel';
import { expectedCost, timeTerms, type ExpectedCost, type TimeTerms } from './cost.js';
import { beliefOf } from '../columns/narrow-beliefs.js';
import type { PlacementContext } from '../context.js';
import { demandOf } from '../fit/demand.js';
import { contextWith, offerWith, perfect, priorsOf, workloadWith } from '../placement.fixture.js';
import type { Offer, WorkloadInput } from '#contracts';
import type { Reliability } from '#market/reliability';

interface Case {
  readonly offer?: Partial<Offer>;
  readonly workload?: WorkloadInput;
  readonly reliability?: Partial<Reliability>;
  readonly context?: Partial<PlacementContext>;
  readonly hours?: number;
}

function costOf(c: Case): { time: TimeTerms; cost: ExpectedCost } {
  const offer = offerWith(c.offer);
  const context = contextWith({ reliability: priorsOf({ ...perfect, ...c.reliability }), ...c.context });
  const time = timeTerms(
    context,
    demandOf(workloadWith(c.workload)),
    offer,
    (c.hours ?? 1) * 3_600,
    beliefOf(context, offer),
  );
  return { time, cost: expectedCost(time, Number(offer.pricePerHour), offer.confidence) };
}

const nothing = {
  restarts: 0n,
  failedStarts: 0n,
  coldStart: 0n,
  billingWaste: 0n,
  egress: 0n,
  storage: 0n,
  timeValue: 0n,
  risk: 0n,
};

describe('expectedCost, by hand', () => {
  it('is price times time on a perfect machine', () => {
    const { cost, time } = costOf({ hours: 2.5, workload: { objective: 'cheapest' } });
    expect(cost).toEqual({ ...nothing, compute: usd('5'), total: usd('5') });
    expect(time).toMatchObject({ expectedS: 9_000, p90S: 9_000, losses: 0 });
  });

  it('stays a number where a large gang of a place in which next to nothing starts is asked for', () => {
    const { cost, time } = costOf({
      workload: { nodes: 128 },
      reliability: { startFailureP: 0.999, failedStartS: 60 },
      context: {
        reliability: {
          ...priorsOf({ ...perfect, startFailureP: 0.999, failedStartS: 60 }),
          gang: { steady: { exponent: 1, batches: 9 } },
        },
      },
    });
    expect(Number.isFinite(time.expectedS)).toBe(true);
    expect(time.expectedS).toBeGreaterThan(365 * 86_400);
    expect(cost.failedStarts).toBe(0n);
    expect(cost.timeValue > usd('30000')).toBe(true);
  });

  it('loses machines as Daly says: 6 intervals of 600 s at 1 per hour, each restart 300 s of which 120 are billed', () => {
    const { cost, time } = costOf({
      workload: { objective: 'cheapest', checkpointS: 600 },
      reliability: {
        hazardPerHourByAge: [{ untilH: Infinity, perHour: 1 }],
        bootS: 240,
        bootBilledS: 120,
        detectS: 60,
      },
      context: {},
    });
    const losses = 6 * Math.expm1(1 / 6);
    const runningH = losses;
    expect(time.losses).toBeCloseTo(losses, 9);
    expect(time.expectedS).toBeCloseTo(240 + runningH * 3_600 + losses * 300, 6);
    expect(cost.compute).toBe(usd('2'));
    expect(Number(cost.restarts)).toBeCloseTo(2e9 * (runningH - 1 + losses / 30), 0);
    expect(cost.coldStart).toBe(usd('0.066666667'));
    // Whole seconds are billed; a lost lease wastes half of one on average.
    expect(Number(cost.billingWaste) / ((2e9 / 3_600) * losses * 0.5)).toBeCloseTo(1, 3);
  });

  it('pays failed starts before every start that works: p/(1-p) of them', () => {
    const { cost, time } = costOf({
      workload: { objective: 'cheapest' },
      reliability: { startFailureP: 0.25, failedStartS: 90, failedStartBilledS: 36 },
    });
    expect(time.failuresPerStart).toBeCloseTo(1 / 3, 12);
    expect(cost.failedStarts).toBe(usd('0.006666667'));
    expect(time.expectedS).toBeCloseTo(3_630, 9);
  });

  it('bills the vendor minimum and whole increments', () => {
    const waste = (hours: number, minimumS: number, incrementS: number): bigint =>
      costOf({ hours, offer: { billing: { minimumS, incrementS } } }).cost.billingWaste;
    expect(waste(1.5, 0, 3_600)).toBe(usd('1'));
    expect(waste(2, 0, 3_600)).toBe(0n);
    expect(waste(0.5, 7_200, 60)).toBe(usd('3'));
    expect(waste(0.5, 0, 0)).toBe(0n);
  });

  it('adds egress by kind of provider or its own price, the value of time and the charge for doubt', () => {
    const { cost } = costOf({ workload: { egressGB: 100 }, offer: { confidence: 0.5 } });
    expect(cost.egress).toBe(usd('9'));
    expect(cost.timeValue).toBe(usd('2'));
    // Half of all the money spent ($11) is in doubt, and "balanced" charges half of that.
    expect(cost.risk).toBe(usd('2.75'));
    expect(cost.total).toBe(usd('15.75'));
    expect(costOf({ workload: { egressGB: 100 }, offer: { providerKind: 'bare-metal' } }).cost.egress).toBe(0n);
    expect(costOf({ workload: { egressGB: 100 }, offer: { providerId: 'gcp' } }).cost.egress).toBe(usd('12'));
    expect(costOf({ workload: { egressGB: 100 }, offer: { providerId: 'toString' } }).cost.egress).toBe(usd('9'));
  });

  it('pays for data kept until the work is finished, once for the whole gang', () => {
    const kept = (over: Partial<Offer>, nodes = 1): bigint =>
      costOf({ hours: 730, offer: over, workload: { storageGB: 50, nodes, checkpointS: 604_800 } }).cost.storage;
    expect(kept({})).toBe(usd('4'));
    expect(kept({}, 4)).toBe(usd('4'));
    expect(kept({ providerKind: 'bare-metal' })).toBe(0n);
  });

  it('pays every machine of a gang, and loses it n^0.4 times as often', () => {
    const reliability = { hazardPerHourByAge: [{ untilH: Infinity, perHour: 1e-3 }] };
    const one = costOf({ reliability });
    const gang = costOf({ reliability, workload: { nodes: 16 } });
    expect(gang.cost.compute).toBe(one.cost.compute * 16n);
    expect(gang.time.losses / one.time.losses).toBeCloseTo(16 ** 0.4, 2);
    const steady = { exponent: 0.7, batches: 12 };
    const learnt = { ...priorsOf({ ...perfect, ...reliability }), gang: { steady } };
    const worse = costOf({ context: { reliability: learnt }, workload: { nodes: 16 } });
    expect(worse.time.losses / one.time.losses).toBeCloseTo(16 ** 0.7, 1);
    expect(worse.time.gang).toBe(steady);
    // What steady machines taught says nothing of spot machines.
    const spot = costOf({ context: { reliability: learnt }, workload: { nodes: 16 }, offer: { pricing: 'spot' } });
    expect(spot.time.gang).toEqual({ exponent: 0.4, batches: 0 });
  });

  it('goes to the perfect machine as the hazard goes to zero', () => {
    const at = (perHour: number): bigint =>
      costOf({ hours: 100, reliability: { hazardPerHourByAge: [{ untilH: Infinity, perHour }], bootS: 600 } }).cost
        .total;
    const limit = at(0);
    expect(Number(at(1e-9) - limit) / Number(limit)).toBeLessThan(1e-3);
    expect(at(1e-14) - limit).toBeLessThan(usd('0.001'));
    expect(at(1e-2) > at(1e-3) && at(1e-3) > limit).toBe(true);
  });

  it('never finishes work whose checkpoints are far apart against the hazard', () => {
    const { time } = costOf({
      hours: 200,
      workload: { checkpointS: 604_800 },
      reliability: { hazardPerHourByAge: [{ untilH: Infinity, perHour: 2 }] },
    });
    expect(time.p90S).toBe(Infinity);
  });
});

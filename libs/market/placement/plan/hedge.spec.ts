import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Offer } from '#contracts';
import { usd } from '#kernel';
import { rankList } from '../columns/rank.js';
import type { RankedOffer } from '../columns/ranking.js';
import { contextWith, offerWith, perfect, priorsOf, workloadWith } from '../placement.fixture.js';
import { bootQuantiles, hedgeOf } from './hedge.js';
import { planOf } from './view.js';
import { planDefaults, planTries } from './plan.js';

function ranked(over: Partial<Offer>, r: Partial<typeof perfect>): RankedOffer {
  const context = contextWith({ reliability: priorsOf({ ...perfect, ...r }) });
  const [found] = rankList([offerWith(over)], workloadWith(), context).ranked;
  if (!found) throw new Error('it does not fit');
  return found;
}

const slow = { bootS: 1_500, bootBilledS: 150 };
const quick = { bootS: 60, bootBilledS: 30 };

describe('a second start', () => {
  it('never pays where waiting is worth nothing, and says what it would cost', () => {
    const hedge = hedgeOf(ranked({}, slow), ranked({}, quick), 0);
    expect(hedge).toMatchObject({ afterS: null, worthNano: 0n });
    expect(hedge.costNano).toBeGreaterThan(0n);
  });

  it('pays at once where minutes are dear and the second comes sooner, and costs the billed boot of the first', () => {
    const hedge = hedgeOf(ranked({ pricePerHour: usd('2.4') }, slow), ranked({}, quick), 100);
    expect(hedge.afterS).toBe(0);
    expect(hedge.likely).toBeCloseTo(1);
    expect(hedge.savesS).toBeCloseTo(1_440, -2);
    // 150 s of $2.40 an hour.
    expect(hedge.costNano).toBe(usd('0.1'));
    expect(Number(hedge.worthNano) / 1e9).toBeCloseTo((hedge.savesS * 100) / 3_600, 1);
  });

  it('waits for the machines that are late where most come in time', () => {
    const likely = hedgeOf(ranked({}, { bootS: 300, startFailureP: 0.02, failedStartS: 3_000 }), ranked({}, slow), 2);
    expect(likely.afterS).toBeGreaterThan(0);
    expect(likely.likely).toBeLessThan(0.9);
  });

  it('pays the vendor’s least time of the start that is let go', () => {
    const hour = { billing: { minimumS: 3_600, incrementS: 60 } };
    const hedge = hedgeOf(ranked({}, slow), ranked({ ...hour, pricePerHour: usd('7') }, slow), 2);
    expect(hedge.costNano).toBeGreaterThan(usd('0.1'));
    expect(hedge.afterS).toBeNull();
  });

  it('pays exactly when it is worth more than it costs, and never later where time is worth more', () => {
    const reliability = fc.record({
      bootS: fc.integer({ min: 1, max: 3_000 }),
      bootBilledS: fc.integer({ min: 0, max: 600 }),
      startFailureP: fc.constantFrom(0, 0.05, 0.4),
      failedStartS: fc.integer({ min: 1, max: 900 }),
      failedStartBilledS: fc.constantFrom(0, 60),
    });
    fc.assert(
      fc.property(reliability, reliability, fc.integer({ min: 0, max: 200 }), fc.nat(200), (a, b, value, more) => {
        const [first, second] = [ranked({}, a), ranked({ pricePerHour: usd('5') }, b)];
        const hedge = hedgeOf(first, second, value);
        expect(hedge.afterS !== null).toBe(hedge.worthNano > hedge.costNano);
        expect(hedge.likely >= 0 && hedge.likely <= 1 + 1e-9 && hedge.savesS >= 0).toBe(true);
        const dearer = hedgeOf(first, second, value + more);
        if (hedge.afterS !== null) expect(dearer.afterS ?? Infinity).toBeLessThanOrEqual(hedge.afterS);
      }),
    );
  });

  it('believes boots log-normal around the believed mean', () => {
    const { p50S, p90S } = bootQuantiles(ranked({}, { bootS: 420 }));
    expect(p50S).toBeLessThan(420);
    expect(p90S / p50S).toBeCloseTo(1.898, 2);
  });
});

describe('a plan', () => {
  const kinds = ['decentralized', 'bare-metal', 'hyperscaler'] as const;
  const market = kinds.map((providerKind, i) =>
    offerWith({ id: providerKind, providerKind, providerId: providerKind, pricePerHour: usd(String(i + 1)) }),
  );

  it('has each try with its domain and the chance that it fails, and what stands behind the first kind', () => {
    const plan = planOf(rankList(market, workloadWith(), contextWith()));
    expect(plan.tries.map((t) => [t.rank, t.domain])).toEqual([
      [1, 'decentralized/us-east1'],
      [2, 'bare-metal/us-east1'],
      [3, 'hyperscaler/us-east1'],
    ]);
    expect(plan.tries.map((t) => t.startFails)).toEqual([0.15, 0.05, 0.05]);
    expect(plan.tries.map((t) => t.hedge?.with)).toEqual(['bare-metal', 'hyperscaler', undefined]);
    expect(plan.fallback).toEqual([
      { providerKind: 'serverless', rank: null },
      { providerKind: 'bare-metal', rank: 2 },
      { providerKind: 'hyperscaler', rank: 3 },
    ]);
  });

  it('is empty where nothing fits', () => {
    expect(planOf(rankList([], workloadWith(), contextWith())).tries).toEqual([]);
  });

  it('leaves the domain of what failed before, for an offer within the premium', () => {
    const offers = [
      offerWith({ id: 'east', pricePerHour: usd('2') }),
      offerWith({ id: 'west', region: 'west', pricePerHour: usd('2.2') }),
      offerWith({ id: 'far', region: 'far', pricePerHour: usd('9') }),
    ];
    const { ranked: list } = rankList(offers, workloadWith(), contextWith());
    const failed = { providerId: 'acme', region: 'us-east1' };
    expect(planTries(list)[0]?.offer.id).toBe('east');
    expect(planTries(list, planDefaults, [failed])[0]?.offer.id).toBe('west');
    expect(planTries(list, planDefaults, [failed, { ...failed, region: 'west' }])[0]?.offer.id).toBe('east');
  });
});

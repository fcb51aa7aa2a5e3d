import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { explanationSchema, type CostTerms, type Offer, type Workload } from '#contracts';
import { usd } from '#kernel';
import { rankList } from '../columns/rank.js';
import { mergeRankings } from '../columns/merge.js';
import type { PlacementContext } from '../context.js';
import { beliefOf } from '../columns/narrow-beliefs.js';
import { agedConfidence, expectedCost, spentOf, timeTerms } from '../cost/cost.js';
import { demandOf, usefulTime } from '../fit/demand.js';
import { costFailures, dimensionsIn, offerFailures } from '../fit/filter.js';
import { anyContext, anyOffers, anyWorkload, contextWith, offerWith, workloadWith } from '../placement.fixture.js';
import { explanationOf } from './explanation.js';

const work = { kind: 'wall-hours', hours: 10 } as const;

/** Cost and failures of one offer, asked of the offer alone: every dimension, where `rank.ts` stops at the first. */
function alone(context: PlacementContext, workload: Workload, offer: Offer) {
  const demand = demandOf(workload);
  const failing = offerFailures(context, demand, offer);
  const usefulS = usefulTime(context.speeds, demand, offer);
  if (usefulS === null) return { offer, failing: dimensionsIn(failing), total: null };
  const time = timeTerms(context, demand, offer, usefulS, beliefOf(context, offer));
  const price = Number(offer.pricePerHour);
  const cost = expectedCost(time, price, agedConfidence(context, offer.confidence, offer.observedAtMs));
  const byCost = costFailures(demand, time.machines, price, Number(spentOf(cost)), time.p90S);
  return { offer, failing: dimensionsIn(failing | byCost), total: time.p90S === Infinity ? null : cost.total };
}

describe('near misses, over any offers and workloads', () => {
  it('are the offers that fail in one dimension only, with the cheapest of them', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, (offers, workload, context) => {
        const { nearMisses } = rankList(offers, workload, context);
        const single = offers.map((offer) => alone(context, workload, offer)).filter((x) => x.failing.length === 1);
        const counts: Record<string, number> = {};
        for (const { failing } of single) counts[failing[0] ?? ''] = (counts[failing[0] ?? ''] ?? 0) + 1;
        expect(Object.fromEntries(nearMisses.map((m) => [m.dimension, m.offers]))).toEqual(counts);
        for (const { dimension, nearest } of nearMisses) {
          const [cheapest] = single
            .flatMap((x) =>
              x.failing[0] === dimension && x.total !== null ? [{ id: x.offer.id, total: x.total }] : [],
            )
            .sort((a, b) => (a.total === b.total ? (a.id < b.id ? -1 : 1) : a.total < b.total ? -1 : 1));
          expect(nearest && { id: nearest.offer.id, total: nearest.cost.total }).toEqual(cheapest ?? null);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('are the same whether the offers are ranked together or in two parts', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, fc.nat(60), (offers, workload, context, cut) => {
        const whole = rankList(offers, workload, context);
        const parts = mergeRankings(
          rankList(offers.slice(0, cut), workload, context),
          rankList(offers.slice(cut), workload, context),
          context.limit,
        );
        expect(explanationOf(parts)).toEqual(explanationOf(whole));
      }),
    );
  });
});

describe('an explanation', () => {
  it('is valid, and its differences are those of the costs, adding up term by term', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, (offers, workload, context) => {
        const ranking = rankList(offers, workload, context);
        const said = explanationSchema.parse(explanationOf(ranking));
        const winner = ranking.ranked[0];
        expect(said.runnerUp?.offer.id).toBe(ranking.ranked[1]?.offer.id);
        for (const other of [said.runnerUp, said.cheaperListed]) {
          if (!other || !winner) continue;
          const { total, ...terms } = other.difference;
          expect(BigInt(total)).toBe(BigInt(other.cost.total) - winner.cost.total);
          expect(BigInt(total) >= 0n).toBe(true);
          expect(Object.values(terms).reduce((sum, nano) => sum + BigInt(nano), 0n)).toBe(BigInt(total));
          for (const [term, nano] of Object.entries(terms))
            expect(BigInt(nano)).toBe(
              BigInt(other.cost[term as keyof CostTerms]) - winner.cost[term as keyof CostTerms],
            );
        }
      }),
    );
  });

  it('names an offer that is cheaper by list price if, and only if, there is one that fits', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, (offers, workload, base) => {
        const all = rankList(offers, workload, { ...base, limit: 100 });
        const few = rankList(offers, workload, { ...base, limit: 2 });
        const [winner, ...others] = all.ranked;
        const first = others.find((r) => r.offer.pricePerHour < (winner?.offer.pricePerHour ?? 0n));
        expect(explanationOf(all).cheaperListed?.offer.id).toBe(first?.offer.id);
        const found = explanationOf(few).cheaperListed;
        expect(found === null).toBe(first === undefined);
        if (found && winner) expect(BigInt(found.offer.pricePerHour) < winner.offer.pricePerHour).toBe(true);
      }),
    );
  });

  const steady = offerWith({ id: 'steady', pricePerHour: usd('2') });
  const spot = offerWith({ id: 'spot', pricing: 'spot', pricePerHour: usd('1.9') });

  it('says by which terms an offer with a lower list price is dearer', () => {
    const said = explanationOf(rankList([steady, spot], workloadWith({ work }), contextWith()));
    expect(said.cheaperListed).toMatchObject({ rank: 2, offer: { id: 'spot' } });
    expect(said.cheaperListed?.because).toMatch(
      /^\$0\.10 per hour cheaper by list price, yet it counts \$\d+\.\d\d more in all: \$.* for uncertainty.*; less is \$1\.00 for computing\.$/,
    );
    expect(said.cheaperListed?.because).toContain('for lost work and its reboots');
  });

  it('says so of equal costs', () => {
    const twin = { ...steady, id: 'twin' };
    const said = explanationOf(rankList([twin, steady], workloadWith({ work }), contextWith()));
    expect(said.runnerUp?.because).toMatch(/^The same list price; it counts the same in all/);
    expect(said.runnerUp?.difference.total).toBe('0');
  });

  it('tells where a near miss would rank, what it would cost, and what to change', () => {
    const eu = { ...steady, id: 'eu', region: 'eu-west1', pricePerHour: usd('1') };
    const dearEu = { ...eu, id: 'eu2', pricePerHour: usd('9') };
    const capped = { ...steady, id: 'capped', pricePerHour: usd('3') };
    const workload = workloadWith({
      work,
      constraints: { regions: ['us-east1'], maxPricePerHour: usd('2.5').toString() },
    });
    const said = explanationOf(rankList([dearEu, capped, steady, eu], workload, contextWith()));
    expect(said.nearMisses.map((m) => [m.dimension, m.offers, m.nearest?.offer.id, m.nearest?.wouldRank])).toEqual([
      ['region', 1, 'eu', 1],
      ['price-cap', 1, 'capped', 2],
    ]);
    expect(said.nearMisses.map((m) => m.change)).toEqual([
      'allow other regions',
      'raise the price cap to $3.00 per hour',
    ]);
  });

  it('does not guess a rank behind the candidates that were kept', () => {
    const eu = { ...steady, id: 'eu', region: 'eu-west1', pricePerHour: usd('9') };
    const three = ['2', '3', '4'].map((p, i) => ({ ...steady, id: `o${i}`, pricePerHour: usd(p) }));
    const workload = workloadWith({ work, constraints: { regions: ['us-east1'] } });
    const rank = (limit: number) =>
      explanationOf(rankList([...three, eu], workload, contextWith({ limit }))).nearMisses[0]?.nearest?.wouldRank;
    expect([rank(3), rank(2)]).toEqual([4, null]);
  });

  it('is empty-handed where nothing competes', () => {
    expect(explanationOf(rankList([steady], workloadWith({ work }), contextWith()))).toEqual({
      runnerUp: null,
      cheaperListed: null,
      nearMisses: [],
    });
  });
});

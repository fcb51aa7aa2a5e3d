import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { usd } from '#kernel';
import type { Offer, WorkloadInput } from '#contracts';
import { defaultPriors } from '#market/reliability';
import {
  anyContext,
  anyOffers,
  anyWorkload,
  contextWith,
  offerWith,
  priorsOf,
  workloadWith,
} from '../placement.fixture.js';
import { rankingView } from '../explain/view.js';
import { rankList } from './rank.js';

const all = <T extends object>(context: T): T & { limit: number } => ({ ...context, limit: 1_000 });

describe('rankings over any offers and workloads', () => {
  it('never put an offer higher when its price goes up', () => {
    fc.assert(
      fc.property(
        anyOffers,
        anyWorkload,
        anyContext,
        fc.nat(),
        fc.integer({ min: 1, max: 400 }),
        (offers, w, c, at, up) => {
          if (offers.length === 0) return;
          const dearer = offers.map((o, i) =>
            i === at % offers.length
              ? { ...o, pricePerHour: o.pricePerHour + (o.pricePerHour * BigInt(up)) / 100n + 1n }
              : o,
          );
          const id = offers[at % offers.length]?.id;
          const rankOf = (list: readonly Offer[]): number => {
            const place = rankList(list, w, all(c)).ranked.findIndex((r) => r.offer.id === id);
            return place < 0 ? Infinity : place;
          };
          expect(rankOf(dearer)).toBeGreaterThanOrEqual(rankOf(offers));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('change in nothing but the count when an offer that is rejected joins', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, (offers, workload, context) => {
        const rejected = { ...offerWith({ doubts: ['no such price'], pricePerHour: 1n }), id: 'a-rejected-one' };
        const before = rankList(offers, workload, context);
        const after = rankList([rejected, ...offers], workload, context);
        expect(after.ranked).toEqual(before.ranked);
        expect(after.fitting).toBe(before.fitting);
        expect(after.considered).toBe(before.considered + 1);
      }),
      { numRuns: 100 },
    );
  });

  it('never gain candidates from needing newer software, a minimum of memory or fewer ways of pricing', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, (offers, workload, context) => {
        const ids = (w: typeof workload): string[] => rankList(offers, w, all(context)).ranked.map((r) => r.offer.id);
        const before = new Set(ids(workload));
        const stricter = [
          { ...workload, needs: { computeCapability: '8.0' } },
          { ...workload, minRamGiB: 80 },
          { ...workload, constraints: { ...workload.constraints, pricing: ['spot' as const] } },
        ];
        for (const w of stricter.filter((s) => !workload.constraints.pricing || s.constraints === workload.constraints))
          for (const id of ids(w)) expect(before.has(id)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});

describe('reservations that are paid for', () => {
  const reserved = offerWith({ id: 'reserved', pricing: 'reserved-1y', stock: 8 });
  const market = offerWith({ id: 'market', pricePerHour: usd('3') });
  const best = (nodes: number, remainingMachines: number): string | undefined => {
    const fabric = { ...reserved.interconnect, interNode: 'infiniband' as const, interNodeGbps: 400 };
    const offers = [reserved, market].map((o) => ({ ...o, interconnect: fabric }));
    const context = contextWith({ owned: [{ offerId: 'reserved', remainingMachines }] });
    return rankList(offers, workloadWith({ nodes }), context).ranked[0]?.offer.id;
  };

  it('cost nothing until they are full, then the next price counts', () => {
    expect(best(1, 1)).toBe('reserved');
    expect(best(4, 4)).toBe('reserved');
    expect(best(4, 3)).toBe('market');
    expect(best(1, 0)).toBe('market');
    const view = rankingView(
      rankList([reserved], workloadWith(), contextWith({ owned: [{ offerId: 'reserved', remainingMachines: 1 }] })),
    );
    expect(view.candidates[0]?.cost).toMatchObject({ compute: '0', billingWaste: '0' });
  });
});

describe('what being late costs', () => {
  const spot = offerWith({ id: 'spot', pricing: 'spot', pricePerHour: usd('1') });
  const steady = offerWith({ id: 'steady', pricePerHour: usd('2') });
  const best = (lateness?: WorkloadInput['lateness']): string | undefined =>
    rankList(
      [spot, steady],
      workloadWith({
        work: { kind: 'wall-hours', hours: 10 },
        objective: 'cheapest',
        ...(lateness ? { lateness } : {}),
      }),
      contextWith({ reliability: defaultPriors }),
    ).ranked[0]?.offer.id;

  it('moves work to steady machines where spot is likely to be late, and not where there is time', () => {
    expect(best()).toBe('spot');
    expect(best({ afterS: 10.5 * 3_600, dollarsPerHour: 100 })).toBe('steady');
    expect(best({ afterS: 100 * 3_600, dollarsPerHour: 100 })).toBe('spot');
  });

  it('is the whole delay where even a smooth run is late, and nothing before', () => {
    const late = (afterS: number): number => {
      const perfect = { ...defaultPriors.byKind.hyperscaler.steady, startFailureP: 0, bootS: 0 };
      const reliability = priorsOf({ ...perfect, hazardPerHourByAge: [{ untilH: Infinity, perHour: 0 }] });
      const workload = workloadWith({ lateness: { afterS, dollarsPerHour: 60 }, objective: 'cheapest' });
      return rankList([steady], workload, contextWith({ reliability })).ranked[0]?.time.lateS ?? NaN;
    };
    expect(late(3_000)).toBeCloseTo(600, 6);
    expect(late(3_600)).toBe(0);
  });
});

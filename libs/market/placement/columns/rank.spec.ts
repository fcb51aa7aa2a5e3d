import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { placementView, rejectionDimensions, type Offer, type Workload } from '#contracts';
import { usd } from '#kernel';
import { defaultPriors } from '#market/reliability';
import { expectedCost, spentOf, timeTerms } from '../cost/cost.js';
import { demandOf, usefulTime } from '../fit/demand.js';
import { dimensionsIn, offerFailures } from '../fit/filter.js';
import { buildOfferIndex } from './catalog-index.js';
import { beliefOf } from './narrow-beliefs.js';
import { rankInSlices, rankList, rankOffers, SLICE } from './rank.js';
import type { Ranking } from './ranking.js';
import {
  anyContext,
  anyOffers,
  anyWorkload,
  contextWith,
  learntScopes,
  NOW,
  offerWith,
  workloadWith,
} from '../placement.fixture.js';
import { rankingView } from '../explain/view.js';

const winner = (r: Ranking): string | undefined => r.ranked[0]?.offer.id;
const rejectedSum = (r: Ranking): number => Object.values(r.rejections).reduce((a, b) => a + b, 0);

/** Copies a workload with one constraint set tighter. */
const tightened = (w: Workload, wish: Partial<Workload['constraints']>): Workload => ({
  ...w,
  constraints: { ...w.constraints, ...wish },
});

describe('rankOffers, over any offers and workloads', () => {
  it('counts every offer once: considered = fitting + rejected', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, (offers, workload, context) => {
        const r = rankList(offers, workload, context);
        expect(r.considered).toBe(offers.length);
        expect(r.fitting + rejectedSum(r)).toBe(offers.length);
        expect(r.ranked.length).toBe(Math.min(r.fitting, context.limit));
      }),
    );
  });

  it('agrees with testing and costing each offer by itself', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, (offers, workload, context) => {
        const demand = demandOf(workload);
        const fits: { id: string; total: bigint }[] = [];
        const rejections: Record<string, number> = {};
        for (const offer of offers) {
          const usefulS = usefulTime(context.speeds, demand, offer);
          const first = dimensionsIn(offerFailures(context, demand, offer))[0];
          let reason: string | undefined = first;
          if (reason === undefined && usefulS !== null) {
            const time = timeTerms(context, demand, offer, usefulS, beliefOf(context, offer));
            const days = Math.floor((NOW - offer.observedAtMs) / 86_400_000);
            const confidence = offer.confidence * (context.scope === 'market' ? 0.5 ** (days / 365) : 1);
            const cost = expectedCost(time, Number(offer.pricePerHour), confidence);
            const { maxPricePerHour, maxTotal, deadlineS } = workload.constraints;
            if (maxPricePerHour && offer.pricePerHour * BigInt(workload.nodes) > BigInt(maxPricePerHour))
              reason = 'price-cap';
            else if (maxTotal && spentOf(cost) > BigInt(maxTotal)) reason = 'budget';
            else if (time.p90S > (deadlineS ?? Number.MAX_VALUE)) reason = 'deadline';
            else fits.push({ id: offer.id, total: cost.total });
          }
          if (reason) rejections[reason] = (rejections[reason] ?? 0) + 1;
        }
        fits.sort((a, b) => (a.total === b.total ? (a.id < b.id ? -1 : 1) : a.total < b.total ? -1 : 1));
        const r = rankList(offers, workload, context);
        expect(r.rejections).toEqual(rejections);
        const found = r.ranked.map((x) => ({ id: x.offer.id, total: x.cost.total }));
        expect(found).toEqual(fits.slice(0, context.limit));
      }),
      { numRuns: 300 },
    );
  });

  it('adds the terms up to the total exactly, none negative, and is a valid view', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, (offers, workload, context) => {
        const view = rankingView(rankList(offers, workload, context));
        for (const { cost, scores } of view.candidates) {
          const { total, ...terms } = cost;
          const values = Object.values(terms).map(BigInt);
          expect(values.reduce((a, b) => a + b, 0n).toString()).toBe(total);
          expect(values.every((v) => v >= 0n)).toBe(true);
          for (const s of Object.values(scores)) expect(s >= 0 && s <= 100).toBe(true);
        }
        const stored = { id: 'pl_00000000000000000000000000', createdAt: new Date(NOW).toISOString(), ...view };
        expect(placementView.parse(stored).candidates.map((c) => c.rank)).toEqual(view.candidates.map((_, i) => i + 1));
      }),
    );
  });

  it('does not depend on the order of the offers', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, fc.infiniteStream(fc.nat()), (offers, workload, base, keys) => {
        const context = { ...base, limit: 5 };
        const shuffled = offers
          .map((o) => ({ o, k: keys.next().value as number }))
          .sort((a, b) => a.k - b.k)
          .map((x) => x.o);
        expect(rankingView(rankList(shuffled, workload, context))).toEqual(
          rankingView(rankList(offers, workload, context)),
        );
      }),
    );
  });

  it('keeps its winner when a worse offer joins', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, fc.nat(), (offers, workload, context, at) => {
        const before = rankList(offers, workload, context);
        const some = offers[at % Math.max(1, offers.length)];
        fc.pre(some !== undefined && before.fitting > 0);
        const best = before.ranked[0];
        const worse: Offer = {
          ...(best?.offer as Offer),
          id: 'zzz',
          pricePerHour: (best?.offer.pricePerHour ?? 0n) + 1_000_000_000n,
        };
        expect(winner(rankList([worse, ...offers], workload, context))).toBe(winner(before));
      }),
    );
  });

  it('never fits more when a constraint is tightened', () => {
    const wishes: Partial<Workload['constraints']>[] = [
      { regions: ['eu-west1'] },
      { countries: ['DE'] },
      { providers: ['acme'] },
      { excludeProviders: ['acme', 'cumulus'] },
      { providerKinds: ['bare-metal'] },
      { pricing: ['on-demand'] },
      { certifications: ['hipaa', 'soc2'] },
      { maxPricePerHour: '1000000000' },
      { maxTotal: '1000000000' },
      { deadlineS: 3_000 },
    ];
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, fc.constantFrom(...wishes), (offers, base, context, wish) => {
        const key = Object.keys(wish)[0] as keyof Workload['constraints'];
        const { [key]: _, ...rest } = base.constraints;
        const free = { ...base, constraints: rest };
        const tight = tightened(free, wish);
        expect(rankList(offers, tight, context).fitting).toBeLessThanOrEqual(rankList(offers, free, context).fitting);
      }),
    );
  });

  it('costs more when the price goes up', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, fc.integer({ min: 1_000_000, max: 1_000_000_000 }), (offers, base, more) => {
        const workload = { ...base, constraints: {} };
        const before = rankList(offers, workload, contextWith({ limit: 100 }));
        const dearer = offers.map((o) => ({ ...o, pricePerHour: o.pricePerHour + BigInt(more) }));
        const after = rankList(dearer, workload, contextWith({ limit: 100 }));
        const totals = new Map(before.ranked.map((r) => [r.offer.id, r.cost.total]));
        expect(after.fitting).toBe(before.fitting);
        for (const r of after.ranked) expect(r.cost.total > (totals.get(r.offer.id) ?? r.cost.total)).toBe(true);
      }),
    );
  });

  it('never shows an offer that is doubtful, foreign, stale, out of stock or (where that counts) only listed', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, (offers, workload, context) => {
        for (const { offer } of rankList(offers, workload, context).ranked) {
          expect(offer.doubts).toEqual([]);
          expect(offer.stock === null || offer.stock >= workload.nodes).toBe(true);
          if (offer.via.kind === 'warm-lease') expect(offer.via.projectId).toBe(context.projectId);
          if (context.scope === 'rentable') {
            expect(offer.status).toBe('rentable');
            expect(NOW - offer.observedAtMs).toBeLessThanOrEqual(30 * 60_000);
          }
        }
      }),
    );
  });

  it('says what to change exactly when nothing fits', () => {
    fc.assert(
      fc.property(anyOffers, anyWorkload, anyContext, (offers, workload, context) => {
        const r = rankList(offers, workload, context);
        expect(r.hints.length > 0).toBe(r.fitting === 0);
      }),
    );
  });
});

describe('rankOffers, by example', () => {
  it('takes a slower GPU with NVSwitch before a faster one on PCIe for 8-GPU work at the same price (row D7)', () => {
    const work = { kind: 'gpu-hours', hours: 24, reference: 'A100-80GB-SXM' } as const;
    const pcie = offerWith({
      id: 'pcie',
      accelerator: 'A100-80GB-PCIe',
      count: 8,
      interconnect: { intraNode: 'pcie4', intraNodeGBps: 64, interNode: 'unknown', interNodeGbps: null },
    });
    const slowerOnSwitch = offerWith({ id: 'switch', accelerator: 'A100-40GB-SXM', vramGiB: 40, count: 8 });
    const eight = rankList([pcie, slowerOnSwitch], workloadWith({ accelerator: { count: 8 }, work }), contextWith());
    const one = rankList([pcie, slowerOnSwitch], workloadWith({ accelerator: { count: 1 }, work }), contextWith());
    expect(eight.ranked.map((r) => r.offer.id)).toEqual(['switch', 'pcie']);
    expect(one.ranked.map((r) => r.offer.id)).toEqual(['pcie', 'switch']);
    const [first, second] = rankingView(eight).candidates;
    expect(first?.scores.interconnect).toBeGreaterThan(second?.scores.interconnect ?? 100);
  });

  it('believes the link of the offer before the usual one of the accelerator', () => {
    const work = { kind: 'gpu-hours', hours: 24, reference: 'A100-80GB-SXM' } as const;
    const linked = offerWith({ id: 'b', count: 8, accelerator: 'A100-80GB-SXM' });
    const unlinked = { ...linked, id: 'a', interconnect: { ...linked.interconnect, intraNode: 'pcie4' as const } };
    const r = rankList([linked, unlinked], workloadWith({ accelerator: { count: 8 }, work }), contextWith());
    expect(r.ranked.map((x) => x.offer.id)).toEqual(['b', 'a']);
    expect(r.ranked[0]?.time.usefulS).toBeCloseTo(86_400, 6);
    // 312 TFLOPS over 64 GB/s against 600, in a ring of eight.
    const lost = (gbps: number): number => 1 + 0.05 * 1.75 * (312 / gbps);
    expect(r.ranked[1]?.time.usefulS).toBeCloseTo((86_400 * lost(64)) / lost(600), 3);
  });

  it('orders equal costs by id', () => {
    const offers = ['c', 'a', 'b'].map((id) => offerWith({ id }));
    const r = rankList(offers, workloadWith(), contextWith({ limit: 2 }));
    expect(r.ranked.map((x) => x.offer.id)).toEqual(['a', 'b']);
  });

  it('counts an offer under its first failing dimension in the order of the contract', () => {
    const bad = offerWith({ status: 'listed', count: 1, doubts: ['x'], region: 'nowhere' });
    const workload = workloadWith({ accelerator: { count: 8 }, constraints: { regions: ['us-east1'] } });
    expect(rankList([bad], workload, contextWith({ scope: 'rentable' })).rejections).toEqual({ 'not-rentable': 1 });
    expect(rankList([bad], workload, contextWith()).rejections).toEqual({ count: 1 });
    expect(rejectionDimensions.indexOf('not-rentable')).toBeLessThan(rejectionDimensions.indexOf('count'));
  });

  it('lets a gang onto known fabrics only', () => {
    const on = (interNode: Offer['interconnect']['interNode'], interNodeGbps: number | null): number =>
      rankList(
        [offerWith({ interconnect: { intraNode: 'nvswitch', intraNodeGBps: 600, interNode, interNodeGbps } })],
        workloadWith({ accelerator: { count: 1 }, nodes: 4 }),
        contextWith(),
      ).fitting;
    expect([on('unknown', 400), on('ethernet', 25), on('ethernet', null)]).toEqual([0, 0, 0]);
    expect([on('ethernet', 100), on('infiniband', null), on('efa', null), on('roce', 200)]).toEqual([1, 1, 1, 1]);
  });

  it('takes cheap spot for long checkpointed work, and steady machines when a loss throws everything away', () => {
    const steady = offerWith({ id: 'steady' });
    const spot = offerWith({ id: 'spot', pricing: 'spot', pricePerHour: usd('1') });
    const work = { kind: 'wall-hours', hours: 24 } as const;
    const of = (checkpointS: number): string | undefined =>
      winner(rankList([steady, spot], workloadWith({ work, checkpointS }), contextWith()));
    expect(of(600)).toBe('spot');
    expect(of(86_400)).toBe('steady');
  });

  it('does not take a reservation for an hour of work, and does for its whole term', () => {
    const steady = offerWith({ id: 'steady' });
    const reserved = offerWith({ id: 'reserved', pricing: 'reserved-1y', pricePerHour: usd('1') });
    const of = (hours: number): string | undefined =>
      winner(rankList([steady, reserved], workloadWith({ work: { kind: 'wall-hours', hours } }), contextWith()));
    expect(of(1)).toBe('steady');
    expect(of(8_760)).toBe('reserved');
    const onDemand = workloadWith({
      work: { kind: 'wall-hours', hours: 8_760 },
      constraints: { pricing: ['on-demand'] },
    });
    const limited = rankList([steady, reserved], onDemand, contextWith());
    expect([winner(limited), limited.rejections]).toEqual(['steady', { pricing: 1 }]);
  });

  it('goes by the objective: the fast machine for fastest, the cheap one for cheapest', () => {
    const slow = offerWith({ id: 'slow', accelerator: 'T4', vramGiB: 16, pricePerHour: usd('0.2') });
    const fast = offerWith({ id: 'fast', accelerator: 'H100-SXM', pricePerHour: usd('6') });
    const work = { kind: 'gpu-hours', hours: 10, reference: 'T4' } as const;
    const of = (objective: Workload['objective']): string | undefined =>
      winner(rankList([slow, fast], workloadWith({ accelerator: { count: 1 }, work, objective }), contextWith()));
    expect(of('cheapest')).toBe('slow');
    expect(of('fastest')).toBe('fast');
  });

  it('prefers an own warm lease to booting the same machine', () => {
    const cold = offerWith({ id: 'cold' });
    const warm = offerWith({ id: 'warm', via: { kind: 'warm-lease', leaseId: 'lease_1', projectId: 'prj_a' } });
    const r = rankList([cold, warm], workloadWith(), contextWith({ projectId: 'prj_a' }));
    expect(winner(r)).toBe('warm');
    expect(r.ranked[0]?.cost.coldStart).toBe(0n);
    expect(rankList([cold, warm], workloadWith(), contextWith({ projectId: 'prj_b' })).rejections).toEqual({
      'not-rentable': 1,
    });
  });

  it('takes no limit on age in a market preview, but believes old prices less and says so', () => {
    const old = offerWith({ id: 'old', observedAtMs: NOW - 365 * 86_400_000 });
    const view = rankingView(rankList([old, offerWith({ id: 'new' })], workloadWith(), contextWith()));
    expect(view.candidates.map((c) => c.offer.id)).toEqual(['new', 'old']);
    expect(view.candidates[1]?.reasons.join(' ')).toContain('seen 365 d ago (list) and is believed at 50 %');
    expect(rankList([old], workloadWith(), contextWith({ scope: 'rentable' })).rejections).toEqual({ stale: 1 });
  });
});

describe('rankInSlices', () => {
  it('comes to the same answer as in one go, and pauses once per slice', async () => {
    const offers = Array.from({ length: 2 * SLICE + 1 }, (_, i) =>
      offerWith({ id: `offer-${i}`, pricePerHour: usd(String(1 + ((i * 7_919) % 1_000))) }),
    );
    const index = buildOfferIndex(offers);
    const workloads = [workloadWith(), workloadWith({ accelerator: { count: 2 } })];
    for (const workload of workloads) {
      let pauses = 0;
      const pause = async (): Promise<void> => {
        pauses++;
        await Promise.resolve();
      };
      const sliced = await rankInSlices(index, workload, contextWith({ limit: 7 }), pause);
      const whole = rankOffers(index, workload, contextWith({ limit: 7 }));
      expect(rankingView(sliced)).toEqual(rankingView(whole));
      // Nothing fits two accelerators: the offers are looked at once more for hints.
      expect(pauses).toBe(whole.fitting > 0 ? 2 : 4);
    }
  });
});

describe('what was seen of a region, SKU or host', () => {
  const context = contextWith({ reliability: { ...defaultPriors, byScope: learntScopes } });
  const failing = (over: Partial<Offer>): number =>
    rankList([offerWith(over)], workloadWith(), context).ranked[0]?.time.reliability.startFailureP ?? NaN;

  it('counts as narrowly as it was seen, and says so', () => {
    expect(failing({ region: 'ap-south1' })).toBe(0.3);
    expect(failing({ region: 'eu-west1' })).toBe(0.1);
    expect(failing({ sku: 'another' })).toBe(0.4);
    expect(failing({ pricing: 'reserved-1y' })).toBe(0.5);
    expect(failing({})).toBe(0.6);
    expect(failing({ via: { kind: 'host', hostId: 'host_1' } })).toBe(0.9);
    expect(failing({ via: { kind: 'host', hostId: 'host_2' } })).toBe(0.6);
    expect(failing({ providerId: 'borealis' })).toBe(defaultPriors.byKind.hyperscaler.steady.startFailureP);
    const told = rankList([offerWith()], workloadWith(), context);
    expect(rankingView(told).candidates[0]?.reasons.join(' ')).toContain('60 % of starts fail (seen in a spec)');
  });

  it('puts the region where starts work before a slightly cheaper one where they do not', () => {
    const offers = [
      offerWith({ id: 'bad' }),
      offerWith({ id: 'good', region: 'eu-west1', pricePerHour: usd('2.0001') }),
    ];
    expect(winner(rankList(offers, workloadWith(), contextWith()))).toBe('bad');
    expect(winner(rankList(offers, workloadWith(), context))).toBe('good');
  });
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { usd } from '#kernel';
import type { ReliabilityPriors } from '#market/reliability';
import { contextWith, offerWith, workloadWith } from '../placement.fixture.js';
import { failureDomain, planTries } from '../plan/plan.js';
import { rankList } from '../columns/rank.js';
import { rankingView } from './view.js';
import { duration } from './words.js';

describe('reasons', () => {
  const work = { kind: 'wall-hours', hours: 10 } as const;
  const view = rankingView(
    rankList(
      [
        offerWith({ id: 'a', sku: 'big', count: 8, pricePerHour: usd('16') }),
        offerWith({ id: 'b', pricing: 'spot', pricePerHour: usd('4'), stock: 3 }),
      ],
      workloadWith({ work, accelerator: { count: 1 } }),
      contextWith(),
    ),
  );
  const [spot, big] = view.candidates;

  it('tell the money, the machine, the losses and the starts with figures', () => {
    const text = spot?.reasons.join('\n') ?? '';
    expect(text).toMatch(/^\$\d+\.\d\d expected for the finished work: \$40\.00 for computing, \$/);
    expect(text).toContain('1 x A100-80GB-SXM at $4.00 per hour (spot) for 10 h of useful work.');
    expect(text).toMatch(/\d\.\d\d losses of the machine expected/);
    expect(text).toContain('35 % of starts fail (three public spot records, 2020-2025).');
    expect(text).toMatch(/The next, big in us-east1 \(acme\), counts \$\d+\.\d\d more \(\d+ %\)/);
  });

  it('name idle accelerators, and the scores show them', () => {
    expect(big?.reasons.join(' ')).toContain('7 of them stay idle');
    expect(big?.scores.gpuFit).toBe(13);
    expect(spot?.scores).toMatchObject({ gpuFit: 100, interconnect: 100, price: 100 });
    expect(big?.scores.reliability).toBeGreaterThan(spot?.scores.reliability ?? 100);
  });
});

describe('the reason for a gang', () => {
  const fabric = { intraNode: 'nvlink', intraNodeGBps: 600, interNode: 'infiniband', interNodeGbps: 400 } as const;
  const offers = [
    offerWith({ id: 'a', interconnect: fabric }),
    offerWith({ id: 'b', interconnect: fabric, pricing: 'spot', pricePerHour: usd('4') }),
  ];
  const reasonsOf = (nodes: number, gang?: ReliabilityPriors['gang']): string[] =>
    rankingView(
      rankList(
        offers,
        workloadWith({ nodes, work: { kind: 'wall-hours', hours: 1 } }),
        contextWith({ reliability: { ...contextWith().reliability, ...(gang ? { gang } : {}) } }),
      ),
    ).candidates.map((c) => c.reasons.find((r) => r.includes('times as often as one')) ?? '');

  it('says how much oftener it is lost, and where that is from', () => {
    const prior =
      '16 machines of one zone are lost 3.0 times as often as one (from the public record of 16 H100 that ran side by side).';
    expect(reasonsOf(16)).toEqual([prior, prior]);
    expect(reasonsOf(1)).toEqual(['', '']);
    const learnt = reasonsOf(16, { spot: { exponent: 0.5, batches: 12 } });
    expect(learnt).toHaveLength(2);
    expect(learnt).toContain(prior);
    expect(learnt).toContain(
      '16 machines of one zone are lost 4.0 times as often as one (learnt from 12 losses of machines that ran side by side).',
    );
    expect(reasonsOf(16, { steady: { exponent: 0.5, batches: 1 } }).join(' ')).toContain(
      'learnt from 1 loss of machines',
    );
  });
});

describe('hints', () => {
  const offers = [
    offerWith({ id: 'a', region: 'eu-west1', pricePerHour: usd('3.009') }),
    offerWith({ id: 'b', region: 'eu-west1', pricePerHour: usd('9') }),
    offerWith({ id: 'c', region: 'us-east1', pricePerHour: usd('1'), accelerator: 'T4', vramGiB: 16 }),
  ];

  it('give the single constraint that lets most in first, with its figure', () => {
    const workload = workloadWith({
      accelerator: { count: 1, models: ['A100'] },
      constraints: { regions: ['eu-west1'], maxPricePerHour: usd('2').toString() },
    });
    expect(rankList(offers, workload, contextWith()).hints).toEqual([
      'Raise the price cap to $3.01 per hour: then the first of 2 offers fits.',
    ]);
  });

  it('name what cannot be had together, with the figure that would do', () => {
    const workload = workloadWith({
      accelerator: { count: 1, models: ['A100'] },
      constraints: { regions: ['eu-west1'], maxPricePerHour: usd('2').toString() },
    });
    expect(rankList(offers, workload, contextWith()).contradictions).toEqual([
      '1 x A100 with a price cap of $2.00 per hour: the cheapest match is $3.01 per hour.',
    ]);
    const fits = workloadWith({ accelerator: { count: 1, models: ['A100'] } });
    expect(rankList(offers, fits, contextWith()).contradictions).toEqual([]);
  });

  it('put the mildest change first, however few offers it lets in', () => {
    const near = [...offers, offerWith({ id: 'd', region: 'ap', pricePerHour: usd('2') })];
    const workload = workloadWith({
      accelerator: { count: 1, models: ['A100'] },
      constraints: { regions: ['eu-west1'], maxPricePerHour: usd('2.9').toString() },
    });
    const { hints, contradictions } = rankList(near, workload, contextWith());
    expect(hints[0]).toBe('Raise the price cap to $3.01 per hour: then the first of 2 offers fits.');
    expect(hints[1]).toBe('Allow other regions: then 1 offer fits.');
    expect(contradictions[1]).toBe('1 x A100 with regions eu-west1: the nearest match is in ap.');
  });

  it('name the model where it is what is in the way', () => {
    const workload = workloadWith({
      accelerator: { count: 1, models: ['A100'] },
      constraints: { regions: ['us-east1'] },
    });
    const { contradictions } = rankList(offers.slice(2), workload, contextWith());
    expect(contradictions).toEqual(['1 accelerator with the model A100: the nearest match has T4.']);
  });

  it('speak of machines without accelerators as of machines', () => {
    const interconnect = { ...offerWith().interconnect, interNode: 'infiniband', interNodeGbps: 400 } as const;
    const workload = workloadWith({ nodes: 4, constraints: { maxPricePerHour: '1' } });
    const { contradictions } = rankList([offerWith({ interconnect })], workload, contextWith());
    expect(contradictions[0]).toMatch(/^4 machines with a price cap/);
  });

  it('say nothing of a contradiction where no wish is in the way', () => {
    const doubted = offers.map((o) => ({ ...o, doubts: ['not plausible'] }));
    const { hints, contradictions } = rankList(doubted, workloadWith(), contextWith());
    expect([hints, contradictions]).toEqual([
      ['Wait for a new observation (what was seen of them is in doubt): then 3 offers fit.'],
      [],
    ]);
  });

  it('say that work which nobody lives to see done is never finished, in place of a price beyond all amounts', () => {
    const slow = offerWith({ accelerator: 'CPU', acceleratorVendor: 'cpu', count: 0, vcpus: 1e-9 });
    const workload = workloadWith({
      work: { kind: 'gpu-hours', hours: 1e7, reference: 'H100' },
      lateness: { afterS: 0, dollarsPerHour: 1e6 },
    });
    const { ranked, hints, contradictions } = rankList([slow], workload, contextWith());
    expect([ranked.length, hints]).toEqual([
      0,
      ['Take shorter checkpoints or less work: it would never be finished there: then 1 offer fits.'],
    ]);
    expect(contradictions).toEqual([
      'A machine with that much work and these checkpoints: no match would ever finish it.',
    ]);
  });

  it('go on to pairs only when no single change helps', () => {
    const workload = workloadWith({
      accelerator: { count: 4, models: ['A100'] },
      constraints: { regions: ['us-east1'] },
    });
    expect(rankList(offers, workload, contextWith()).hints).toEqual([
      'Ask for fewer than 4 accelerators per machine, and allow other regions: then 2 offers fit.',
      'Allow other accelerators than A100, and ask for fewer than 4 accelerators per machine: then 1 offer fits.',
    ]);
  });

  it('name the budget and the deadline that would do', () => {
    const tight = (constraints: object): readonly string[] =>
      rankList([offers[1] ?? offerWith()], workloadWith({ constraints }), contextWith()).hints;
    expect(tight({ maxTotal: '1000000000' })[0]).toMatch(/^Raise the budget to \$9\.\d\d: then 1 offer fits\.$/);
    expect(tight({ deadlineS: 60 })[0]).toMatch(/^Allow 1 h \d+ min until the deadline: then 1 offer fits\.$/);
  });

  it('give figures that do: whoever follows them gets an offer', () => {
    const market = [offers[0], offers[1], offerWith({ id: 'e', accelerator: 'H100-SXM', pricePerHour: usd('7') })].map(
      (o) => offerWith(o),
    );
    const work = { kind: 'gpu-hours', reference: 'A100-80GB-SXM' } as const;
    const amount = (text: string | undefined, what: string): bigint => {
      const found = new RegExp(`${what} to \\$([\\d,]+\\.\\d\\d)`).exec(text ?? '')?.[1];
      return usd((found ?? '').replaceAll(',', ''));
    };
    const seconds = (text: string | undefined): number => {
      const said = /allow (.+) until the deadline/i.exec(text ?? '')?.[1] ?? '';
      const units: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3_600, d: 86_400 };
      return [...said.matchAll(/(\d+) (s|min|h|d)\b/g)].reduce(
        (sum, [, n, unit]) => sum + Number(n) * (units[unit ?? ''] ?? 0),
        0,
      );
    };
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 2_000, noNaN: true }), (hours) => {
        const asked = { work: { ...work, hours }, accelerator: { count: 1 } };
        const fits = (constraints: object): number =>
          rankList(market, workloadWith({ ...asked, constraints }), contextWith()).fitting;
        const hintOf = (constraints: object): string | undefined =>
          rankList(market, workloadWith({ ...asked, constraints }), contextWith()).hints[0];
        expect(fits({ deadlineS: seconds(hintOf({ deadlineS: 1e-3 })) })).toBeGreaterThan(0);
        const money = hintOf({ maxPricePerHour: '1', maxTotal: '1' });
        const caps = {
          maxPricePerHour: String(amount(money, 'price cap')),
          maxTotal: String(amount(money, 'budget')),
        };
        expect(fits(caps)).toBeGreaterThan(0);
      }),
      { numRuns: 60 },
    );
  });

  it('say what to do in an empty market', () => {
    expect(rankList([], workloadWith(), contextWith()).hints).toHaveLength(1);
  });
});

describe('planTries', () => {
  const offersIn = (places: readonly [string, number][]) =>
    rankList(
      places.map(([region, price], i) => offerWith({ id: `o${i}`, region, pricePerHour: usd(String(price)) })),
      workloadWith(),
      contextWith(),
    ).ranked;

  it('goes to another region after the best one, and comes back later', () => {
    const ranked = offersIn([
      ['east', 2],
      ['east', 2.01],
      ['west', 2.1],
      ['east', 2.02],
    ]);
    expect(planTries(ranked).map((r) => r.offer.region)).toEqual(['east', 'west', 'east', 'east']);
  });

  it('does not change region at any price', () => {
    const ranked = offersIn([
      ['east', 2],
      ['east', 2.01],
      ['west', 20],
    ]);
    expect(planTries(ranked).map((r) => r.offer.region)).toEqual(['east', 'east', 'west']);
  });

  it('tries each candidate once, the best first, and at most as many as asked', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 1, max: 9 })), { maxLength: 15 }),
        fc.integer({ min: 1, max: 20 }),
        (places, tries) => {
          const ranked = offersIn(places);
          const plan = planTries(ranked, { tries, premium: 0.3 });
          expect(plan.length).toBe(Math.min(tries, ranked.length));
          expect(new Set(plan).size).toBe(plan.length);
          expect(plan[0]).toBe(ranked[0]);
        },
      ),
    );
  });

  it('names a failure domain by provider and region', () => {
    expect(failureDomain({ providerId: 'prv_a', region: 'r' })).toBe('prv_a/r');
  });
});

describe('duration', () => {
  it.each([
    [45, '45 s'],
    [3_600, '1 h'],
    [9_180, '2 h 33 min'],
    [719, '12 min'],
    [273_600, '3 d 4 h'],
  ])('%d s reads %s', (s, text) => {
    expect(duration(s)).toBe(text);
  });
});

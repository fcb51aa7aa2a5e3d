import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SeededRandom } from '#kernel';
import {
  durationOf,
  durationQuantileS,
  gangExponent,
  HALF_LIVES_H,
  noDurationEvidence,
  noGangEvidence,
  noProportionEvidence,
  noRateEvidence,
  observeDuration,
  observeBatch,
  observeRate,
  observeTrial,
  proportionOf,
  ratioOf,
  type GangEvidence,
  type ProportionEvidence,
  type RateEvidence,
} from './index.js';

const HOUR = 3_600_000;
const PRIOR = { ratio: 1, events: 0.7 };
const EVEN = { mean: 0.6, trials: 2 };

const times = fc.integer({ min: 0, max: 2_000 }).map((h) => h * HOUR);
const losses = fc.array(
  fc.record({
    atMs: times,
    events: fc.integer({ min: 0, max: 3 }),
    expected: fc.double({ min: 0, max: 20, noNaN: true }),
  }),
  { maxLength: 30 },
);
const trials = fc.array(fc.record({ atMs: times, isGood: fc.boolean() }), { maxLength: 30 });
const learnt = (seen: readonly { atMs: number; events: number; expected: number }[]): RateEvidence =>
  seen.reduce((e, s) => observeRate(e, s, PRIOR), noRateEvidence(0));
const tried = (seen: readonly { atMs: number; isGood: boolean }[]): ProportionEvidence =>
  seen.reduce((e, s) => observeTrial(e, s, EVEN), noProportionEvidence(0));

describe('a rate that is learnt', () => {
  it('stays positive and inside its own interval, and its beliefs sum to one, whatever is seen', () => {
    fc.assert(
      fc.property(losses, times, (seen, later) => {
        const e = learnt(seen);
        const p = ratioOf(e, e.atMs + later, PRIOR);
        expect(p.mean).toBeGreaterThan(0);
        expect(p.low).toBeGreaterThanOrEqual(0);
        expect(p.low).toBeLessThanOrEqual(p.mean);
        expect(p.high).toBeGreaterThanOrEqual(p.mean);
        expect(p.high).toBeLessThan(Infinity);
        expect(e.weights.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
        expect(Math.min(...e.weights)).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('is the same whatever the order of what was seen at one moment', () => {
    fc.assert(
      fc.property(losses, fc.integer(), (seen, seed) => {
        const now = seen.map((s) => ({ ...s, atMs: HOUR }));
        const turned = [
          ...now.slice(Math.abs(seed) % (now.length || 1)),
          ...now.slice(0, Math.abs(seed) % (now.length || 1)),
        ];
        const [a, b] = [ratioOf(learnt(now), HOUR, PRIOR), ratioOf(learnt(turned), HOUR, PRIOR)];
        // The share dealt out anew at the first of them makes the only difference.
        expect(b.mean).toBeCloseTo(a.mean, 6);
        expect(b.sampleSize).toBeCloseTo(a.sampleSize, 6);
      }),
    );
  });

  it('counts what comes late as if it had come in time', () => {
    const early = { atMs: 10 * HOUR, events: 2, expected: 1 };
    const late = { atMs: 30 * HOUR, events: 0, expected: 3 };
    const [a, b] = [learnt([early, late]), learnt([late, early])];
    HALF_LIVES_H.forEach((_, j) => {
      expect(b.events[j]).toBeCloseTo(a.events[j] ?? NaN, 9);
      expect(b.expected[j]).toBeCloseTo(a.expected[j] ?? NaN, 9);
    });
  });

  it('goes to the true rate with more evidence, and its interval narrows', () => {
    let e = noRateEvidence(0);
    const widths: number[] = [];
    for (let n = 1; n <= 200; n++) {
      // Three times as many losses as foreseen, once an hour's worth.
      e = observeRate(e, { atMs: 0, events: 3, expected: 1 }, PRIOR);
      if (n === 1 || n === 10 || n === 200) {
        const p = ratioOf(e, 0, PRIOR);
        widths.push(p.high - p.low);
      }
    }
    expect(ratioOf(e, 0, PRIOR).mean).toBeCloseTo(3, 1);
    expect(widths[1]).toBeLessThan((widths[0] ?? 0) / 2);
    expect(widths[2]).toBeLessThan((widths[1] ?? 0) / 2);
  });

  it('believes a new rate after it changed, though the old one was seen for longer', () => {
    let e = noRateEvidence(0);
    for (let h = 0; h < 400; h++) e = observeRate(e, { atMs: h * HOUR, events: 0, expected: 1 }, PRIOR);
    expect(ratioOf(e, e.atMs, PRIOR).mean).toBeLessThan(0.1);
    for (let h = 400; h < 430; h++) e = observeRate(e, { atMs: h * HOUR, events: 4, expected: 1 }, PRIOR);
    const mean = ratioOf(e, e.atMs, PRIOR).mean;
    expect(mean).toBeGreaterThan(3);
    expect(mean).toBeLessThan(5);
  });

  it('goes back towards the prior when nothing is seen for long', () => {
    const e = learnt([{ atMs: 0, events: 20, expected: 2 }]);
    const after = [0, 24, 24 * 30, 24 * 365].map((h) => ratioOf(e, h * HOUR, PRIOR).mean);
    for (let i = 1; i < after.length; i++) expect(after[i]).toBeLessThan(after[i - 1] ?? 0);
    expect(after.at(-1)).toBeLessThan((after[0] ?? 0) / 2);
  });
});

describe('a proportion that is learnt', () => {
  it('lies strictly between none and all, inside its interval', () => {
    fc.assert(
      fc.property(trials, times, (seen, later) => {
        const e = tried(seen);
        const p = proportionOf(e, e.atMs + later, EVEN);
        expect(p.low).toBeGreaterThan(0);
        expect(p.low).toBeLessThanOrEqual(p.mean);
        expect(p.mean).toBeLessThanOrEqual(p.high);
        expect(p.high).toBeLessThan(1);
        expect(p.sampleSize).toBeLessThanOrEqual(seen.length + 1e-9);
      }),
    );
  });

  it('is nowhere worse after a success than after a failure', () => {
    fc.assert(
      fc.property(trials, times, (seen, atMs) => {
        const e = tried(seen);
        const [good, bad] = [true, false].map((isGood) => observeTrial(e, { atMs, isGood }, EVEN));
        for (let j = 0; j < HALF_LIVES_H.length; j++) expect(good?.good[j]).toBeGreaterThanOrEqual(bad?.good[j] ?? NaN);
      }),
    );
  });

  it('narrows with trials and returns to what is believed of its like when they are old', () => {
    const few = tried(Array.from({ length: 4 }, (_, i) => ({ atMs: 0, isGood: i > 0 })));
    const many = tried(Array.from({ length: 400 }, (_, i) => ({ atMs: 0, isGood: i % 4 > 0 })));
    const width = (e: ProportionEvidence): number => proportionOf(e, 0, EVEN).high - proportionOf(e, 0, EVEN).low;
    expect(width(many)).toBeLessThan(width(few) / 4);
    const never = tried(Array.from({ length: 50 }, (_, i) => ({ atMs: i * HOUR, isGood: false })));
    const now = proportionOf(never, never.atMs, EVEN).mean;
    const later = proportionOf(never, never.atMs + 60 * 24 * HOUR, EVEN).mean;
    expect(now).toBeLessThan(0.1);
    expect(later).toBeGreaterThan(now + 0.1);
  });
});

describe('times to boot', () => {
  const prior = { medianS: 300, spread: 0.5, n: 2 };
  it('goes from the prior to what was seen, with quantiles in order', () => {
    let e = noDurationEvidence(0);
    expect(durationOf(e, 0, prior).medianS).toBeCloseTo(300, 6);
    for (let i = 0; i < 60; i++) e = observeDuration(e, { atMs: i * HOUR, seconds: i % 2 ? 90 : 110 });
    const d = durationOf(e, e.atMs, prior);
    expect(d.medianS).toBeGreaterThan(95);
    expect(d.medianS).toBeLessThan(110);
    expect(d.spread).toBeLessThan(0.35);
    expect(durationQuantileS(d, 1.28)).toBeGreaterThan(durationQuantileS(d, 0));
    expect(durationOf(e, e.atMs + 400 * 24 * HOUR, prior).medianS).toBeCloseTo(300, 3);
  });
});

describe('the exponent of gangs', () => {
  const seen = (batches: readonly { members: number; lost: number; atMs?: number }[]): GangEvidence =>
    batches.reduce((e, b) => observeBatch(e, { atMs: 0, ...b }), noGangEvidence(0));
  const many = (members: number, lost: number, n = 60): GangEvidence =>
    seen(Array.from({ length: n }, () => ({ members, lost })));

  it('is 0.4 before any was seen, and nothing is learnt from a machine alone or from no loss', () => {
    expect(gangExponent(noGangEvidence(0), 0)).toBeCloseTo(0.4, 2);
    const none = noGangEvidence(0);
    expect(observeBatch(none, { atMs: 5, members: 1, lost: 1 })).toBe(none);
    expect(observeBatch(none, { atMs: 5, members: 9, lost: 0 })).toBe(none);
  });

  it('comes to one where machines are lost one by one, to zero where all go at once, and to n^g = members / lost between', () => {
    expect(gangExponent(many(16, 1), 0)).toBeGreaterThan(0.9);
    expect(gangExponent(many(16, 16), 0)).toBeLessThan(0.1);
    // 16^0.25 = 2 and 16^0.75 = 8.
    expect(gangExponent(many(16, 8), 0)).toBeCloseTo(0.25, 1);
    expect(gangExponent(many(16, 2), 0)).toBeCloseTo(0.75, 1);
    expect(many(16, 2).batches).toBe(60);
  });

  it('is found again in a market that was made with it', () => {
    // Each batch takes each machine with p: n machines are lost (1 - (1-p)^n) / p times as often as one.
    const random = new SeededRandom(7);
    const taken = (p: number): number => Array.from({ length: 8 }, () => random.float() < p).filter(Boolean).length;
    for (const p of [0.05, 0.35, 0.9]) {
      const times = (1 - (1 - p) ** 8) / p;
      const batches = Array.from({ length: 3_000 }, () => ({ members: 8, lost: taken(p) }));
      expect(8 ** gangExponent(seen(batches), 0) / times).toBeCloseTo(1, 1);
    }
  });

  it('stays within 0 and 1, does not depend on the order at one moment, and is forgotten over months', () => {
    const batch = fc.integer({ min: 2, max: 500 }).chain((members) =>
      fc.record({
        members: fc.constant(members),
        lost: fc.integer({ min: 1, max: members }),
        atMs: fc.integer({ min: 0, max: 100 }).map((h) => h * HOUR),
      }),
    );
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 30 }), (batches) => {
        const g = gangExponent(seen(batches), 100 * HOUR);
        expect(g).toBeGreaterThanOrEqual(0);
        expect(g).toBeLessThanOrEqual(1);
        expect(gangExponent(seen(batches.toReversed()), 100 * HOUR)).toBeCloseTo(g, 6);
      }),
      { numRuns: 100 },
    );
    const alone = many(16, 1, 5);
    const [now, year] = [gangExponent(alone, 0), gangExponent(alone, 365 * 24 * HOUR)];
    expect(now).toBeGreaterThan(0.5);
    expect(year).toBeCloseTo(0.4, 2);
    // What comes after a year of silence counts for more than what stood before it.
    const turned = Array.from({ length: 20 }).reduce<GangEvidence>(
      (e) => observeBatch(e, { atMs: 365 * 24 * HOUR, members: 16, lost: 16 }),
      many(16, 1, 20),
    );
    expect(gangExponent(turned, 365 * 24 * HOUR)).toBeLessThan(0.25);
  });
});

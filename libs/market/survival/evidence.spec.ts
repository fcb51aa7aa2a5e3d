import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
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
  observeGang,
  observeRate,
  observeTrial,
  proportionOf,
  ratioOf,
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
  it('starts at 0.4 and is learnt from gangs only', () => {
    expect(gangExponent(noGangEvidence)).toBeCloseTo(0.4, 2);
    expect(observeGang(noGangEvidence, { members: 1, events: 5, expectedOfOne: 1 })).toBe(noGangEvidence);
    const gangs = (perGang: number): number => {
      let e = noGangEvidence;
      for (let i = 0; i < 40; i++) e = observeGang(e, { members: 16, events: perGang, expectedOfOne: 1 });
      return gangExponent(e);
    };
    // 16^0.25 = 2 and 16^0.75 = 8.
    expect(gangs(2)).toBeCloseTo(0.25, 1);
    expect(gangs(8)).toBeCloseTo(0.75, 1);
  });
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { afterLook, chooseZone, hazardOf, newMarket, upNowP, upShare, type Look, type MarketBelief } from './index.js';

const MINUTE = 60_000;
const terms = { attemptH: 0.2, restartH: 0.1 };
const looks = fc.array(
  fc.record({ zone: fc.integer({ min: 0, max: 3 }), minutes: fc.integer({ min: 0, max: 600 }), isUp: fc.boolean() }),
  { maxLength: 40 },
);
const inOrder = (seen: readonly { zone: number; minutes: number; isUp: boolean }[]): Look[] => {
  let atMs = 0;
  return seen.map((s) => ({ zone: s.zone, atMs: (atMs += s.minutes * MINUTE), isUp: s.isUp }));
};
const learnt = (seen: readonly Look[]): MarketBelief => seen.reduce(afterLook, newMarket(4, 0));

describe('a market of places', () => {
  it('believes in probabilities and falling hazards whatever was seen', () => {
    fc.assert(
      fc.property(looks, fc.integer({ min: 0, max: 5_000 }), (seen, later) => {
        const market = learnt(inOrder(seen));
        const now = (inOrder(seen).at(-1)?.atMs ?? 0) + later * MINUTE;
        for (let z = 0; z < 4; z++) {
          for (const p of [upNowP(market, z, now), upShare(market, z, now)]) {
            expect(p).toBeGreaterThanOrEqual(0);
            expect(p).toBeLessThanOrEqual(1);
          }
          const hazard = hazardOf(market, z, now).map((b) => b.perHour);
          for (let i = 1; i < hazard.length; i++) expect(hazard[i]).toBeLessThan(hazard[i - 1] ?? 0);
        }
      }),
    );
  });

  it('means the same by whatever number a place goes', () => {
    fc.assert(
      fc.property(looks, (seen) => {
        const turned = inOrder(seen).map((l) => ({ ...l, zone: 3 - l.zone }));
        const [a, b] = [learnt(inOrder(seen)), learnt(turned)];
        const now = (inOrder(seen).at(-1)?.atMs ?? 0) + MINUTE;
        for (let z = 0; z < 4; z++) expect(upNowP(b, 3 - z, now)).toBeCloseTo(upNowP(a, z, now), 9);
      }),
    );
  });

  it('does not ask again at once where there was nothing, and comes back to it later', () => {
    const market = afterLook(newMarket(2, 0), { zone: 0, atMs: 0, isUp: false });
    expect(chooseZone(market, MINUTE, terms)).toBe(1);
    expect(upNowP(market, 0, MINUTE)).toBeLessThan(0.1);
    expect(upNowP(market, 0, 600 * MINUTE)).toBeGreaterThan(0.2);
  });

  it('prefers the place whose machines last', () => {
    let market = newMarket(2, 0);
    for (let day = 0; day < 6; day++) {
      for (const zone of [0, 1]) {
        const atMs = (day * 24 + 1) * 60 * MINUTE;
        market = afterLook(market, { zone, atMs, isUp: true });
        const toH = zone === 0 ? 0.2 : 8;
        market = afterLook(market, { zone, atMs: atMs + toH * 60 * MINUTE, isUp: zone === 1, ages: { fromH: 0, toH } });
      }
    }
    expect(chooseZone(market, 7 * 24 * 60 * MINUTE, terms)).toBe(1);
  });

  it('knows nothing of a place that it was not given', () => {
    const market = newMarket(1, 0);
    expect(afterLook(market, { zone: 5, atMs: 0, isUp: true })).toBe(market);
  });
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { bandAt, cumulativeHazard, expectedLifetimeH, scaledBands, SPOT_HAZARD, survivalP } from './index.js';

const hours = fc.double({ min: 0, max: 40, noNaN: true });

describe('hazard by age', () => {
  it('adds up over adjoining ages', () => {
    fc.assert(
      fc.property(hours, hours, hours, (a, b, c) => {
        const [x = 0, y = 0, z = 0] = [a, b, c].sort((p, q) => p - q);
        const whole = cumulativeHazard(SPOT_HAZARD, x, z);
        expect(cumulativeHazard(SPOT_HAZARD, x, y) + cumulativeHazard(SPOT_HAZARD, y, z)).toBeCloseTo(whole, 9);
      }),
    );
  });

  it('is the integral of survival: expected lifetimes agree with small steps', () => {
    for (const age of [0, 0.2, 2, 20]) {
      let sum = 0;
      const step = 0.001;
      for (let t = step / 2; t < 8; t += step) sum += survivalP(SPOT_HAZARD, age, t) * step;
      expect(expectedLifetimeH(SPOT_HAZARD, age, 8)).toBeCloseTo(sum, 3);
    }
  });

  it('lets what is older last longer, and nothing last beyond the cap', () => {
    fc.assert(
      fc.property(hours, hours, fc.double({ min: 0.01, max: 30, noNaN: true }), (a, b, cap) => {
        const [young, old] = [Math.min(a, b), Math.max(a, b)];
        const lifetime = expectedLifetimeH(SPOT_HAZARD, young, cap);
        expect(lifetime).toBeLessThanOrEqual(cap + 1e-9);
        expect(expectedLifetimeH(SPOT_HAZARD, old, cap)).toBeGreaterThanOrEqual(lifetime - 1e-9);
        expect(expectedLifetimeH(scaledBands(SPOT_HAZARD, 2), young, cap)).toBeLessThanOrEqual(lifetime + 1e-9);
      }),
    );
  });

  it('finds the band of an age', () => {
    expect([0, 0.3, 2.9, 3, 1e6].map((age) => bandAt(SPOT_HAZARD, age))).toEqual([0, 1, 2, 3, 4]);
  });
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SPOT_HAZARD, type HazardBand } from '#market/reliability';
import { renewal, type RenewalQuery } from './renewal.js';

const constant = (perHour: number): HazardBand[] => [{ untilH: Infinity, perHour }];
const query = (over: Partial<RenewalQuery>): RenewalQuery => ({
  usefulS: 36_000,
  checkpointS: 600,
  checkpointCostS: 0,
  bands: constant(0.5),
  hazardFactor: 1,
  billing: { bootBilledS: 0, minimumS: 0, incrementS: 0 },
  ...over,
});

function survival(bands: readonly HazardBand[], ageS: number): number {
  let sum = 0;
  let from = 0;
  for (const b of bands) {
    const to = Math.min(ageS, b.untilH * 3_600);
    if (to > from) sum += (b.perHour / 3_600) * (to - from);
    from = Math.max(from, to);
  }
  return Math.exp(-sum);
}

/** The exact renewal recursion over remaining intervals, integrals by small steps: slow and independent. */
function exactRunning(q: RenewalQuery): number {
  const m = Math.ceil(q.usefulS / q.checkpointS);
  const step = q.usefulS / m + q.checkpointCostS;
  const s = Array.from({ length: m + 1 }, (_, j) => survival(q.bands, j * step));
  const area = [0];
  for (let j = 0; j < m; j++) {
    let sum = 0;
    for (let i = 0; i < 60; i++) sum += (survival(q.bands, (j + (i + 0.5) / 60) * step) * step) / 60;
    area.push((area[j] ?? 0) + sum);
  }
  const v = [0];
  for (let n = 1; n <= m; n++) {
    let rest = area[n] ?? 0;
    for (let j = 1; j < n; j++) rest += ((s[j] ?? 0) - (s[j + 1] ?? 0)) * (v[n - j] ?? 0);
    v.push(rest / (s[1] ?? 1));
  }
  return v[m] ?? 0;
}

describe('renewal', () => {
  it('is Daly for constant hazard: 60 intervals of 600 s at 0.5 per hour run 60 x expm1(1/12) x 2 h', () => {
    const r = renewal(query({}));
    expect(r.runningS).toBeCloseTo(60 * Math.expm1(1 / 12) * 7_200, 6);
    expect(r.losses).toBeCloseTo(60 * Math.expm1(1 / 12), 9);
    expect(r.surviveP).toBeCloseTo(Math.exp(-5), 12);
  });

  it('counts the cost of checkpoints, and goes to work plus checkpoints as the hazard goes to zero', () => {
    expect(renewal(query({ checkpointCostS: 30, bands: constant(0) })).runningS).toBeCloseTo(36_000 * 1.05, 6);
    for (const h of [1e-3, 1e-6, 1e-9, 1e-14]) {
      const r = renewal(query({ checkpointCostS: 30, bands: constant(h) }));
      expect(Math.abs(r.runningS - 37_800) / 37_800).toBeLessThan(h * 0.2 + 1e-9);
      expect(r.losses).toBeCloseTo(h * 10.5, 3);
    }
  });

  it('is the exact recursion over falling hazard within 0.2 %, for short and long work and intervals', () => {
    for (const usefulS of [1_800, 7_200, 36_000, 172_800])
      for (const checkpointS of [300, 1_800, 7_200].filter((c) => c <= usefulS)) {
        const q = query({ usefulS, checkpointS, bands: SPOT_HAZARD });
        const ratio = renewal(q).runningS / exactRunning(q);
        expect(Math.abs(ratio - 1)).toBeLessThan(0.002);
      }
  });

  it('is the exact recursion for constant hazard', () => {
    const q = query({ usefulS: 9_000, checkpointS: 900, checkpointCostS: 10, bands: constant(1.2) });
    expect(renewal(q).runningS / exactRunning(q)).toBeCloseTo(1, 4);
  });

  it('does not care how a constant hazard is cut in bands', () => {
    const cut: HazardBand[] = [0.1, 0.7, 2.5, Infinity].map((untilH) => ({ untilH, perHour: 0.4 }));
    fc.assert(
      fc.property(
        fc.double({ min: 60, max: 1e6, noNaN: true }),
        fc.double({ min: 60, max: 1e5, noNaN: true }),
        (w, tau) => {
          const whole = renewal(query({ usefulS: w, checkpointS: tau, bands: constant(0.4) }));
          const parts = renewal(query({ usefulS: w, checkpointS: tau, bands: cut }));
          if (Number.isFinite(whole.runningS)) expect(parts.runningS / whole.runningS).toBeCloseTo(1, 6);
        },
      ),
    );
  });

  it('grows with hazard and with the work', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 3, noNaN: true }),
        fc.double({ min: 600, max: 1e5, noNaN: true }),
        (k, w) => {
          const base = renewal(query({ usefulS: w, bands: SPOT_HAZARD, hazardFactor: k }));
          expect(renewal(query({ usefulS: w, bands: SPOT_HAZARD, hazardFactor: k * 1.1 })).runningS).toBeGreaterThan(
            base.runningS,
          );
          expect(base.runningS).toBeGreaterThanOrEqual(w * (1 - 1e-9));
        },
      ),
    );
  });
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SeededRandom } from '#kernel';
import {
  deadlineSteps,
  type DeadlineMoment,
  planDeadline,
  scaledBands,
  SPOT_HAZARD,
  SPOT_REPAIR,
  type Footing,
  type PlanTerms,
} from './index.js';

const RESTART_H = 1 / 6;
const market = (prices: readonly number[], hazard = 1): PlanTerms => ({
  zones: prices.map((pricePerHour) => ({
    pricePerHour,
    hazard: scaledBands(SPOT_HAZARD, hazard),
    repair: SPOT_REPAIR,
    upShare: 0.6,
  })),
  onDemandPerHour: 3,
  restartH: RESTART_H,
  workH: 6,
  slackH: 4,
});

const worlds = fc.record({
  prices: fc.array(fc.double({ min: 0.1, max: 5, noNaN: true }), { minLength: 1, maxLength: 4 }),
  hazard: fc.double({ min: 0.05, max: 20, noNaN: true }),
  workTicks: fc.integer({ min: 1, max: 36 }),
  spareTicks: fc.integer({ min: 1, max: 24 }),
  up: fc.double({ min: 0, max: 1, noNaN: true }),
  seed: fc.integer(),
});

describe('spot and on demand under a deadline', () => {
  it('is never late, whatever is believed and whatever happens', () => {
    fc.assert(
      fc.property(worlds, (w) => {
        const plan = planDeadline(market(w.prices, w.hazard));
        const luck = new SeededRandom(w.seed);
        let work = w.workTicks;
        let footing: Footing = { kind: 'idle' };
        for (let left = w.workTicks + w.spareTicks; left > 0 && work > 0; left--) {
          if (footing.kind === 'spot' && luck.float() > w.up) footing = { kind: 'idle' };
          const moment: DeadlineMoment = { workH: work * RESTART_H, leftH: left * RESTART_H, footing };
          let next: Footing | null = null;
          for (const step of deadlineSteps(plan, moment)) {
            if (step.kind === 'ask' && luck.float() > w.up) continue;
            if (step.kind === 'ask') next = { kind: 'spot', zone: step.zone, ageH: 0 };
            else if (step.kind !== 'stay') next = { kind: step.kind };
            break;
          }
          if (next) footing = next;
          else if (footing.kind !== 'idle') work--;
          if (footing.kind === 'spot') footing = { ...footing, ageH: footing.ageH + RESTART_H };
        }
        expect(work).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('costs no more with more slack and no less with more work', () => {
    const plan = planDeadline(market([0.9, 1.2, 2.5]));
    const S = plan.slack.length;
    for (const row of [plan.idle, plan.onDemand, ...plan.running.flat()]) {
      for (let c = S; c < row.length; c++) {
        const here = row[c] ?? NaN;
        if (c % S > 0) expect(here).toBeLessThanOrEqual((row[c - 1] ?? NaN) + 1e-9);
        expect(here).toBeGreaterThanOrEqual((row[c - S] ?? NaN) - 1e-9);
      }
    }
  });

  it('costs at most what is paid on demand, and nothing for no work', () => {
    const plan = planDeadline(market([0.9, 1.2]));
    const S = plan.slack.length;
    for (let c = 0; c < plan.idle.length; c++) {
      const workH = Math.floor(c / S) * plan.workStepH;
      expect(plan.onDemand[c]).toBeLessThanOrEqual(3 * workH + 1e-9);
      if (workH === 0) expect(plan.idle[c]).toBe(0);
      else expect(plan.idle[c]).toBeLessThanOrEqual(3 * (workH + RESTART_H) + 1e-9);
    }
  });

  it('asks the cheapest of equals first, and a place dearer than on demand not at all', () => {
    const plan = planDeadline(market([1.2, 0.9, 9]));
    const steps = deadlineSteps(plan, { workH: 5, leftH: 9, footing: { kind: 'idle' } });
    expect(steps).toEqual([{ kind: 'ask', zone: 1 }, { kind: 'ask', zone: 0 }, { kind: 'idle' }]);
  });

  it('keeps an old machine where a young one elsewhere costs the same, and leaves a dear one for a cheap one', () => {
    const footing: Footing = { kind: 'spot', zone: 0, ageH: 8 };
    const alike = planDeadline(market([1, 1]));
    expect(deadlineSteps(alike, { workH: 5, leftH: 9, footing })).toEqual([{ kind: 'stay' }]);
    const apart = planDeadline(market([2.8, 0.5]));
    expect(deadlineSteps(apart, { workH: 5, leftH: 9, footing })[0]).toEqual({ kind: 'ask', zone: 1 });
  });

  it('goes on demand when the slack is used up and nothing runs, and stays on what runs', () => {
    const plan = planDeadline(market([0.5]));
    const leftH = 5 + RESTART_H;
    expect(deadlineSteps(plan, { workH: 5, leftH, footing: { kind: 'idle' } })).toEqual([{ kind: 'on-demand' }]);
    const running: Footing = { kind: 'spot', zone: 0, ageH: 1 };
    expect(deadlineSteps(plan, { workH: 5, leftH, footing: running })).toEqual([{ kind: 'stay' }]);
    expect(deadlineSteps(plan, { workH: 5, leftH: 5, footing: { kind: 'on-demand' } })).toEqual([{ kind: 'stay' }]);
  });
});

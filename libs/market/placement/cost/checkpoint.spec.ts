import { describe, expect, it } from '@jest/globals';
import { defaultPriors, type HazardBand } from '#market/reliability';
import { rankList } from '../columns/rank.js';
import { rankingView } from '../explain/view.js';
import { contextWith, offerWith, workloadWith } from '../placement.fixture.js';
import { checkpointing } from './checkpoint.js';
import { renewal } from './renewal.js';

const constant = (perHour: number): HazardBand[] => [{ untilH: Infinity, perHour }];
const spot = defaultPriors.byKind.hyperscaler.spot.hazardPerHourByAge;
const chosen = (costS: number, usefulS: number, bands: readonly HazardBand[], factor = 1): number =>
  checkpointing(workloadWith({ checkpoint: { costS } }), 0, usefulS, bands, factor).intervalS;
const running = (costS: number, intervalS: number, usefulS: number, bands: readonly HazardBand[]): number =>
  renewal({
    usefulS,
    checkpointS: intervalS,
    checkpointCostS: costS,
    bands,
    hazardFactor: 1,
    billing: { bootBilledS: 0, minimumS: 0, incrementS: 0 },
  }).runningS;

describe('checkpointing', () => {
  it('is sqrt(2 d M) for constant hazard: 60 s at one loss in ten hours is every 35 minutes', () => {
    const exact = Math.sqrt(2 * 60 * 36_000);
    expect(Math.abs(chosen(60, 1e6, constant(0.1)) / exact - 1)).toBeLessThan(0.06);
    expect(chosen(60, 1e6, constant(0.1), 4) / exact).toBeCloseTo(0.5, 1);
  });

  it('costs within 2 % of the best interval that a search finds', () => {
    for (const bands of [constant(0.02), constant(0.5), spot])
      for (const costS of [10, 120])
        for (const usefulS of [7_200, 86_400]) {
          const ours = running(costS, chosen(costS, usefulS, bands), usefulS, bands);
          let best = Infinity;
          for (let t = 60; t <= usefulS; t *= 1.1) best = Math.min(best, running(costS, t, usefulS, bands));
          expect(ours / best).toBeLessThan(1.02);
        }
  });

  it('saves the end only where nothing is lost, and keeps what the workload says', () => {
    expect(chosen(60, 3_600, constant(0))).toBe(3_600);
    expect(checkpointing(workloadWith({ checkpointS: 300 }), 5, 3_600, spot, 1)).toEqual({ intervalS: 300, costS: 5 });
    const fixed = workloadWith({ checkpoint: { costS: 20, intervalS: 450 } });
    expect(checkpointing(fixed, 5, 3_600, spot, 1)).toEqual({ intervalS: 450, costS: 20 });
  });

  it('is shown, and is longer on machines that are seldom lost', () => {
    const workload = workloadWith({ work: { kind: 'wall-hours', hours: 100 }, checkpoint: { costS: 60 } });
    const offers = [offerWith(), offerWith({ id: 'spot', pricing: 'spot' })];
    const { candidates } = rankingView(rankList(offers, workload, contextWith()));
    const of = (pricing: string) => candidates.find((c) => c.offer.pricing === pricing);
    expect(of('on-demand')?.checkpointS ?? NaN).toBeGreaterThan(5 * (of('spot')?.checkpointS ?? NaN));
    expect(of('spot')?.reasons.join(' ')).toMatch(
      /A checkpoint after each \d+ min of work \(by Young and Daly; one takes 1 min\)/,
    );
  });
});

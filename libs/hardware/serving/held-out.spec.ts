import { beforeAll, describe, expect, it } from '@jest/globals';
import { heldOut, type HeldOut, type LeftOutBy } from './held-out.js';
import { loadPublishedRuns } from './published-runs.js';
import { residualsOf } from './residuals.js';
import { shippedWidths } from './shipped.js';
import { softwareStack } from './stacks.js';
import { quantile } from './statistics.js';
import { fitWidths } from './widths.js';

/** Every run is predicted by a model and by widths that were fitted without its whole group. */
const splits: readonly LeftOutBy[] = ['row', 'model', 'gpu', 'framework'];
const results = new Map<LeftOutBy, readonly HeldOut[]>();

beforeAll(() => {
  const runs = loadPublishedRuns();
  for (const split of splits) results.set(split, heldOut(runs, split));
}, 120_000);

const of = (split: LeftOutBy): readonly HeldOut[] => results.get(split) ?? [];
const errorAt = (from: readonly HeldOut[], share: number): number =>
  quantile(
    from.map((r) => Math.abs(r.error)),
    share,
  );
const nvidiaServing = (from: readonly HeldOut[]): HeldOut[] =>
  from.filter(({ run }) => softwareStack(run.query.accelerator) === 'cuda' && run.query.engine !== 'llama.cpp');

describe('serving predictions of runs left out', () => {
  it.each(splits)('say by %s what the run is new in', (split) => {
    const expected = { row: 'seen', model: 'new-model', gpu: 'new-gpu', framework: 'new-framework', vendor: 'new-gpu' };
    const right = of(split).filter((r) => r.predicted.novelty === expected[split]).length;
    expect(of(split).length).toBeGreaterThan(3_200);
    // Some cards come with their own framework: leaving out one leaves out the other.
    expect(right / of(split).length).toBeGreaterThan(0.9);
  });

  it.each(splits)('hold on NVIDIA serving stacks left out by %s: median 0.2, 90th percentile 0.6', (split) => {
    const errors = nvidiaServing(of(split));
    expect(errors.length).toBeGreaterThan(1_200);
    expect(errorAt(errors, 0.5)).toBeLessThan(0.2);
    expect(errorAt(errors, 0.9)).toBeLessThan(0.6);
  });

  it.each(splits)('hold over all vendors left out by %s: median 0.3', (split) => {
    expect(errorAt(of(split), 0.5)).toBeLessThan(0.3);
  });

  it.each(splits)('lie in the 80 %% interval in 75 to 85 of 100 cases when left out by %s', (split) => {
    const covered = of(split).filter((r) => r.covered).length / of(split).length;
    expect(covered).toBeGreaterThan(0.75);
    expect(covered).toBeLessThan(0.85);
  });

  it('beat the formula alone by far where the vendor is not NVIDIA', () => {
    const others = of('model').filter(({ run }) => run.query.accelerator.vendor !== 'nvidia');
    const alone = others.map((r) => Math.abs(r.error + Math.log(r.predicted.factor)));
    expect(errorAt(others, 0.5)).toBeLessThan(quantile(alone, 0.5) / 3);
  });
});

describe('the shipped widths', () => {
  it('are what the shipped runs give', () => {
    const fitted = fitWidths(residualsOf(loadPublishedRuns()));
    const shipped = shippedWidths();
    expect(Object.keys(shipped.cells).sort()).toEqual(Object.keys(fitted.cells).sort());
    for (const [cell, widths] of Object.entries(fitted.cells)) {
      for (const [kind, width] of Object.entries(widths)) {
        expect(Object.entries(shipped.cells[cell] ?? {}).find(([k]) => k === kind)?.[1]).toBeCloseTo(width, 3);
      }
    }
    expect(shipped.newStack).toBeCloseTo(fitted.newStack, 3);
  });
});

import {
  against,
  fitWidths,
  heldOut,
  loadPublishedRuns,
  parsePublishedRuns,
  predictServing,
  residualsOf,
  WIDTHS_FILE,
  type HeldOut,
  type PublishedRun,
  type LeftOutBy,
} from '#hardware';
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { baselines } from './perf-model/baselines.js';
import { errorsOf, isNvidiaServing, round, share } from './perf-model/report.js';

/**
 * Predicted against published speeds of serving engines, on runs whose whole group was left out of what the prediction
 * learned from, its interval included. `--runs FILE` adds runs of the same form (plain or .gz) that only test.
 */
const runs = loadPublishedRuns();
const splits: readonly LeftOutBy[] = ['row', 'model', 'gpu', 'framework', 'vendor'];

if (process.argv.includes('--write-widths')) {
  const digits = (_key: string, value: unknown): unknown => (typeof value === 'number' ? round(value, 4) : value);
  writeFileSync(WIDTHS_FILE, `${JSON.stringify(fitWidths(residualsOf(runs)), digits, 2)}\n`);
}

const vendorOf = (run: PublishedRun): string => run.query.accelerator.vendor;
const whose: readonly (readonly [string, (run: PublishedRun) => boolean])[] = [
  ['NVIDIA serving', isNvidiaServing],
  ...[...new Set(runs.map(vendorOf))].map(
    (vendor) => [vendor, (run: PublishedRun) => vendorOf(run) === vendor] as const,
  ),
  ['all', () => true],
];

console.log('Without learning: |ln(measured / predicted)|, median / 90th percentile');
console.table(
  Object.fromEntries(
    Object.entries(baselines).map(([name, rate]) => [
      name,
      Object.fromEntries(
        whose.map(([who, belongs]) => {
          const errors = runs.filter(belongs).flatMap((run) => {
            const said = rate(run);
            return said ? [Math.log(run.tokensPerS / said)] : [];
          });
          const e = errorsOf(errors);
          return [who, `${e.medianAbsLogRatio} / ${e.p90AbsLogRatio}`];
        }),
      ),
    ]),
  ),
);

const bySplit = new Map(splits.map((split) => [split, heldOut(runs, split)] as const));
const of = (split: LeftOutBy): readonly HeldOut[] => bySplit.get(split) ?? [];

function line(results: readonly HeldOut[]): Record<string, number> {
  const { medianAbsLogRatio, p90AbsLogRatio } = errorsOf(results.map((r) => r.error));
  return {
    runs: results.length,
    median: medianAbsLogRatio,
    p90: p90AbsLogRatio,
    covered80: share(results, (r) => r.covered),
    'median half width': errorsOf(results.map((r) => r.predicted.lowLog)).medianAbsLogRatio,
  };
}

for (const split of splits) {
  console.log(`Left out by ${split}${split === 'row' ? ' (five folds)' : ', whole groups'}`);
  console.table(
    Object.fromEntries(whose.map(([who, belongs]) => [who, line(of(split).filter(({ run }) => belongs(run)))])),
  );
}

function byGroup(title: string, split: LeftOutBy, group: (run: PublishedRun) => string): void {
  console.log(title);
  const groups = [...new Set(of(split).map(({ run }) => group(run)))].sort();
  console.table(
    Object.fromEntries(groups.map((key) => [key, line(of(split).filter(({ run }) => group(run) === key))])),
  );
}
byGroup('Each model when it is left out', 'model', (run) => run.modelName);
byGroup('Each card and framework when the card is left out', 'gpu', (run) =>
  [run.query.accelerator.name, run.query.engine].join(', '),
);

const added = process.argv.indexOf('--runs');
const file = added > 0 ? process.argv[added + 1] : undefined;
if (file !== undefined) {
  const bytes = readFileSync(file);
  const csv = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  const results = parsePublishedRuns(csv).flatMap((run) => against(run, predictServing(run.query)));
  console.log(`Runs of ${file}, predicted from the shipped ones`);
  const groups = [...new Set(results.map((r) => r.predicted.novelty))];
  console.table({
    ...Object.fromEntries(groups.map((g) => [g, line(results.filter((r) => r.predicted.novelty === g))])),
    ...Object.fromEntries(whose.map(([who, belongs]) => [who, line(results.filter(({ run }) => belongs(run)))])),
  });
}

/** Whole groups left out three ways; one figure over all of them. */
const wholeGroups = [...of('model'), ...of('gpu'), ...of('framework')];
const coverage = (split: LeftOutBy): number => share(of(split), (r) => r.covered);
console.log('The line below: errors over the splits by model, card and framework together.');
console.log(
  JSON.stringify({
    bench: 'perf-model',
    nvidia: errorsOf(wholeGroups.filter(({ run }) => isNvidiaServing(run)).map((r) => r.error)),
    all: errorsOf(wholeGroups.map((r) => r.error)),
    coverage80: {
      seen: coverage('row'),
      newModel: coverage('model'),
      newGpu: coverage('gpu'),
      newFramework: coverage('framework'),
    },
    rows: runs.length,
  }),
);

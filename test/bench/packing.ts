import { churn, inflation, type Outcome, type World } from './packing/replay.js';
import { POLICY_NAMES, type PolicyName } from './packing/policies.js';
import { nodes, pods, type PodFile } from './packing/trace.js';

/**
 * What is refused, and how full the GPUs get, when pods of a recorded cluster come and go: `market/packing` beside known policies
 * on the same arrivals. `--quick`: one seed, one load, and shorter. `--pods FILE` and `--nodes FILE` replay other cuts of the same form.
 */
const quick = process.argv.includes('--quick');
const option = (name: string): string | undefined => {
  const i = process.argv.indexOf(name);
  return i < 0 ? undefined : process.argv[i + 1];
};
const listOf = (name: string, otherwise: readonly number[]): readonly number[] =>
  option(name)?.split(',').map(Number) ?? otherwise;

const LOADS = listOf('--loads', quick ? [0.93] : [0.9, 0.93, 0.96]);
const CHURN_SEEDS = listOf('--seeds', quick ? [101] : [101, 102, 103]);
const INFLATION_SEEDS = listOf('--inflation-seeds', quick ? [201] : [201, 202, 203, 204, 205]);
/** In mean lifetimes. */
const SPAN = quick ? { warmUp: 1, counted: 1.5 } : { warmUp: 3, counted: 4 };
const FIRST_FITS: readonly PolicyName[] = ['firstFit', 'firstFitShuffledA', 'firstFitShuffledB'];

interface Result {
  readonly allocationRatio: number;
  readonly refusedWholeNodePct: number;
  readonly refusedSmallPct: number;
}
type Results = Record<PolicyName | 'firstFitMean', Result>;

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const round = (x: number, digits: number): number => Number(x.toFixed(digits));

function resultOf(outcomes: readonly Outcome[]): Result {
  return {
    allocationRatio: round(mean(outcomes.map((o) => o.allocationRatio)), 4),
    refusedWholeNodePct: round(100 * mean(outcomes.map((o) => o.refusedWholeNode)), 2),
    refusedSmallPct: round(100 * mean(outcomes.map((o) => o.refusedSmall)), 2),
  };
}

function compare(title: string, run: (policy: PolicyName) => Outcome[]): Results {
  const outcomes = new Map<PolicyName, Outcome[]>();
  for (const name of POLICY_NAMES) {
    const began = performance.now();
    outcomes.set(name, run(name));
    const [took, total] = [performance.now() - began, performance.now()].map((ms) => `${round(ms / 1_000, 1)} s`);
    console.error(`${title}: ${name} took ${took}, ${total} in all`);
  }
  const results = Object.fromEntries([...outcomes].map(([name, of]) => [name, resultOf(of)])) as Results;
  results.firstFitMean = resultOf(FIRST_FITS.flatMap((name) => outcomes.get(name) ?? []));
  console.log(`\n${title}`);
  console.table(results);
  return results;
}

function replay(file: PodFile): { loads: Record<string, Results>; inflation: Results } {
  const world: World = { nodes: nodes(option('--nodes')), asks: pods(file, option('--pods')) };
  const loads = LOADS.map((load) => [
    load.toFixed(2),
    compare(`${file}: load ${load}, ${CHURN_SEEDS.length} seeds`, (policy) =>
      CHURN_SEEDS.map((seed) => churn(world, policy, load, seed, SPAN)),
    ),
  ]);
  const inflated = compare(`${file}: no departures, ${INFLATION_SEEDS.length} seeds`, (policy) =>
    INFLATION_SEEDS.map((seed) => inflation(world, policy, seed)),
  );
  return { loads: Object.fromEntries(loads) as Record<string, Results>, inflation: inflated };
}

const byDefault = replay('default');
// A file of one's own names its own models: there is no second one.
const gpuspec33 = option('--pods') === undefined ? { gpuspec33: replay('gpuspec33') } : {};
console.log(JSON.stringify({ bench: 'packing', ...byDefault, ...gpuspec33 }));

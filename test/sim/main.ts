import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { faultListSchema } from './faults.js';
import { live, type Outcome } from './live.js';
import { hunt } from './mutants.js';
import { Reached } from './reached.js';
import { drawRestore, drawScenario, type Scenario } from './scenario.js';
import { asSpec, shrink } from './shrink.js';

/** `npm run test:sim`: seeded histories of the broker under faults, each lived twice; then the mutants. See docs/testing.md. */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    faults: { type: 'string' },
    restored: { type: 'boolean', default: false },
    mutants: { type: 'boolean', default: false },
    'no-mutants': { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
  },
});

let passed = 0;
let failed = 0;
const total = { lives: 0, events: 0, simulatedMs: 0, reached: new Reached() };
const SHRUNK_AT_MOST = 3;

async function report(scenario: Scenario, outcome: Outcome): Promise<void> {
  const { seed, faults } = scenario;
  console.log(`\nseed ${seed}${scenario.restore ? ' --restored' : ''}: ${outcome.broken}`);
  if (failed > SHRUNK_AT_MOST || values['no-shrink']) return;
  const least = await shrink(scenario);
  const shrunk = await live(least);
  console.log(`last events:\n  ${shrunk.trace.slice(values.trace ? -200 : -60).join('\n  ')}`);
  console.log(
    `smallest: ${least.faults.length} of ${faults.length} faults, ${least.workers} workers, jobs ${least.jobs.join(', ')}: ${shrunk.broken}`,
  );
  console.log(`faults: ${JSON.stringify(least.faults)}`);
  console.log(`\n${asSpec(least, shrunk.broken ?? '')}`);
}

async function twice(scenario: Scenario): Promise<void> {
  const first = await live(scenario);
  const second = await live(scenario);
  total.lives += 2;
  total.events += first.events + second.events;
  total.simulatedMs += first.simulatedMs + second.simulatedMs;
  total.reached.add(first.reached);
  if (first.digest !== second.digest) {
    failed++;
    console.log(`seed ${scenario.seed} is not deterministic: ${first.digest} and ${second.digest}`);
  } else if (first.broken !== null) {
    failed++;
    await report(scenario, first);
  } else passed++;
}

/** So many histories must have reached everything that is to be reached. */
const ENOUGH_SEEDS = 200;

async function histories(): Promise<void> {
  const from = Number(values.from);
  const count = Number(values.seeds);
  const began = performance.now();
  for (let seed = from; seed < from + count; seed++) {
    const scenario = drawScenario(seed);
    await twice(scenario);
    // The same world without a fault: every job ends as it should and no safety net may act.
    if (seed % 5 === 0) await twice({ ...scenario, faults: [] });
    if (seed % 10 === 3) await twice(drawRestore(seed));
  }
  const seconds = (performance.now() - began) / 1_000;
  console.log(total.reached.table());
  console.log(
    `${passed + failed} histories, each lived twice, in ${seconds.toFixed(0)} s: ${(total.lives / seconds).toFixed(1)} histories/s, ` +
      `${Math.round(total.events / seconds)} events/s, ${Math.round(total.simulatedMs / 1_000 / seconds)} x real time`,
  );
  if (count < ENOUGH_SEEDS) return;
  for (const what of total.reached.missing()) {
    failed++;
    console.log(`never reached: ${what}`);
  }
}

if (values.seed !== undefined) {
  const scenario = (values.restored ? drawRestore : drawScenario)(Number(values.seed));
  const given = values.faults;
  await twice(
    given === undefined
      ? scenario
      : { ...scenario, faults: faultListSchema.parse(JSON.parse(readFileSync(given, 'utf8'))) },
  );
} else {
  if (!values.mutants) await histories();
  if (!values['no-mutants']) {
    const caught = await hunt(console.log);
    passed += caught.passed;
    failed += caught.failed;
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { leases } from '#compute/leases';
import { jobs } from '#work/jobs';
import { checkAlways, checkEnd } from './checks.js';
import { countFaults, drawFaults, faultListSchema, NO_FAULTS, withoutFaults, type FaultList } from './faults.js';
import { History, type Wrongness } from './history.js';
import { mutants } from './mutants.js';

/** `npm run test:sim`: seeded histories of the broker under faults, each run twice; then the mutants. See docs/testing.md. */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    faults: { type: 'string' },
    mutants: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
  },
});

interface Outcome {
  readonly digest: string;
  readonly broken: string | null;
  readonly trace: readonly string[];
  readonly events: number;
  readonly reached: readonly string[];
}

async function live(seed: number, faults: FaultList, wrong: Wrongness = {}): Promise<Outcome> {
  const history = new History(seed, faults, wrong);
  let broken: string | null = null;
  try {
    await history.run(checkAlways);
    checkEnd(history);
  } catch (error) {
    broken = error instanceof Error ? error.message : String(error);
  }
  const reached = new Set<string>();
  for (const e of history.cloud.log.length > 0 ? history.store.rows(leases) : [])
    reached.add(`lease ${e.endReason ?? e.state}`);
  for (const j of history.store.rows(jobs)) reached.add(`job ${j.state}`);
  for (const kind of history.struck) reached.add(`fault ${kind}`);
  for (const { net } of history.repairs) reached.add(`repair ${net}`);
  return {
    digest: history.kernel.digest(),
    broken,
    trace: history.kernel.trace,
    events: history.kernel.events,
    reached: [...reached],
  };
}

/** The smallest list of faults that still breaks this seed, by leaving out ever smaller parts. */
async function shrink(seed: number, faults: FaultList): Promise<FaultList> {
  let least = faults;
  for (let size = Math.ceil(countFaults(least) / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < countFaults(least);) {
      const smaller = withoutFaults(least, at, size);
      if ((await live(seed, smaller)).broken !== null) least = smaller;
      else at += size;
    }
  }
  return least;
}

async function report(seed: number, faults: FaultList, outcome: Outcome): Promise<void> {
  console.log(`\nseed ${seed}: ${outcome.broken}`);
  const least = await shrink(seed, faults);
  const shrunk = await live(seed, least);
  console.log(`smallest list of faults (${countFaults(least)} of ${countFaults(faults)}): ${JSON.stringify(least)}`);
  console.log(`with it: ${shrunk.broken}`);
  console.log(`last events:\n  ${shrunk.trace.slice(values.trace ? -200 : -40).join('\n  ')}`);
  console.log(`replay: npm run test:sim -- --seed ${seed} --faults <file with that list>`);
}

let passed = 0;
let failed = 0;
const reached = new Map<string, number>();

async function one(seed: number, faults: FaultList): Promise<void> {
  const first = await live(seed, faults);
  const second = await live(seed, faults);
  for (const what of first.reached) reached.set(what, (reached.get(what) ?? 0) + 1);
  if (first.digest !== second.digest) {
    failed++;
    console.log(`seed ${seed} is not deterministic: ${first.digest} and ${second.digest}`);
  } else if (first.broken !== null) {
    failed++;
    if (failed <= 3) await report(seed, faults, first);
    else console.log(`seed ${seed}: ${first.broken}`);
  } else passed++;
}

/** Every one of these must occur in some history, else the histories prove less than they seem to. */
const SOMETIMES = [
  'job succeeded',
  'job failed',
  'job cancelled',
  'lease released',
  'lease failed',
  'lease preempted',
  'lease lost',
  'lease rejected',
  'fault crash-worker',
  'fault stall-before-send',
  'fault stall-after-answer',
  'fault crash-before-send',
  'fault crash-after-send',
  'fault crash-after-commit',
  'fault queue-emptied',
  'fault wake-lost',
  'fault wake-doubled',
  'fault agent-frozen',
  'fault agent-restarted',
  'fault report-doubled',
  'repair orphan',
];

async function histories(): Promise<void> {
  const from = Number(values.from);
  const count = Number(values.seeds);
  const began = performance.now();
  for (let seed = from; seed < from + count; seed++) {
    await one(seed, drawFaults(seed));
    // The same world without a fault: no safety net may act.
    if (seed % 10 === 0) await one(seed, NO_FAULTS);
  }
  const seconds = (performance.now() - began) / 1_000;
  const lives = (passed + failed) * 2;
  console.log(
    `${passed + failed} histories of 40 simulated minutes, each lived twice, in ${seconds.toFixed(0)} s: ${(lives / seconds).toFixed(1)} a second, ${Math.round((lives * 2_400) / seconds)} x real time`,
  );
  for (const [what, n] of [...reached].sort()) console.log(`  ${what.padEnd(28)} ${n}`);
  if (count < 100) return;
  for (const what of SOMETIMES) {
    if (reached.has(what)) continue;
    failed++;
    console.log(`never reached: ${what}`);
  }
}

const MUTANT_SEEDS = 50;

async function hunt(): Promise<void> {
  for (const mutant of mutants) {
    const mend = mutant.install?.() ?? ((): void => undefined);
    let caught: { seed: number; broken: string } | null = null;
    try {
      for (let seed = 1; seed <= MUTANT_SEEDS && caught === null; seed++) {
        for (const faults of seed % 5 === 1 ? [NO_FAULTS, drawFaults(seed)] : [drawFaults(seed)]) {
          const { broken } = await live(seed, faults, mutant.world ?? {});
          if (broken !== null) caught ??= { seed, broken };
        }
      }
    } finally {
      mend();
    }
    if (caught) passed++;
    else failed++;
    console.log(
      caught
        ? `mutant ${mutant.name.padEnd(24)} caught at seed ${caught.seed}: ${caught.broken.split('\n')[0]?.slice(0, 110)}`
        : `mutant ${mutant.name} was not caught in ${MUTANT_SEEDS} seeds`,
    );
  }
}

if (values.seed !== undefined) {
  const seed = Number(values.seed);
  await one(
    seed,
    values.faults === undefined
      ? drawFaults(seed)
      : faultListSchema.parse(JSON.parse(readFileSync(values.faults, 'utf8'))),
  );
} else {
  if (!values.mutants) await histories();
  await hunt();
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

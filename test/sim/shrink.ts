import type { Fault } from './faults.js';
import { live } from './live.js';
import type { Scenario } from './scenario.js';

/** A smaller scenario that still breaks: fewer faults (by leaving out ever smaller parts), then fewer jobs, then fewer workers. */
export async function shrink(scenario: Scenario): Promise<Scenario> {
  let least = scenario;
  const breaks = async (smaller: Scenario): Promise<boolean> => {
    if ((await live(smaller)).broken === null) return false;
    least = smaller;
    return true;
  };
  for (let before = Infinity; size(least) < before;) {
    before = size(least);
    await fewer(least.faults, (faults: readonly Fault[]) => breaks({ ...least, faults }));
    await fewer(least.jobs, (jobs: readonly number[]) => breaks({ ...least, jobs }));
    while (least.workers > 1 && (await breaks({ ...least, workers: least.workers - 1 })));
  }
  return least;
}

const size = (s: Scenario): number => s.faults.length + s.jobs.length + s.workers;

/** Delta debugging by complements: leaves out ever smaller parts of a list as long as it still breaks. */
async function fewer<T>(list: readonly T[], breaks: (smaller: readonly T[]) => Promise<boolean>): Promise<void> {
  let left = list;
  for (let part = Math.ceil(left.length / 2); part >= 1; part = part === 1 ? 0 : Math.ceil(part / 2)) {
    for (let at = 0; at < left.length;) {
      const smaller = left.toSpliced(at, part);
      if (await breaks(smaller)) left = smaller;
      else at += part;
    }
  }
}

/** The scenario as a spec that can be kept. */
export function asSpec(scenario: Scenario, broken: string): string {
  const { seed, workers, jobs, faults, restore } = scenario;
  const more = restore ? `, restore: { backupAtMs: ${restore.backupAtMs}, atMs: ${restore.atMs} }` : '';
  const title = broken.split('\n')[0]?.replaceAll("'", '').slice(0, 90) ?? '';
  return [
    `  it('seed ${seed}: ${title}', async () => {`,
    `    const faults = [`,
    ...faults.map(
      ({ point, occurrence, kind, arg }) =>
        `      { point: '${point}', occurrence: ${occurrence}, kind: '${kind}'${arg === undefined ? '' : `, arg: ${arg}`} },`,
    ),
    `    ];`,
    `    expect((await live({ seed: ${seed}, workers: ${workers}, jobs: [${jobs.join(', ')}], faults${more} })).broken).toBeNull();`,
    `  });`,
  ].join('\n');
}

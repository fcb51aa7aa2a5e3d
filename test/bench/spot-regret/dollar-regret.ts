import { clairvoyantDollars, runJob, type Policy } from './dollars.js';
import { greedy, ours, skyNomad, uniformProgress } from './policies.js';
import type { SpotRecord } from './records.js';

export const DEADLINE_RATIOS = [1.25, 1.5, 2] as const;
const WORK_H = 30;
const LONGEST = Math.max(...DEADLINE_RATIOS);

export interface DollarRegret {
  readonly record: string;
  readonly deadline: number;
  readonly bestUsd: number;
  readonly oursPct: number;
  readonly greedyPct: number;
  readonly upPct: number;
  readonly skynomadPct: number;
  readonly late: number;
}

/**
 * Dollars over those of one who knows the record, for a job that begins at each of `windows` moments spread evenly over
 * it; sums over the windows. Every job begins without history.
 */
export function dollarRegret(record: SpotRecord, deadline: number, windows: number): DollarRegret {
  const work = Math.round(WORK_H / record.stepH);
  const time = Math.round((WORK_H * deadline) / record.stepH);
  const lastFrom = record.steps - Math.round((WORK_H * LONGEST) / record.stepH);
  const policies: Record<'ours' | 'greedy' | 'up' | 'skynomad', () => Policy> = {
    ours: () => ours(record.stepH, record.zones.length),
    greedy,
    up: uniformProgress,
    skynomad: skyNomad,
  };
  let best = 0;
  let late = 0;
  const spent = { ours: 0, greedy: 0, up: 0, skynomad: 0 };
  for (let i = 0; i < windows; i++) {
    const job = { from: Math.floor((lastFrom * i) / Math.max(1, windows - 1)), work, time };
    best += clairvoyantDollars(record, job);
    for (const name of Object.keys(spent) as (keyof typeof spent)[]) {
      const run = runJob(record, job, policies[name]());
      spent[name] += run.dollars;
      if (run.isLate) late++;
    }
  }
  const pct = (dollars: number): number => 100 * (dollars / best - 1);
  return {
    record: record.name,
    deadline,
    bestUsd: best / windows,
    oursPct: pct(spent.ours),
    greedyPct: pct(spent.greedy),
    upPct: pct(spent.up),
    skynomadPct: pct(spent.skynomad),
    late,
  };
}

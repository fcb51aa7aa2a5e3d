import type { SpotRecord } from './records.js';

/** One step is one start: ten minutes. */
export const RESTART_STEPS = 1;

export type Choice = 'stay' | 'idle' | 'on-demand' | number;

/** What a policy may know at the beginning of a step; all times in steps, money in USD per hour. */
export interface Moment {
  readonly step: number;
  readonly work: number;
  readonly left: number;
  readonly allWork: number;
  readonly allTime: number;
  readonly stepH: number;
  /** Null: idle. */
  readonly on: number | 'on-demand' | null;
  /** Steps since the spot machine was asked for. */
  readonly age: number;
  readonly prices: readonly number[];
  readonly onDemand: number;
  /** Zones that were asked in this step and had none. */
  readonly failed: ReadonlySet<number>;
}

export interface Policy {
  decide(moment: Moment): Choice;
  /** A look at a zone: an attempt, or (with `age`) a machine of its own that is up or was just lost. */
  looked(step: number, zone: number, isUp: boolean, age: number | null): void;
}

export interface JobTerms {
  readonly from: number;
  readonly work: number;
  readonly time: number;
}

export interface JobRun {
  readonly dollars: number;
  readonly isLate: boolean;
}

/**
 * Work with a deadline under one policy. Every policy has the same safety: with no slack left only a running machine may
 * go on, else it is on demand to the end. Asking costs nothing; a start takes one paid step without progress.
 */
export function runJob(record: SpotRecord, job: JobTerms, policy: Policy): JobRun {
  let work = job.work;
  let on: Moment['on'] = null;
  let age = 0;
  let dollars = 0;
  for (let t = 0; t < job.time && work > 0; t++) {
    const step = job.from + t;
    const isUp = (zone: number): boolean => record.zones[zone]?.up[step] === 1;
    if (typeof on === 'number') {
      age++;
      policy.looked(step, on, isUp(on), age);
      if (!isUp(on)) on = null;
    }
    const left = job.time - t;
    const canSpend: boolean = left - work - RESTART_STEPS >= RESTART_STEPS;
    const failed = new Set<number>();
    const prices = record.zones.map((z) => z.price[step] ?? 0);
    const moment = (): Moment => ({
      step: t,
      work,
      left,
      allWork: job.work,
      allTime: job.time,
      stepH: record.stepH,
      on,
      age,
      prices,
      onDemand: record.onDemand,
      failed,
    });
    let isNew = false;
    for (;;) {
      let choice: Choice = policy.decide(moment());
      if (choice === on) choice = 'stay';
      if (!canSpend && choice !== 'on-demand') choice = on === null ? 'on-demand' : 'stay';
      if (choice === 'on-demand' && on === 'on-demand') choice = 'stay';
      if (choice === 'stay') break;
      if (typeof choice === 'number') {
        if (failed.has(choice)) throw new Error('asked twice in one step');
        policy.looked(step, choice, isUp(choice), null);
        if (!isUp(choice)) {
          failed.add(choice);
          continue;
        }
      }
      on = choice === 'idle' ? null : choice;
      isNew = true;
      age = 0;
      break;
    }
    if (on === null) continue;
    dollars += record.stepH * (on === 'on-demand' ? record.onDemand : (prices[on] ?? 0));
    if (!isNew) work--;
  }
  return { dollars, isLate: work > 0 };
}

/** The least that one who knows the record pays: exact, backwards over steps by work left and footing. */
export function clairvoyantDollars(record: SpotRecord, job: JobTerms): number {
  const modes = record.zones.length + 1;
  const width = job.work + 1;
  // Rows: each zone, then on demand, then idle; 0 work costs nothing, time without end is impossible.
  let next = Array.from({ length: modes + 1 }, () => new Float64Array(width).fill(Infinity, 1));
  let now = next.map((row) => row.slice());
  for (let t = job.time - 1; t >= 0; t--) {
    const step = job.from + t;
    const cost = (m: number): number =>
      record.stepH * (m === modes - 1 ? record.onDemand : (record.zones[m]?.price[step] ?? 0));
    const isUp = (m: number): boolean => m === modes - 1 || record.zones[m]?.up[step] === 1;
    const idle = next[modes] ?? new Float64Array(width);
    const anew = now[modes] ?? idle;
    anew.set(idle);
    for (let m = 0; m < modes; m++) {
      if (!isUp(m)) continue;
      const price = cost(m);
      const row = next[m] ?? idle;
      for (let w = 1; w < width; w++) anew[w] = Math.min(anew[w] ?? 0, price + (row[w] ?? 0));
    }
    for (let m = 0; m < modes; m++) {
      const to = now[m] ?? anew;
      to.set(anew);
      if (!isUp(m)) continue;
      const price = cost(m);
      const row = next[m] ?? idle;
      for (let w = 1; w < width; w++) to[w] = Math.min(to[w] ?? 0, price + (row[w - 1] ?? 0));
    }
    [next, now] = [now, next];
  }
  return next[modes]?.[job.work] ?? NaN;
}

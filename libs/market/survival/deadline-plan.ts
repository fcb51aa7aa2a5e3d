import { cumulativeHazard, survivalP, type HazardBand } from './bands.js';

/** A place as the plan sees it: hours are hours of machine time, prices are for the whole gang. */
export interface PlanZone {
  readonly pricePerHour: number;
  readonly hazard: readonly HazardBand[];
  /** Returns per hour by the time that it has been down. */
  readonly repair: readonly HazardBand[];
  /** Probability of being up when nobody has looked lately. */
  readonly upShare: number;
}

export interface PlanTerms {
  readonly zones: readonly PlanZone[];
  readonly onDemandPerHour: number;
  /** Hours of a start, paid but without progress; also the unit of slack. */
  readonly restartH: number;
  /** Work and slack to plan for, in hours; the table reaches from none to these. */
  readonly workH: number;
  readonly slackH: number;
}

/**
 * Expected dollars to finish, over work left, slack left and footing: a dynamic programme backwards from no work.
 *
 * Slack is the time left less the work left less one start on demand: while it is not negative the deadline can be kept.
 * Progress costs no slack; a start and waiting do. Losses follow the hazard by age; a place that is down comes back at
 * its repair rate. Asking costs nothing, so whatever is worth more than the present footing is asked all the time and
 * known to be down. Work and slack are on grids; values between are linear.
 */
export interface DeadlinePlan {
  readonly terms: PlanTerms;
  readonly workStepH: number;
  /** In starts. */
  readonly slack: readonly number[];
  /** Rows run over work, then slack. Per zone: a start there begins now. */
  readonly start: readonly Float64Array[];
  /** Per zone and age: a machine runs there. */
  readonly running: readonly (readonly Float64Array[])[];
  /** Per zone: the machine there was just lost. */
  readonly lost: readonly Float64Array[];
  readonly onDemand: Float64Array;
  /** Nothing runs, and none of the places has any. */
  readonly idle: Float64Array;
}

/** Ages at which running machines are told apart, in hours. */
export const AGES_H: readonly number[] = [0, 0.5, 1.5, 4, 12];
const WORK_STEPS = 20;
/** Points of slack further apart than one start depend on themselves: they are gone over so often. */
const PASSES = 2;
/** The rate at which places come back in the plan is that over the first hours without. */
const TYPICAL_REPAIR_H = 2;
/** A price that much lower is asked for all the time by who pays the higher one. */
const CLEARLY_CHEAPER = 0.95;

/** Slack in restarts: fine where it is scarce. */
function slackGrid(most: number): number[] {
  const grid: number[] = [];
  for (let s = 0; s < most; s += Math.max(1, Math.floor(s / 4))) grid.push(s);
  grid.push(Math.max(1, most));
  return grid;
}

interface AgeStep {
  readonly survives: number;
  readonly to: number;
  readonly share: number;
}

/** From each age over one step of work: the chance to last, and between which ages it then is. */
function ageSteps(hazard: readonly HazardBand[], stepH: number): AgeStep[] {
  return AGES_H.map((age) => ({ survives: survivalP(hazard, age, stepH), ...between(AGES_H, age + stepH) }));
}

/** Between which points of a grid x lies, and how far from the lower one. */
export function between(grid: readonly number[], x: number): { to: number; share: number } {
  for (let i = 1; i < grid.length; i++) {
    const low = grid[i - 1] ?? 0;
    const high = grid[i] ?? 0;
    if (x < high) return { to: i - 1, share: Math.max(0, (x - low) / (high - low)) };
  }
  return { to: grid.length - 1, share: 0 };
}

const value = (row: Float64Array, i: number): number => row[i] ?? 0;

/** The expectation of the best of several offers that are each there with a probability, over what there is without any. */
function cascade(order: readonly number[], offers: Float64Array, p: Float64Array, without: number): number {
  let none = 1;
  let sum = 0;
  for (const z of order) {
    const offer = value(offers, z);
    if (offer >= without) break;
    sum += none * value(p, z) * offer;
    none *= 1 - value(p, z);
  }
  return sum + none * without;
}

/** The whole table: about 20 steps of work by two dozen points of slack. */
export function planDeadline(terms: PlanTerms): DeadlinePlan {
  const { zones, onDemandPerHour, restartH } = terms;
  const slack = slackGrid(Math.ceil(terms.slackH / restartH));
  const S = slack.length;
  const workStepH = Math.max(restartH, terms.workH / WORK_STEPS);
  const W = Math.ceil(terms.workH / workStepH - 1e-9) + 1;
  const cells = W * S;
  const make = (): Float64Array => new Float64Array(cells);
  const start = zones.map(make);
  const running = zones.map(() => AGES_H.map(make));
  const lost = zones.map(make);
  const onDemand = make();
  const idle = make();
  const oneLess = slack.map((s) => between(slack, s - 1));
  const steps = zones.map((z) => ageSteps(z.hazard, workStepH));
  const bootSurvives = zones.map((z) => survivalP(z.hazard, 0, restartH));
  const returnsIn = (hours: number): Float64Array =>
    Float64Array.from(zones, (z) => {
      const perHour = cumulativeHazard(z.repair, 0, TYPICAL_REPAIR_H) / TYPICAL_REPAIR_H;
      return -Math.expm1(-perHour * hours);
    });
  const inWork = returnsIn(workStepH);
  const inIdle = slack.map((s, i) => returnsIn((s - (slack[i - 1] ?? 0)) * restartH));
  const inTick = returnsIn(restartH);
  // Who is lost from z finds the clearly cheaper places down, since they were asked all along.
  const afterLoss = zones.map((z, lostZone) =>
    Float64Array.from(zones, (other, i) =>
      i === lostZone ? 0 : other.pricePerHour < CLEARLY_CHEAPER * z.pricePerHour ? value(inTick, i) : other.upShare,
    ),
  );
  const offers = new Float64Array(zones.length);
  const mid = new Float64Array(zones.length);
  const others = zones.map(() => new Float64Array(zones.length));
  const order = zones.map((_, z) => z);
  const work = (i: number): number => i * workStepH;
  const at = (row: Float64Array, i: number, k: number): number => {
    const cell = oneLess[k] ?? { to: 0, share: 0 };
    const low = value(row, i * S + cell.to);
    return cell.share === 0 ? low : low + cell.share * (value(row, i * S + cell.to + 1) - low);
  };
  const rows = [...start, ...running.flat(), ...lost, onDemand, idle];
  for (let i = 1; i < W; i++) {
    for (let k = 0; k < S; k++) {
      const isCoarse = (slack[k] ?? 0) - (slack[k - 1] ?? 0) > 1;
      // One restart less lies between this point and the one before: begin with that one's values and come nearer.
      if (isCoarse) for (const row of rows) row[i * S + k] = value(row, i * S + k - 1);
      for (let pass = isCoarse ? PASSES : 1; pass > 0; pass--) settle(i, k);
    }
  }
  return { terms, workStepH, slack, start, running, lost, onDemand, idle };

  /** All values at i steps of work and the k-th slack, from those with less of either. */
  function settle(i: number, k: number): void {
    const c = i * S + k;
    const last = work(i) * onDemandPerHour;
    const startOnDemand = restartH * onDemandPerHour + (k === 0 ? last : at(onDemand, i, k));
    zones.forEach((z, n) => {
      const alive = bootSurvives[n] ?? 0;
      offers[n] =
        k === 0
          ? Infinity
          : z.pricePerHour * restartH +
            alive * at(running[n]?.[0] ?? idle, i, k) +
            (1 - alive) * at(lost[n] ?? idle, i, k);
      mid[n] = k < 2 ? value(offers, n) : (value(start[n] ?? idle, c - 1) + value(offers, n)) / 2;
      (start[n] ?? idle)[c] = value(offers, n);
    });
    order.sort((a, b) => value(offers, a) - value(offers, b));
    // One tick of slack is the last that can be spent waiting: a return is then too late to be used.
    idle[c] = k === 0 ? startOnDemand : Math.min(startOnDemand, waiting(k, i));
    onDemand[c] = cascade(order, offers, inWork, workStepH * onDemandPerHour + value(onDemand, c - S));
    const without = Math.min(value(idle, c), startOnDemand);
    zones.forEach((_, n) => {
      (lost[n] ?? idle)[c] = cascade(order, offers, afterLoss[n] ?? offers, without);
    });
    zones.forEach((z, n) => {
      const half = z.pricePerHour * workStepH * 0.5;
      const gone = half + (value(lost[n] ?? idle, c) + value(lost[n] ?? idle, c - S)) / 2;
      const chances = others[n] ?? inWork;
      chances.set(inWork);
      chances[n] = 0;
      steps[n]?.forEach((step, a) => {
        const next = value(running[n]?.[step.to] ?? idle, c - S);
        const older = step.share === 0 ? next : value(running[n]?.[step.to + 1] ?? idle, c - S);
        const stays = 2 * half + next + step.share * (older - next);
        const stay = step.survives * stays + (1 - step.survives) * gone;
        (running[n]?.[a] ?? idle)[c] = cascade(order, offers, chances, stay);
      });
    });
  }

  function waiting(k: number, i: number): number {
    const before = i * S + k - 1;
    const then = value(idle, before);
    return cascade(
      order,
      (slack[k] ?? 0) - (slack[k - 1] ?? 0) > 1 ? mid : previous(before),
      inIdle[k] ?? inTick,
      then,
    );
  }
  function previous(cell: number): Float64Array {
    zones.forEach((_, n) => {
      mid[n] = value(start[n] ?? idle, cell);
    });
    return mid;
  }
}

/** A value of the table between its grid points. */
export function read(plan: DeadlinePlan, row: Float64Array, workH: number, slackH: number): number {
  const S = plan.slack.length;
  const x = workH / plan.workStepH;
  const rows = row.length / S - 1;
  const i = Math.min(rows, Math.floor(x));
  const u = Math.min(1, x - i);
  const { to, share } = between(plan.slack, slackH / plan.terms.restartH);
  const atWork = (n: number): number => {
    const low = value(row, n * S + to);
    return share === 0 ? low : low + share * (value(row, n * S + to + 1) - low);
  };
  return u === 0 || i >= rows ? atWork(i) : atWork(i) + u * (atWork(i + 1) - atWork(i));
}

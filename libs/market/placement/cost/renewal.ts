import type { HazardBand } from '#market/reliability';
import { Ages } from './ages.js';
import { billedS, LeaseBill, type LeaseBilling } from './billing.js';

export interface RenewalQuery {
  /** Seconds of useful work, W. */
  readonly usefulS: number;
  /** Work between checkpoints, tau; the last stretch may be shorter. */
  readonly checkpointS: number;
  /** What one checkpoint costs, d; the end of the work is saved too. */
  readonly checkpointCostS: number;
  readonly bands: readonly HazardBand[];
  /** Multiplies every band: the gang factor n^g. */
  readonly hazardFactor: number;
  readonly billing: LeaseBilling;
}

/** All leases of one work together; expectations, seconds. */
export interface Renewal {
  /** Running time of a lease that is never lost: the work and its checkpoints. */
  readonly horizonS: number;
  /** Machines running: useful work, checkpoints and what was lost. */
  readonly runningS: number;
  /** Number of losses, each followed by a new lease of age 0, and its variance. */
  readonly losses: number;
  readonly lossesVariance: number;
  /** Running seconds thrown away per loss. */
  readonly lostPerLossS: number;
  /** Probability that the first lease sees the work through. */
  readonly surviveP: number;
  /** What the vendor bills for all leases: boots, running, minimum and steps. */
  readonly billedS: number;
}

/** Works of so few intervals are worked out one by one; longer ones from a table that works of any length share. */
const FEW = 8;
/** Cells of a table: intervals, or 2, 4, 8... of them for longer work. */
const CELLS = 64;

/**
 * Checkpointed work over leases whose hazard depends on their age: the exact renewal recursion.
 *
 * A lease begins at age 0 with work x ahead, runs until it is lost or done, and keeps the intervals that it completed;
 * lost with j of them done it leaves the same problem with x - j tau ahead. With S the survival at the end of intervals
 *
 *     V(x) = E[of this lease] + sum over j of (S(j) - S(j + 1)) V(x - j tau)
 *
 * for running time, losses, squared losses and billed time alike. For constant hazard h and V the running time this is
 * Daly's m expm1(h (tau + d)) / h (Future Generation Computer Systems 22, 2006; there the restart can be hit too: here a
 * restart that fails is a failed start with its own probability).
 *
 * Up to 8 intervals the recursion is done as it stands. Beyond, V is tabulated over cells of 1, 2, 4... intervals and
 * linear between: only the first lease of a work is worked out by itself. `monte-carlo.spec.ts` plays the process.
 */
export function renewal(q: RenewalQuery): Renewal {
  const intervals = Math.max(1, Math.ceil(q.usefulS / q.checkpointS - 1e-9));
  const horizonS = q.usefulS + intervals * q.checkpointCostS;
  if (horizonS <= 0) {
    const { bootBilledS, minimumS, incrementS } = q.billing;
    const billed = billedS(bootBilledS, minimumS, incrementS);
    return { horizonS, runningS: 0, losses: 0, lossesVariance: 0, lostPerLossS: 0, surviveP: 1, billedS: billed };
  }
  const table = tableOf(q);
  const v = intervals <= FEW ? table.few(q.usefulS, intervals) : table.many(q.usefulS, intervals, horizonS);
  const losses = v.losses;
  return {
    horizonS,
    runningS: v.running,
    losses,
    lossesVariance: Math.max(0, v.squares - losses ** 2),
    lostPerLossS: losses > 0 ? Math.max(0, v.running - horizonS) / losses : 0,
    surviveP: table.ages.survival(horizonS),
    billedS: v.billed,
  };
}

interface Values {
  readonly running: number;
  readonly losses: number;
  readonly squares: number;
  readonly billed: number;
}

/** Thirty million years stand for never: finite, so that what is counted with them stays a number. */
const NEVER: Values = { running: 1e15, losses: 1e12, squares: 1e24, billed: 1e15 };
/** A lease that keeps less than this share of its chances never gets anywhere. */
const LEAST_PROGRESS = 1e-12;

/** Sums over what a lease leaves behind, weighted by how likely that is. */
class Sums {
  running = 0;
  losses = 0;
  squares = 0;
  billed = 0;

  add(weight: number, running: number, losses: number, squares: number, billed: number): void {
    this.running += weight * running;
    this.losses += weight * losses;
    // (1 + N)^2 = 1 + 2 N + N^2; the one is part of the lease itself.
    this.squares += weight * (2 * losses + squares);
    this.billed += weight * billed;
  }

  /** Solves for a lease that leaves everything as it was with probability `again`. */
  solved(again: number, runs: number, lost: number, billed: number): Values {
    const progress = 1 - again;
    if (!(progress > LEAST_PROGRESS)) return NEVER;
    const losses = (lost + this.losses) / progress;
    return {
      running: (runs + this.running) / progress,
      losses,
      squares: (lost + 2 * again * losses + this.squares) / progress,
      billed: (billed + this.billed) / progress,
    };
  }
}

/** V over whole cells; cell 0 is no work. */
interface Level {
  /** Intervals per cell. */
  readonly g: number;
  /** Probability of being lost in that cell, and the share of it that was kept then. */
  readonly p: Float64Array;
  readonly kept: Float64Array;
  /** Survival at the begin of each cell. */
  readonly s: Float64Array;
  readonly running: Float64Array;
  readonly losses: Float64Array;
  readonly squares: Float64Array;
  readonly billed: Float64Array;
}

class Table {
  readonly ages: Ages;
  private readonly levels = new Map<number, Level>();
  private readonly stepS: number;

  constructor(private readonly q: Omit<RenewalQuery, 'usefulS'>) {
    this.ages = new Ages(q.bands, q.hazardFactor);
    this.stepS = q.checkpointS + q.checkpointCostS;
  }

  isFor(q: RenewalQuery): boolean {
    const [a, b] = [this.q, q];
    return (
      a.checkpointS === b.checkpointS &&
      a.checkpointCostS === b.checkpointCostS &&
      a.hazardFactor === b.hazardFactor &&
      a.billing.bootBilledS === b.billing.bootBilledS &&
      a.billing.minimumS === b.billing.minimumS &&
      a.billing.incrementS === b.billing.incrementS
    );
  }

  /** The recursion over the intervals that are left, the last one as short as it is. */
  few(usefulS: number, intervals: number): Values {
    const { ages, stepS, q } = this;
    const lastS = usefulS - (intervals - 1) * q.checkpointS + q.checkpointCostS;
    const ends = [1];
    for (let j = 1; j < intervals; j++) ends.push(ages.survival(j * stepS));
    const known: Values[] = [];
    const bill = new LeaseBill(ages, q.billing);
    for (let k = 0; k < intervals; k++) {
      const horizonS = k * stepS + lastS;
      const through = ages.survival(horizonS);
      const sums = new Sums();
      for (let j = 1; j <= k; j++) {
        const v = known[k - j] ?? NEVER;
        sums.add((ends[j] ?? 0) - (j < k ? (ends[j + 1] ?? 0) : through), v.running, v.losses, v.squares, v.billed);
      }
      const again = 1 - (k === 0 ? through : (ends[1] ?? 0));
      const v = sums.solved(again, ages.integral(0, horizonS), 1 - through, bill.upTo(horizonS));
      if (v === NEVER) return v;
      known.push(v);
    }
    return known[intervals - 1] ?? NEVER;
  }

  /** The first lease by itself, what it leaves from the table. */
  many(usefulS: number, intervals: number, horizonS: number): Values {
    const { ages, stepS, q } = this;
    let g = 1;
    while (g * CELLS < intervals) g *= 2;
    const level = this.level(g);
    const x = usefulS / (g * q.checkpointS);
    const n = Math.min(CELLS, Math.floor(x));
    const rest = x - n;
    const { p, kept } = level;
    const sums = new Sums();
    for (let c = 0; c < n; c++) {
      const lost = p[c] ?? 0;
      const share = kept[c] ?? 0;
      if (c > 0) leaves(sums, level, lost * (1 - share), x - c);
      if (share > 0) leaves(sums, level, lost * share, x - c - 1);
    }
    const again = (p[0] ?? 0) * (1 - (kept[0] ?? 0));
    const through = ages.survival(horizonS);
    // The cell that the work ends in.
    const lost = (level.s[n] ?? 0) - through;
    const whole = Math.max(0, Math.ceil(rest * g - 1e-9) - 1);
    const keeps = lost > 0 && whole > 0 ? ages.sum(n * g * stepS + stepS, stepS, whole) - whole * through : 0;
    leaves(sums, level, lost, rest - (lost > 0 ? keeps / lost / g : 0));
    const billed = new LeaseBill(ages, q.billing).upTo(horizonS);
    return sums.solved(again, ages.integral(0, horizonS), 1 - through, billed);
  }

  private level(g: number): Level {
    const before = this.levels.get(g);
    if (before) return before;
    const { ages, stepS, q } = this;
    const make = (): Float64Array => new Float64Array(CELLS + 2);
    const [p, kept, s, running, losses, squares, billed] = [make(), make(), make(), make(), make(), make(), make()];
    const l: Level = { g, p, kept, s, running, losses, squares, billed };
    const cellS = g * stepS;
    s[0] = 1;
    for (let c = 0; c <= CELLS; c++) {
      const end = ages.survival((c + 1) * cellS);
      const lost = (s[c] ?? 0) - end;
      s[c + 1] = end;
      p[c] = lost;
      const keeps = g > 1 && lost > 0 ? ages.sum(c * cellS + stepS, stepS, g - 1) - (g - 1) * end : 0;
      kept[c] = lost > 0 ? Math.min(1, Math.max(0, keeps / lost / g)) : 0;
    }
    // Probability of leaving k - c cells, where what was kept of a cell is shared between its two ends.
    const weight = p.map((lost, c) => lost * (1 - (kept[c] ?? 0)) + (p[c - 1] ?? 0) * (kept[c - 1] ?? 0));
    const bill = new LeaseBill(ages, q.billing);
    let runs = 0;
    for (let k = 1; k <= CELLS + 1; k++) {
      runs += ages.integral((k - 1) * cellS, k * cellS);
      const sums = new Sums();
      for (let c = 1; c < k; c++) {
        const w = weight[c] ?? 0;
        const i = k - c;
        sums.running += w * (running[i] ?? 0);
        sums.losses += w * (losses[i] ?? 0);
        sums.squares += w * (2 * (losses[i] ?? 0) + (squares[i] ?? 0));
        sums.billed += w * (billed[i] ?? 0);
      }
      const v = sums.solved(weight[0] ?? 0, runs, 1 - (s[k] ?? 0), bill.upTo(k * cellS));
      running[k] = v.running;
      losses[k] = v.losses;
      squares[k] = v.squares;
      billed[k] = v.billed;
    }
    this.levels.set(g, l);
    return l;
  }
}

/** A lease is lost with so many cells of work left: V there, between the two cells around. */
function leaves(sums: Sums, level: Level, weight: number, cells: number): void {
  if (weight <= 0 || cells <= 0) return;
  const low = Math.min(CELLS, Math.floor(cells));
  const up = weight * (cells - low);
  const down = weight - up;
  const { running, losses, squares, billed } = level;
  sums.running += down * (running[low] ?? 0) + up * (running[low + 1] ?? 0);
  sums.losses += down * (losses[low] ?? 0) + up * (losses[low + 1] ?? 0);
  sums.squares +=
    down * (2 * (losses[low] ?? 0) + (squares[low] ?? 0)) + up * (2 * (losses[low + 1] ?? 0) + (squares[low + 1] ?? 0));
  sums.billed += down * (billed[low] ?? 0) + up * (billed[low + 1] ?? 0);
}

/** Tables of beliefs that are still held; a pure function's memory, forgotten with the bands that it belongs to. */
const tables = new WeakMap<readonly HazardBand[], Table[]>();
/** Ways of billing and checkpointing that meet one belief; the oldest goes. */
const MOST_TABLES = 64;

function tableOf(q: RenewalQuery): Table {
  let known = tables.get(q.bands);
  if (!known) tables.set(q.bands, (known = []));
  for (const table of known) if (table.isFor(q)) return table;
  if (known.length >= MOST_TABLES) known.shift();
  const table = new Table(q);
  known.push(table);
  return table;
}

import { SeededRandom } from '#kernel';
import { afterLook, chooseZone, newMarket, type MarketBelief } from '#market/survival';
import type { SpotRecord } from './records.js';

const HOUR_MS = 3_600_000;
/** Hours of a start in which nothing useful is done. */
const RESTART_H = 0.1;

/** Chooses where to ask; told after each step what it found there. */
interface Chooser {
  next(step: number): number;
  found(step: number, zone: number, isUp: boolean, ageSteps: number | null): void;
}

/** Useful hours of one machine that is asked for once per step while there is none, and kept until it is lost. */
function usefulHours(record: SpotRecord, chooser: Chooser): number {
  let held: number | null = null;
  let age = 0;
  let hours = 0;
  for (let step = 0; step < record.steps; step++) {
    if (held !== null) {
      const isUp = record.zones[held]?.up[step] === 1;
      age++;
      chooser.found(step, held, isUp, age);
      if (isUp) {
        hours += record.stepH;
        continue;
      }
      held = null;
    }
    const zone = chooser.next(step);
    const isUp = record.zones[zone]?.up[step] === 1;
    chooser.found(step, zone, isUp, null);
    if (!isUp) continue;
    held = zone;
    age = 0;
    hours += record.stepH - RESTART_H;
  }
  return hours;
}

/** The most useful hours of one who knows the record: backwards over the steps, by the zone held. */
function bestHours(record: SpotRecord): number {
  let ahead = record.zones.map(() => 0);
  let free = 0;
  for (let step = record.steps - 1; step >= 0; step--) {
    const up = record.zones.map((z) => z.up[step] === 1);
    const started = up.map((is, z) => (is ? record.stepH - RESTART_H + (ahead[z] ?? 0) : -Infinity));
    const startNow = Math.max(free, ...started);
    ahead = up.map((is, z) => Math.max(startNow, is ? record.stepH + (ahead[z] ?? 0) : -Infinity));
    free = startNow;
  }
  return free;
}

const ours = (record: SpotRecord): Chooser => {
  const at = (step: number): number => step * record.stepH * HOUR_MS;
  let market: MarketBelief = newMarket(record.zones.length, 0);
  return {
    next: (step) => chooseZone(market, at(step), { attemptH: record.stepH, restartH: RESTART_H }),
    found: (step, zone, isUp, age) => {
      const ages = age === null ? {} : { ages: { fromH: (age - 1) * record.stepH, toH: age * record.stepH } };
      market = afterLook(market, { zone, atMs: at(step), isUp, ...ages });
    },
  };
};

const random = (record: SpotRecord, source: SeededRandom): Chooser => ({
  next: () => source.int(0, record.zones.length - 1),
  found: () => undefined,
});

/** UCB1: each zone an arm, a step spent in it a reward of 1 when it was up (Auer, Cesa-Bianchi and Fischer 2002). */
const ucb = (record: SpotRecord): Chooser => {
  const n = record.zones.map(() => 0);
  const sum = record.zones.map(() => 0);
  let total = 0;
  return {
    next: () => {
      const index = n.map((k, z) => (k === 0 ? Infinity : (sum[z] ?? 0) / k + Math.sqrt((2 * Math.log(total)) / k)));
      return index.indexOf(Math.max(...index));
    },
    found: (_, zone, isUp) => {
      n[zone] = (n[zone] ?? 0) + 1;
      sum[zone] = (sum[zone] ?? 0) + Number(isUp);
      total++;
    },
  };
};

/** Evidence left after a quarter of an hour: half of it after six hours. */
const DISCOUNT = 0.97;

/** Thompson sampling of Beta(1 + up, 1 + down), both counts discounted. */
const thompson = (record: SpotRecord, source: SeededRandom): Chooser => {
  const up = record.zones.map(() => 0);
  const down = record.zones.map(() => 0);
  const left = DISCOUNT ** (record.stepH * 4);
  let last = 0;
  return {
    next: () => {
      const drawn = up.map((u, z) => beta(1 + u, 1 + (down[z] ?? 0), source));
      return drawn.indexOf(Math.max(...drawn));
    },
    found: (step, zone, isUp) => {
      const factor = left ** (step - last);
      last = step;
      for (let z = 0; z < up.length; z++) {
        up[z] = (up[z] ?? 0) * factor + (z === zone && isUp ? 1 : 0);
        down[z] = (down[z] ?? 0) * factor + (z === zone && !isUp ? 1 : 0);
      }
    },
  };
};

/** Ratio of two Gamma draws (Marsaglia and Tsang 2000; shapes of at least 1). */
function beta(a: number, b: number, source: SeededRandom): number {
  const x = gamma(a, source);
  return x / (x + gamma(b, source));
}

function gamma(shape: number, source: SeededRandom): number {
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const radius = Math.sqrt(-2 * Math.log(1 - source.float()));
    const z = radius * Math.cos(2 * Math.PI * source.float());
    const v = (1 + c * z) ** 3;
    if (v > 0 && Math.log(1 - source.float()) < (z * z) / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}

export interface ChoiceRegret {
  readonly record: string;
  readonly oursPct: number;
  readonly ucbPct: number;
  readonly thompsonPct: number;
  readonly randomPct: number;
}

/** Useful hours missed, in per cent of the best; chance is averaged over `draws` seeds. */
export function choiceRegret(record: SpotRecord, draws: number): ChoiceRegret {
  const best = bestHours(record);
  const pct = (chooser: Chooser): number => 100 * (1 - usefulHours(record, chooser) / best);
  const mean = (make: (source: SeededRandom) => Chooser): number => {
    let sum = 0;
    for (let i = 0; i < draws; i++) sum += pct(make(new SeededRandom(`choice ${i}`)));
    return sum / draws;
  };
  return {
    record: record.name,
    oursPct: pct(ours(record)),
    ucbPct: pct(ucb(record)),
    thompsonPct: mean((source) => thompson(record, source)),
    randomPct: mean((source) => random(record, source)),
  };
}

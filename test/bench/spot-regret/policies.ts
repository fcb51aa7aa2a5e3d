import {
  afterLook,
  deadlineSteps,
  hazardOf,
  newMarket,
  planDeadline,
  repairOf,
  upShare,
  type DeadlinePlan,
  type MarketBelief,
} from '#market/survival';
import type { Choice, Moment, Policy } from './dollars.js';

const HOUR_MS = 3_600_000;
const none = (): void => undefined;

/** Zones from cheap to dear that were not asked in this step. */
const cheapestFirst = (m: Moment): number[] =>
  m.prices
    .map((price, zone) => ({ price, zone }))
    .filter((z) => !m.failed.has(z.zone) && z.zone !== m.on)
    .sort((a, b) => a.price - b.price)
    .map((z) => z.zone);

/** Spot wherever there is any, cheapest first, else wait; on demand at the last safe moment and to the end. */
export const greedy = (): Policy => ({
  decide: (m) => (m.on !== null ? 'stay' : (cheapestFirst(m)[0] ?? 'idle')),
  looked: none,
});

/** Uniform Progress over several zones (Wu et al., NSDI 2024; failover from cheap to dear). */
export const uniformProgress = (): Policy => ({
  decide: (m) => {
    const done = m.allWork - m.work;
    const due = (steps: number): number => ((m.step + steps) * m.allWork) / m.allTime;
    if (typeof m.on === 'number') return 'stay';
    if (m.on === 'on-demand' && done < due(2)) return 'stay';
    const spot = cheapestFirst(m)[0];
    if (spot !== undefined) return spot;
    return m.on === null && done < due(0) ? 'on-demand' : 'idle';
  },
  looked: none,
});

/** Lifetimes are counted no further. */
const LONGEST_LIFE_H = 2;

/** The unified cost rule of SkyNomad (NSDI 2027 artifact) without paid probes: Nelson-Aalen lifetimes per zone. */
export const skyNomad = (): Policy => {
  const events: number[][] = [];
  const atRisk: number[][] = [];
  const lifeSteps = (zone: number, age: number, cap: number): number => {
    let alive = 1;
    let sum = 0;
    for (let l = age + 1; l <= age + cap; l++) {
      const risk = atRisk[zone]?.[l] ?? 0;
      if (risk > 0) alive *= Math.exp(-(events[zone]?.[l] ?? 0) / risk);
      sum += alive;
    }
    return Math.max(sum, 1e-9);
  };
  return {
    decide: (m) => {
      const shadow = Math.max((m.onDemand * (m.work / m.left)) / (m.allWork / m.allTime), Math.min(...m.prices));
      const cap = Math.round(LONGEST_LIFE_H / m.stepH);
      const utility = (zone: number, age: number, start: number): number => {
        const life = lifeSteps(zone, age, cap);
        return (shadow * Math.max(0, life - start)) / life - (m.prices[zone] ?? 0);
      };
      const now = m.on === null ? 0 : m.on === 'on-demand' ? shadow - m.onDemand : utility(m.on, m.age, 0);
      const margin = m.on === null ? 0 : 0.5 + 0.05 * shadow;
      const options: { choice: Choice; worth: number }[] = cheapestFirst(m).map((zone) => ({
        choice: zone,
        worth: utility(zone, 0, 1),
      }));
      if (m.on !== 'on-demand') options.push({ choice: 'on-demand', worth: shadow - m.onDemand });
      if (m.on !== null) options.push({ choice: 'idle', worth: 0 });
      const best = options.sort((a, b) => b.worth - a.worth)[0];
      return best && best.worth > now + margin ? best.choice : 'stay';
    },
    looked: (_, zone, isUp, age) => {
      if (age === null) return;
      const risk = (atRisk[zone] ??= []);
      risk[age] = (risk[age] ?? 0) + 1;
      const lost = (events[zone] ??= []);
      lost[age] = (lost[age] ?? 0) + Number(!isUp);
    },
  };
};

/** The plan is made anew at each start and loss, and each hour. */
const PLAN_EVERY_H = 1;

/** Berth's own: the room decides, this only passes on what is seen. */
export const ours = (stepH: number, zones: number): Policy => {
  const at = (step: number): number => step * stepH * HOUR_MS;
  let market: MarketBelief = newMarket(zones, 0);
  let plan: DeadlinePlan | null = null;
  let plannedAt = -Infinity;
  const planned = (m: Moment): DeadlinePlan => {
    if (plan && at(m.step) - plannedAt < PLAN_EVERY_H * HOUR_MS) return plan;
    const nowMs = at(m.step);
    plannedAt = nowMs;
    plan = planDeadline({
      zones: m.prices.map((pricePerHour, z) => {
        return {
          pricePerHour,
          hazard: hazardOf(market, z, nowMs),
          repair: repairOf(market, z, nowMs),
          upShare: upShare(market, z, nowMs),
        };
      }),
      onDemandPerHour: m.onDemand,
      restartH: stepH,
      workH: m.work * stepH,
      slackH: Math.max(0, m.left - m.work - 1) * stepH,
    });
    return plan;
  };
  let first: number | null = null;
  return {
    decide: (m) => {
      first ??= m.step;
      const footing =
        m.on === null
          ? ({ kind: 'idle' } as const)
          : m.on === 'on-demand'
            ? ({ kind: 'on-demand' } as const)
            : ({ kind: 'spot', zone: m.on, ageH: m.age * stepH } as const);
      const moment = { workH: m.work * stepH, leftH: m.left * stepH, footing };
      for (const step of deadlineSteps(planned(m), moment)) {
        if (step.kind !== 'ask') return step.kind;
        if (!m.failed.has(step.zone)) return step.zone;
      }
      return 'stay';
    },
    looked: (step, zone, isUp, age) => {
      const ages = age === null ? {} : { ages: { fromH: (age - 1) * stepH, toH: age * stepH } };
      market = afterLook(market, { zone, atMs: at(step), isUp, ...ages });
      if (age !== null && !isUp) plannedAt = -Infinity;
    },
  };
};

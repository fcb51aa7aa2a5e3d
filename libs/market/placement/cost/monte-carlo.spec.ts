import { describe, expect, it } from '@jest/globals';
import { SeededRandom, usd } from '#kernel';
import type { Offer, WorkloadInput } from '#contracts';
import { defaultPriors, type Reliability } from '#market/reliability';
import { beliefOf } from '../columns/narrow-beliefs.js';
import { demandOf } from '../fit/demand.js';
import { contextWith, offerWith, perfect, priorsOf, workloadWith } from '../placement.fixture.js';
import { expectedCost, spentOf, timeTerms, type TimeTerms } from './cost.js';

/**
 * The process that the cost stands for, played many times with another formula nowhere in sight: order until a start
 * works, boot, work with checkpoints, be lost at an age, notice, order again; each lease billed by minimum and step.
 */
interface Process {
  readonly usefulS: number;
  readonly checkpointS: number;
  readonly checkpointCostS: number;
  readonly machines: number;
  readonly reliability: Reliability;
  readonly billing: { readonly minimumS: number; readonly incrementS: number };
  readonly termS: number;
  readonly pricePerS: number;
}

const GANG = 0.4;

/** Age at which a machine is lost, by inverting the cumulative hazard. */
function ageAtLoss(r: Reliability, gang: number, u: number): number {
  let left = -Math.log(1 - u);
  let fromS = 0;
  for (const band of r.hazardPerHourByAge) {
    const perS = (band.perHour * gang) / 3_600;
    const lasts = band.untilH * 3_600 - fromS;
    if (perS * lasts > left) return fromS + left / perS;
    left -= perS * lasts;
    fromS += lasts;
  }
  return Infinity;
}

function billed(usedS: number, { minimumS, incrementS }: Process['billing']): number {
  const whole = incrementS > 0 ? Math.ceil(usedS / incrementS - 1e-9) * incrementS : usedS;
  return Math.max(whole, minimumS);
}

function play(p: Process, random: () => number): { dollars: number; seconds: number } {
  const { reliability: r } = p;
  const gang = p.machines ** GANG;
  const failP = 1 - (1 - r.startFailureP) ** gang;
  let seconds = 0;
  let billedS = 0;
  let done = 0;
  for (;;) {
    while (random() < failP) {
      seconds += r.failedStartS;
      if (r.failedStartBilledS > 0)
        billedS += p.termS > 0 ? r.failedStartBilledS : billed(r.failedStartBilledS, p.billing);
    }
    seconds += r.bootS;
    const lostAt = ageAtLoss(r, gang, random());
    const stretches = Math.ceil((p.usefulS - done) / p.checkpointS - 1e-9);
    const throughS = p.usefulS - done + stretches * p.checkpointCostS;
    const isLost = lostAt < throughS;
    const age = isLost ? lostAt : throughS;
    // Whole stretches count once their checkpoint is written; the last one may be shorter.
    if (isLost) done += Math.min(stretches - 1, Math.floor(age / (p.checkpointS + p.checkpointCostS))) * p.checkpointS;
    seconds += age;
    const used = r.bootBilledS + age;
    billedS += p.termS > 0 ? used : billed(used, p.billing);
    if (!isLost) break;
    seconds += r.detectS;
  }
  return { dollars: Math.max(billedS, p.termS) * p.machines * p.pricePerS, seconds };
}

const spot = defaultPriors.byKind.hyperscaler.spot;
const steady = defaultPriors.byKind.hyperscaler.steady;
const node = defaultPriors.byKind.decentralized.steady;
const hourly = { minimumS: 0, incrementS: 3_600 };
const perSecond = { minimumS: 60, incrementS: 1 };
const perMinute = { minimumS: 600, incrementS: 60 };
const constant = (perHour: number): Reliability => ({
  ...perfect,
  startFailureP: 0.2,
  hazardPerHourByAge: [{ untilH: Infinity, perHour }],
  bootS: 300,
  bootBilledS: 200,
  failedStartS: 120,
  failedStartBilledS: 40,
  detectS: 60,
});

interface Case {
  readonly name: string;
  readonly hours: number;
  readonly reliability: Reliability;
  readonly billing: Offer['billing'];
  readonly workload?: WorkloadInput;
  readonly pricing?: Offer['pricing'];
  readonly checkpointCostS?: number;
}

const cases: readonly Case[] = [
  { name: 'short on demand by the second', hours: 0.4, reliability: steady, billing: perSecond },
  { name: 'short on demand by the hour', hours: 0.4, reliability: steady, billing: hourly },
  { name: 'a day on demand by the hour', hours: 24.3, reliability: steady, billing: hourly },
  { name: 'a day with a node operator', hours: 24, reliability: node, billing: hourly },
  { name: 'ten minutes of spot', hours: 1 / 6, reliability: spot, billing: perSecond },
  { name: 'ten minutes of spot by the hour', hours: 1 / 6, reliability: spot, billing: hourly },
  { name: 'two hours of spot', hours: 2, reliability: spot, billing: perSecond },
  { name: 'two hours of spot by the hour', hours: 2.2, reliability: spot, billing: hourly },
  {
    name: 'two hours of spot, one checkpoint',
    hours: 2,
    reliability: spot,
    billing: hourly,
    workload: { checkpointS: 3_600 },
  },
  { name: 'twelve hours of spot with a minimum', hours: 12, reliability: spot, billing: perMinute },
  { name: 'twelve hours of spot by the hour', hours: 12.7, reliability: spot, billing: hourly, checkpointCostS: 20 },
  {
    name: 'a week of spot',
    hours: 168,
    reliability: spot,
    billing: perSecond,
    workload: { checkpointS: 1_200 },
    checkpointCostS: 45,
  },
  { name: 'a month of spot by the hour', hours: 720, reliability: spot, billing: hourly },
  {
    name: 'a gang of 16 on spot',
    hours: 10,
    reliability: spot,
    billing: perSecond,
    workload: { nodes: 16 },
    checkpointCostS: 30,
  },
  {
    name: 'a gang of 8 on demand',
    hours: 40,
    reliability: constant(0.02),
    billing: hourly,
    workload: { nodes: 8, checkpointS: 3_600 },
  },
  {
    name: 'high constant hazard',
    hours: 6,
    reliability: constant(2),
    billing: perMinute,
    workload: { checkpointS: 900 },
    checkpointCostS: 30,
  },
  {
    name: 'high hazard, far checkpoints',
    hours: 3,
    reliability: constant(1.5),
    billing: hourly,
    workload: { checkpointS: 5_400 },
  },
  {
    name: 'no checkpoint at all',
    hours: 5,
    reliability: constant(0.2),
    billing: hourly,
    workload: { checkpointS: 604_800 },
  },
  {
    name: 'reserved for a year, used for a day',
    hours: 24,
    reliability: steady,
    billing: perSecond,
    pricing: 'reserved-1y',
  },
  {
    name: 'steps that the work is not a multiple of',
    hours: 1.234,
    reliability: constant(1),
    billing: { minimumS: 100, incrementS: 777 },
    workload: { checkpointS: 333 },
  },
];

function termsOf(c: Case): { time: TimeTerms; dollars: number } {
  const offer = offerWith({ billing: c.billing, ...(c.pricing ? { pricing: c.pricing } : {}) });
  const context = contextWith({ reliability: priorsOf(c.reliability), checkpointCostS: c.checkpointCostS ?? 0 });
  const time = timeTerms(context, demandOf(workloadWith(c.workload)), offer, c.hours * 3_600, beliefOf(context, offer));
  return { time, dollars: Number(spentOf(expectedCost(time, Number(usd('2')), 1))) / 1e9 };
}

describe('the expected cost against the process that it stands for, played', () => {
  it.each(cases)('$name: dollars and time within 2 %, its 90th percentile within 3 %', (c) => {
    const { time, dollars } = termsOf(c);
    const workload = workloadWith(c.workload);
    const process: Process = {
      usefulS: c.hours * 3_600,
      checkpointS: workload.checkpointS,
      checkpointCostS: c.checkpointCostS ?? 0,
      machines: workload.nodes,
      reliability: c.reliability,
      billing: c.billing,
      termS: c.pricing === 'reserved-1y' ? 365 * 86_400 : 0,
      pricePerS: 2 / 3_600,
    };
    const random = new SeededRandom(c.name);
    // Long work averages over its own losses: fewer plays say as much.
    const n = c.hours > 100 ? 600 : c.hours > 8 ? 4_000 : 20_000;
    const times = new Float64Array(n);
    let paid = 0;
    for (let i = 0; i < n; i++) {
      const run = play(process, () => random.float());
      paid += run.dollars / n;
      times[i] = run.seconds;
    }
    const mean = times.reduce((a, b) => a + b, 0) / n;
    const p90 = times.sort()[Math.floor(0.9 * n)] ?? NaN;
    expect(Math.abs(dollars / paid - 1)).toBeLessThan(0.02);
    expect(Math.abs(time.expectedS / mean - 1)).toBeLessThan(0.02);
    expect(Math.abs(time.p90S / p90 - 1)).toBeLessThan(0.03);
  });
});

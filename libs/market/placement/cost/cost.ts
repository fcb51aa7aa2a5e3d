import { objectiveWeights } from './objectives.js';
import { egressDollarsPerGB, type PlacementContext } from '../context.js';
import type { Demand } from '../fit/demand.js';
import type { Seller } from '../columns/catalog-index.js';
import { wayOf, type GangBelief, type Reliability } from '#market/reliability';
import { GANG_PRIOR } from '#market/survival';
import { checkpointing } from './checkpoint.js';
import { billedS, type LeaseBilling } from './billing.js';
import { excessQuantileS, expectedLateS, lossVariance } from './quantile.js';
import { renewal } from './renewal.js';

const NANO = 1e9;
const YEAR_S = 365 * 86_400;
const MONTH_S = YEAR_S / 12;
/** Work that would have to be run ten thousand times over is never finished. */
const HOPELESS = 1e4;
/** Nor is what takes three hundred thousand years; its costs would be no amounts any more. */
const NEVER_S = 1e13;

/** A gang of machines that hardly ever start: one start in a million works, so that what is reckoned with it stays a number. */
const MOST_FAILURE_P = 1 - 1e-6;

const gangPrior: GangBelief = { exponent: GANG_PRIOR.mean, batches: 0 };

/**
 * The time side of an offer's cost: everything that does not depend on its price and confidence, so that offers which
 * share useful time, reliability and billing share one. Hours of `priced` are per dollar of hourly price, whole gang.
 */
export interface TimeTerms {
  readonly usefulS: number;
  /** Until the work is finished: boots, failed starts, losses and their detection included. */
  readonly expectedS: number;
  readonly p90S: number;
  readonly losses: number;
  readonly lostPerLossS: number;
  /** Failed starts expected before each start that works. */
  readonly failuresPerStart: number;
  /** Expected seconds after the moment from which being late costs; 0 where it costs nothing. */
  readonly lateS: number;
  /** Work between checkpoints. */
  readonly checkpointS: number;
  readonly reliability: Reliability;
  readonly machines: number;
  /** What says how many times as often the gang is lost as one machine of it. */
  readonly gang: GangBelief;
  /** Billed hours by term. */
  readonly computeH: number;
  readonly restartsH: number;
  readonly failedStartsH: number;
  readonly coldStartH: number;
  readonly billingWasteH: number;
  /** All of them together. */
  readonly billedH: number;
  readonly egressNano: number;
  readonly storageNano: number;
  readonly timeValueNano: number;
  /** What does not depend on the price. */
  readonly fixedNano: number;
  readonly riskAversion: number;
  /** Billed hours and value of the time that one loss takes, and the same for one failed start. */
  readonly lossH: number;
  readonly lossNano: number;
  readonly failureH: number;
  readonly failureNano: number;
  /** Variances of the numbers of losses and of failed starts. */
  readonly lossesVariance: number;
  readonly failuresVariance: number;
}

/** Seconds that a commitment is paid for, used or not; 0 = none. */
function committedS(seller: Seller): number {
  return seller.pricing === 'reserved-1y' ? YEAR_S : seller.pricing === 'reserved-3y' ? 3 * YEAR_S : 0;
}

/** How one lease is billed; a warm lease has paid its boot and minimum already, a commitment only knows its term. */
function billingOf(seller: Seller, r: Reliability): LeaseBilling {
  const { minimumS, incrementS } = seller.billing;
  if (committedS(seller) > 0) return { bootBilledS: r.bootBilledS, minimumS: 0, incrementS: 0 };
  return { bootBilledS: r.bootBilledS, minimumS: seller.via.kind === 'warm-lease' ? 0 : minimumS, incrementS };
}

/** `r` is what is believed of the offers that share these terms. */
export function timeTerms(
  context: PlacementContext,
  demand: Demand,
  seller: Seller,
  usefulS: number,
  r: Reliability,
): TimeTerms {
  const { workload } = demand;
  const weights = objectiveWeights[workload.objective];
  const machines = workload.nodes;
  const belief = context.reliability.gang?.[wayOf(seller.pricing)] ?? gangPrior;
  const gang = machines ** belief.exponent;
  const billing = billingOf(seller, r);
  const checkpoints = checkpointing(workload, context.checkpointCostS, usefulS, r.hazardPerHourByAge, gang);
  const run = renewal({
    usefulS,
    checkpointS: checkpoints.intervalS,
    checkpointCostS: checkpoints.costS,
    bands: r.hazardPerHourByAge,
    hazardFactor: gang,
    billing,
  });
  const { losses } = run;
  // A gang starts all together or not at all; its members fail as dependently as they are lost.
  const p = Math.min(MOST_FAILURE_P, 1 - (1 - r.startFailureP) ** gang);
  const failuresPerStart = p / (1 - p);
  const starts = 1 + losses;
  const failures = starts * failuresPerStart;
  const restartS = r.detectS + r.bootS;
  const waitS = r.bootS + run.runningS + losses * restartS + failures * r.failedStartS;
  const isHopeless = !(run.runningS <= HOPELESS * Math.max(usefulS, 1) && waitS <= NEVER_S);

  const lossS = run.lostPerLossS + restartS + failuresPerStart * r.failedStartS;
  const failuresVariance = (starts * p) / (1 - p) ** 2;
  const smoothS = r.bootS + run.horizonS;
  const excess = {
    noneP: run.surviveP * (1 - p),
    meanS: Math.max(0, waitS - smoothS),
    variance: lossVariance(run, lossS, checkpoints.intervalS) + failuresVariance * r.failedStartS ** 2,
  };
  const p90S = smoothS + excessQuantileS(excess);

  // A start that fails is billed by the same rules as a lease, if it is billed at all.
  const failedBilledS =
    r.failedStartBilledS > 0 ? billedS(r.failedStartBilledS, billing.minimumS, billing.incrementS) : 0;
  const usedS = run.runningS + starts * r.bootBilledS + failures * r.failedStartBilledS;
  const billed = Math.max(run.billedS + failures * failedBilledS, committedS(seller));

  const computeH = usefulS / 3_600;
  const restartsH = (Math.max(0, run.runningS - usefulS) + losses * r.bootBilledS) / 3_600;
  const failedStartsH = (failures * r.failedStartBilledS) / 3_600;
  const coldStartH = r.bootBilledS / 3_600;
  const billingWasteH = Math.max(0, billed - usedS) / 3_600;
  const egressNano = Math.round(workload.egressGB * egressDollarsPerGB(context, seller) * NANO);
  const storageNano = Math.round(
    workload.storageGB * context.storageDollarsPerGBMonth[seller.providerKind] * (waitS / MONTH_S) * NANO,
  );
  const nanoPerS = (weights.dollarsPerHour * NANO) / 3_600;
  const { lateness } = workload;
  const lateS = lateness ? expectedLateS(excess, lateness.afterS - smoothS) : 0;
  const timeValueNano = Math.round(nanoPerS * waitS + ((lateness?.dollarsPerHour ?? 0) * NANO * lateS) / 3_600);
  return {
    usefulS,
    expectedS: isHopeless ? Infinity : waitS,
    p90S: isHopeless ? Infinity : p90S,
    losses,
    lostPerLossS: run.lostPerLossS,
    failuresPerStart,
    reliability: r,
    machines,
    gang: belief,
    computeH,
    restartsH,
    failedStartsH,
    coldStartH,
    billingWasteH,
    billedH: computeH + restartsH + failedStartsH + coldStartH + billingWasteH,
    checkpointS: checkpoints.intervalS,
    lateS,
    egressNano,
    storageNano,
    timeValueNano,
    fixedNano: egressNano + storageNano + timeValueNano,
    riskAversion: weights.riskAversion,
    lossH: (run.lostPerLossS + r.bootBilledS) / 3_600,
    lossNano: nanoPerS * lossS,
    lossesVariance: run.lossesVariance,
    failureH: r.failedStartBilledS / 3_600,
    failureNano: nanoPerS * r.failedStartS,
    failuresVariance,
  };
}

/** Whole nano-dollars each, as numbers: exact below 9 million dollars. */
export interface CostNumbers {
  compute: number;
  restarts: number;
  failedStarts: number;
  coldStart: number;
  billingWaste: number;
  egress: number;
  storage: number;
  timeValue: number;
  risk: number;
}

/** Money that is really spent: all terms but the value of time and the charge for risk. */
export function spentNano(t: TimeTerms, pricePerHour: number): number {
  const price = pricePerHour * t.machines;
  return (
    Math.round(price * t.computeH) +
    Math.round(price * t.restartsH) +
    Math.round(price * t.failedStartsH) +
    Math.round(price * t.coldStartH) +
    Math.round(price * t.billingWasteH) +
    t.egressNano +
    t.storageNano
  );
}

/**
 * Risk aversion times one standard deviation of the cost: how far the figures themselves may be off
 * (1 - confidence, of all the money) and the luck of losses and failed starts.
 */
export function riskNano(t: TimeTerms, pricePerHour: number, confidence: number, spent: number): number {
  const price = pricePerHour * t.machines;
  const doubt = (1 - confidence) * spent;
  const loss = price * t.lossH + t.lossNano;
  const failure = price * t.failureH + t.failureNano;
  return Math.round(
    t.riskAversion * Math.sqrt(doubt * doubt + t.lossesVariance * loss * loss + t.failuresVariance * failure * failure),
  );
}

/** The terms of one offer; each is rounded once, and the total is their sum. */
export function costNumbers(t: TimeTerms, pricePerHour: number, confidence: number): CostNumbers {
  const price = pricePerHour * t.machines;
  return {
    compute: Math.round(price * t.computeH),
    restarts: Math.round(price * t.restartsH),
    failedStarts: Math.round(price * t.failedStartsH),
    coldStart: Math.round(price * t.coldStartH),
    billingWaste: Math.round(price * t.billingWasteH),
    egress: t.egressNano,
    storage: t.storageNano,
    timeValue: t.timeValueNano,
    risk: riskNano(t, pricePerHour, confidence, spentNano(t, pricePerHour)),
  };
}

/** The expected cost of the finished work in whole nano-dollars, term by term. */
export interface ExpectedCost {
  readonly compute: bigint;
  readonly restarts: bigint;
  readonly failedStarts: bigint;
  readonly coldStart: bigint;
  readonly billingWaste: bigint;
  readonly egress: bigint;
  readonly storage: bigint;
  readonly timeValue: bigint;
  readonly risk: bigint;
  /** The sum of the terms, exactly. */
  readonly total: bigint;
}

export function expectedCost(t: TimeTerms, pricePerHour: number, confidence: number): ExpectedCost {
  const n = costNumbers(t, pricePerHour, confidence);
  const terms = {
    compute: BigInt(n.compute),
    restarts: BigInt(n.restarts),
    failedStarts: BigInt(n.failedStarts),
    coldStart: BigInt(n.coldStart),
    billingWaste: BigInt(n.billingWaste),
    egress: BigInt(n.egress),
    storage: BigInt(n.storage),
    timeValue: BigInt(n.timeValue),
    risk: BigInt(n.risk),
  };
  return { ...terms, total: Object.values(terms).reduce((sum, term) => sum + term, 0n) };
}

/** Whole days since an observation. */
export function ageDays(context: PlacementContext, observedAtMs: number): number {
  return Math.max(0, Math.floor((context.nowMs - observedAtMs) / 86_400_000));
}

/** Share of confidence left after that many days: half after a year. */
export const shareLeft = (days: number): number => 0.5 ** (days / 365);

/** Old price lists are believed less where nothing is refused as stale. */
export function agedConfidence(context: PlacementContext, confidence: number, observedAtMs: number): number {
  return context.scope === 'rentable' ? confidence : confidence * shareLeft(ageDays(context, observedAtMs));
}

/** Money that is really spent, of exact terms. */
export function spentOf(cost: ExpectedCost): bigint {
  return cost.total - cost.timeValue - cost.risk;
}

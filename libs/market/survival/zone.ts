import { cumulativeHazard, scaledBands, type HazardBand } from './bands.js';
import { SPOT_HAZARD, SPOT_REPAIR, SPOT_UP_SHARE } from './priors.js';
import { noProportionEvidence, observeTrial, proportionOf, type ProportionEvidence } from './proportion.js';
import { meanRatio, noRateEvidence, observeRate, type RateEvidence, type RatePrior } from './rate.js';

/** What was learnt about places that machines are asked from: losses, repairs and what looks found. */
export interface PlaceEvidence {
  readonly hazard: RateEvidence;
  readonly repair: RateEvidence;
  readonly looks: ProportionEvidence;
}

/** One place, with what the last look at it found. */
export interface ZoneBelief extends PlaceEvidence {
  readonly lastLook: { readonly atMs: number; readonly isUp: boolean; readonly sinceMs: number } | null;
}

/** Places that are alike: each is believed to be like all of them until it shows otherwise. Plain data. */
export interface MarketBelief {
  readonly pool: PlaceEvidence;
  readonly zones: readonly ZoneBelief[];
}

/** What the belief before any evidence is worth: losses (or repairs) for the pool and for a place against the pool, then looks. */
const POOL_EVENTS = 10;
const ZONE_EVENTS = 3;
const POOL_LOOKS = 2;
const ZONE_LOOKS = 1;
const ONE: RatePrior = { ratio: 1, events: POOL_EVENTS };
/** Looks shortly after each other find the same. */
const LOOK_MEMORY_H = 0.5;
/** A longer time between looks says little about when in it something changed. */
const LONGEST_GAP_H = 1;
const HOUR_MS = 3_600_000;

const noEvidence = (atMs: number): PlaceEvidence => ({
  hazard: noRateEvidence(atMs),
  repair: noRateEvidence(atMs),
  looks: noProportionEvidence(atMs),
});

export const newMarket = (zones: number, atMs: number): MarketBelief => ({
  pool: noEvidence(atMs),
  zones: Array.from({ length: zones }, () => ({ ...noEvidence(atMs), lastLook: null })),
});

const poolPrior = (pool: RateEvidence, atMs: number): RatePrior => ({
  ratio: meanRatio(pool, atMs, ONE),
  events: ZONE_EVENTS,
});

/** What a look found: an attempt to start, or a machine that runs or was lost there. */
export interface Look {
  readonly zone: number;
  readonly atMs: number;
  readonly isUp: boolean;
  /** Set while a machine of ours runs there or was just lost: its age at the look before and now. */
  readonly ages?: { readonly fromH: number; readonly toH: number };
}

/** The market after one more look at one place. */
export function afterLook(market: MarketBelief, look: Look): MarketBelief {
  const before = market.zones[look.zone];
  if (!before) return market;
  const { atMs, isUp } = look;
  const last = before.lastLook;
  const gapH = last ? Math.max(0, atMs - last.atMs) / HOUR_MS : Infinity;
  const evidence = { pool: market.pool, zone: before as PlaceEvidence };
  const rate = (kind: 'hazard' | 'repair', events: number, expected: number): void => {
    const seen = { atMs, events, expected };
    const prior = poolPrior(evidence.pool[kind], atMs);
    evidence.zone = { ...evidence.zone, [kind]: observeRate(evidence.zone[kind], seen, prior) };
    evidence.pool = { ...evidence.pool, [kind]: observeRate(evidence.pool[kind], seen, ONE) };
  };
  if (look.ages) rate('hazard', isUp ? 0 : 1, cumulativeHazard(SPOT_HAZARD, look.ages.fromH, look.ages.toH));
  else if (last && !last.isUp) {
    const fromH = (last.atMs - last.sinceMs) / HOUR_MS;
    const expected = cumulativeHazard(SPOT_REPAIR, fromH, fromH + Math.min(gapH, LONGEST_GAP_H));
    // When it came back within the gap is not known: the mean of the exposure up to it, at the prior rate.
    rate('repair', isUp ? 1 : 0, isUp ? exposureUntilEvent(expected) : expected);
  }
  const worth = -Math.expm1(-gapH / LOOK_MEMORY_H);
  if (worth > 0) {
    const seen = { atMs, isGood: isUp, worth };
    evidence.zone = {
      ...evidence.zone,
      looks: observeTrial(evidence.zone.looks, seen, looksPrior(evidence.pool, atMs)),
    };
    evidence.pool = { ...evidence.pool, looks: observeTrial(evidence.pool.looks, seen, ALL_LOOKS) };
  }
  const sinceMs = last && last.isUp === isUp ? last.sinceMs : atMs;
  const zone: ZoneBelief = { ...evidence.zone, lastLook: { atMs, isUp, sinceMs } };
  return { pool: evidence.pool, zones: market.zones.map((z, i) => (i === look.zone ? zone : z)) };
}

const ALL_LOOKS = { mean: SPOT_UP_SHARE, trials: POOL_LOOKS };
const looksPrior = (pool: PlaceEvidence, atMs: number): { mean: number; trials: number } => ({
  mean: proportionOf(pool.looks, atMs, ALL_LOOKS).mean,
  trials: ZONE_LOOKS,
});

/** E[X | X < x] of a unit exponential: how much of an exposure x was lived through by what happened within it. */
const exposureUntilEvent = (x: number): number => (x < 1e-6 ? x / 2 : 1 - x / Math.expm1(x));

/** Losses per hour by age in that place. */
export const hazardOf = (market: MarketBelief, zone: number, nowMs: number): HazardBand[] =>
  bandsOf(SPOT_HAZARD, 'hazard', market, zone, nowMs);

/** Returns per hour by the time without, in that place. */
export const repairOf = (market: MarketBelief, zone: number, nowMs: number): HazardBand[] =>
  bandsOf(SPOT_REPAIR, 'repair', market, zone, nowMs);

function bandsOf(
  bands: readonly HazardBand[],
  kind: 'hazard' | 'repair',
  market: MarketBelief,
  zone: number,
  nowMs: number,
): HazardBand[] {
  const prior = poolPrior(market.pool[kind], nowMs);
  const own = market.zones[zone];
  return scaledBands(bands, own ? meanRatio(own[kind], nowMs, prior) : prior.ratio);
}

/** Share of the time that the place is up, whatever was seen last. */
export function upShare(market: MarketBelief, zone: number, nowMs: number): number {
  const prior = looksPrior(market.pool, nowMs);
  const own = market.zones[zone];
  return own ? proportionOf(own.looks, nowMs, prior).mean : prior.mean;
}

/**
 * Probability that the place is up now. Seen down, it is back with the chance of a repair since, and may be gone again;
 * seen up long ago, it goes back to its share of the time.
 */
export function upNowP(market: MarketBelief, zone: number, nowMs: number): number {
  const share = upShare(market, zone, nowMs);
  const last = market.zones[zone]?.lastLook ?? null;
  if (!last) return share;
  const sinceLookH = Math.max(0, nowMs - last.atMs) / HOUR_MS;
  const ageH = (last.atMs - last.sinceMs) / HOUR_MS;
  const bands = last.isUp ? hazardOf(market, zone, nowMs) : repairOf(market, zone, nowMs);
  const changed = -Math.expm1(-cumulativeHazard(bands, ageH, ageH + sinceLookH));
  if (last.isUp) return 1 - changed * (1 - share);
  const fresh = Math.exp(-sinceLookH / RETURN_MEMORY_H);
  return changed * (share + (1 - share) * fresh);
}

/** A place that came back is up for about that long before it is like any other moment. */
const RETURN_MEMORY_H = 1;

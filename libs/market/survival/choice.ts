import { expectedLifetimeH } from './bands.js';
import { hazardOf, upNowP, type MarketBelief } from './zone.js';

export interface ChoiceTerms {
  /** Hours that one attempt takes, whether it works or not. */
  readonly attemptH: number;
  /** Hours of a start in which nothing useful is done. */
  readonly restartH: number;
}

/** Beyond that a lease is as good as kept. */
const HORIZON_H = 6;
/** Share of time that is useful in the long run: what an hour is worth elsewhere. */
const USEFUL_SHARE = 0.9;

/**
 * Where to ask next when one attempt is made at a time: the place with the most useful hours to be won against asking
 * elsewhere. An attempt at z wins P(up) (L (1 - u) - restart + u attempt) - u attempt, with L its expected lifetime and u
 * the share of useful hours elsewhere.
 */
export function chooseZone(market: MarketBelief, nowMs: number, terms: ChoiceTerms): number {
  let best = 0;
  let most = -Infinity;
  market.zones.forEach((_, zone) => {
    const value = attemptValueH(market, zone, nowMs, terms);
    if (value > most) {
      most = value;
      best = zone;
    }
  });
  return best;
}

export function attemptValueH(market: MarketBelief, zone: number, nowMs: number, terms: ChoiceTerms): number {
  const lifetimeH = expectedLifetimeH(hazardOf(market, zone, nowMs), 0, HORIZON_H);
  const won = lifetimeH * (1 - USEFUL_SHARE) - terms.restartH + USEFUL_SHARE * terms.attemptH;
  return upNowP(market, zone, nowMs) * won - USEFUL_SHARE * terms.attemptH;
}

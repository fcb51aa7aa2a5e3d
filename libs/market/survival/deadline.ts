import { survivalP } from './bands.js';
import { AGES_H, between, read, type DeadlinePlan } from './deadline-plan.js';

/** What the work runs on. */
export type Footing =
  | { readonly kind: 'idle' }
  | { readonly kind: 'on-demand' }
  | { readonly kind: 'spot'; readonly zone: number; readonly ageH: number };

export interface DeadlineMoment {
  readonly workH: number;
  /** Until the deadline. */
  readonly leftH: number;
  readonly footing: Footing;
}

export type Step = { readonly kind: 'stay' | 'idle' | 'on-demand' } | { readonly kind: 'ask'; readonly zone: number };

/**
 * While slack is more than that part of the work, on demand is not begun: it costs the same later, and a market that is
 * worse than believed mostly recovers in the meantime.
 */
const AMPLE = 0.2;

/**
 * What to do now, best first: places to ask in that order, then what to do when none of them has any. Whatever is
 * believed, nothing is begun that could make the work late: with no slack left it is a running machine or on demand.
 */
export function deadlineSteps(plan: DeadlinePlan, moment: DeadlineMoment): Step[] {
  const { restartH, onDemandPerHour, zones } = plan.terms;
  const { workH, footing } = moment;
  const slackH = moment.leftH - workH - restartH;
  const affordable = slackH >= restartH - 1e-9;
  const isOn = footing.kind === 'on-demand';
  const startsOnDemand = isOn
    ? Infinity
    : restartH * onDemandPerHour +
      (affordable ? read(plan, plan.onDemand, workH, slackH - restartH) : workH * onDemandPerHour);
  let rest: { step: Step; worth: number } = { step: { kind: 'on-demand' }, worth: startsOnDemand };
  if (isOn) {
    const worth =
      restartH * onDemandPerHour + read(plan, plan.onDemand, Math.max(0, workH - restartH), Math.max(0, slackH));
    rest = { step: { kind: 'stay' }, worth };
  } else if (footing.kind === 'spot') {
    const stays = stayWorth(plan, footing, workH, Math.max(0, slackH));
    if (stays <= startsOnDemand || slackH > AMPLE * workH) rest = { step: { kind: 'stay' }, worth: stays };
  } else if (affordable) {
    const waits = read(plan, plan.idle, workH, slackH);
    if (waits < startsOnDemand || slackH > AMPLE * workH) rest = { step: { kind: 'idle' }, worth: waits };
  }
  if (!affordable) return [rest.step];
  const asks = zones
    .map((_, zone) => ({ zone, worth: read(plan, plan.start[zone] ?? plan.idle, workH, slackH) }))
    .filter((z) => !(footing.kind === 'spot' && footing.zone === z.zone))
    .filter((z) => z.worth < rest.worth)
    .sort((a, b) => a.worth - b.worth);
  return [...asks.map((z): Step => ({ kind: 'ask', zone: z.zone })), rest.step];
}

/** One restart's time on the machine that runs, then as planned; asking elsewhere is not part of it. */
function stayWorth(plan: DeadlinePlan, footing: Footing & { kind: 'spot' }, workH: number, slackH: number): number {
  const { restartH, zones } = plan.terms;
  const zone = zones[footing.zone];
  const rows = plan.running[footing.zone];
  if (!zone || !rows) return Infinity;
  const left = Math.max(0, workH - restartH);
  const { to, share } = between(AGES_H, footing.ageH + restartH);
  const young = read(plan, rows[to] ?? plan.idle, left, slackH);
  const next = share === 0 ? young : young + share * (read(plan, rows[to + 1] ?? plan.idle, left, slackH) - young);
  const survives = survivalP(zone.hazard, footing.ageH, restartH);
  const gone = read(plan, plan.lost[footing.zone] ?? plan.idle, left, slackH);
  return zone.pricePerHour * restartH + survives * next + (1 - survives) * gone;
}

import { providerKinds, type ProviderKind } from '#contracts';
import {
  cumulativeHazard,
  durationOf,
  meanDurationS,
  noDurationEvidence,
  noProportionEvidence,
  noRateEvidence,
  observeDuration,
  observeRate,
  observeTrial,
  proportionOf,
  ratioOf,
  scaledBands,
  type DurationPrior,
  type Posterior,
  type ProportionPrior,
  type RatePrior,
} from '#market/survival';
import type { LeaseScope, OutcomeRow, ScopeEvidence } from './outcomes.table.js';
import { defaultPriors, LOAD_S } from './priors.js';
import type { Reliability } from './reliability.js';

/** What belief in the wider scope is worth against own evidence: trials, losses and boots. The kind's table is worth more. */
const KIND = { trials: 10, losses: 5, boots: 5 };
const BELOW = { trials: 3, losses: 0.7, boots: 2 };
/** Boots of one kind of machine differ by that much (standard deviation of the logarithm) before any was seen. */
const BOOT_SPREAD = 0.5;

export const isSpot = (pricing: LeaseScope['pricing']): boolean => pricing === 'spot';

/** Names come from vendors: no name may look like two scopes. */
const quoted = (name: string): string => encodeURIComponent(name);

/**
 * Scopes from the widest to the narrowest. Losses of spot machines and faults of steady ones are different things: they
 * are told apart first.
 */
export function scopesOf(of: Partial<LeaseScope> & Pick<LeaseScope, 'providerKind' | 'pricing'>): string[] {
  let scope = `${of.providerKind}/${isSpot(of.pricing) ? 'spot' : 'steady'}`;
  const scopes = [scope];
  for (const name of [of.providerId, of.region, of.sku, of.pricing, of.hostId]) {
    if (name === undefined || name === null) break;
    scope = `${scope}/${quoted(name)}`;
    scopes.push(scope);
  }
  return scopes;
}

/** How many names a scope has below its kind. */
export const depthOf = (scope: string): number => scope.split('/').length - 2;

export function providerOfScope(
  scope: string,
): { providerKind: ProviderKind; isSpot: boolean; providerId: string } | null {
  const [kind, way, name] = scope.split('/');
  const providerKind = providerKinds.find((k) => k === kind);
  if (!providerKind || name === undefined) return null;
  return { providerKind, isSpot: way === 'spot', providerId: decodeURIComponent(name) };
}

const tableOf = (of: Pick<LeaseScope, 'providerKind' | 'pricing'>): Reliability => {
  const row = defaultPriors.byKind[of.providerKind];
  return isSpot(of.pricing) ? row.spot : row.steady;
};

export const noScopeEvidence = (atMs: number): ScopeEvidence => ({
  starts: noProportionEvidence(atMs),
  hazard: noRateEvidence(atMs),
  boot: noDurationEvidence(atMs),
});

interface Priors {
  readonly failure: ProportionPrior;
  readonly hazard: RatePrior;
  readonly boot: DurationPrior;
}

/** What a scope's own evidence is weighed against: what is believed of the scope around it. */
function priorsAt(table: Reliability, depth: number, around: Believed | null): Priors {
  const worth = depth === 0 ? KIND : BELOW;
  const boot = around?.boot ?? { medianS: Math.max(1, table.bootS - LOAD_S), spread: BOOT_SPREAD };
  return {
    failure: { mean: around?.failure.mean ?? table.startFailureP, trials: worth.trials },
    hazard: { ratio: around?.hazard.mean ?? 1, events: worth.losses },
    boot: { ...boot, n: worth.boots },
  };
}

interface Believed {
  readonly failure: Posterior;
  /** Losses against those that the table's hazard by age would bring. */
  readonly hazard: Posterior;
  readonly boot: DurationPrior;
}

function believedAt(evidence: ScopeEvidence, prior: Priors, nowMs: number): Believed {
  return {
    failure: proportionOf(evidence.starts, nowMs, prior.failure),
    hazard: ratioOf(evidence.hazard, nowMs, prior.hazard),
    boot: durationOf(evidence.boot, nowMs, prior.boot),
  };
}

/** Evidence after one more outcome, in each scope that it belongs to. `starts` counts a failed start as `isGood`: it is the chance of failing. */
export function learn(known: Map<string, ScopeEvidence>, outcome: OutcomeRow): void {
  const table = tableOf(outcome);
  const { at: atMs, kind } = outcome;
  let around: Believed | null = null;
  scopesOf(outcome).forEach((scope, depth) => {
    const before = known.get(scope) ?? noScopeEvidence(atMs);
    const prior = priorsAt(table, depth, around);
    around = believedAt(before, prior, atMs);
    let after: ScopeEvidence;
    if (kind === 'started' || kind === 'start-failed') {
      const starts = observeTrial(before.starts, { atMs, isGood: kind === 'start-failed' }, prior.failure);
      const boot =
        outcome.bootS === null ? before.boot : observeDuration(before.boot, { atMs, seconds: outcome.bootS });
      after = { ...before, starts, boot };
    } else {
      const fromH = (outcome.fromAgeS ?? 0) / 3_600;
      const expected = cumulativeHazard(table.hazardPerHourByAge, fromH, Math.max(fromH, (outcome.ageS ?? 0) / 3_600));
      const seen = { atMs, events: kind === 'lost' ? 1 : 0, expected };
      after = { ...before, hazard: observeRate(before.hazard, seen, prior.hazard) };
    }
    known.set(scope, after);
  });
}

const percent = (p: number): string => `${(100 * p).toFixed(p < 0.1 ? 1 : 0)} %`;

/** What is believed of the narrowest scope that is asked for, with its sample size in the source; null where nothing was seen. */
export function believed(
  known: ReadonlyMap<string, ScopeEvidence>,
  of: Partial<LeaseScope> & Pick<LeaseScope, 'providerKind' | 'pricing'>,
  nowMs: number,
): Reliability | null {
  const table = tableOf(of);
  let around: Believed | null = null;
  let narrowest: ScopeEvidence | null = null;
  for (const [depth, scope] of scopesOf(of).entries()) {
    const evidence = known.get(scope);
    if (!evidence && depth > 0) break;
    around = believedAt(evidence ?? noScopeEvidence(nowMs), priorsAt(table, depth, around), nowMs);
    if (evidence) narrowest = evidence;
  }
  if (!around || !narrowest) return null;
  const { failure, hazard, boot } = around;
  const bootS = meanDurationS(boot) + LOAD_S;
  const starts = narrowest.starts.seenTrials;
  const losses = narrowest.hazard.seenEvents;
  return {
    ...table,
    startFailureP: failure.mean,
    hazardPerHourByAge: scaledBands(table.hazardPerHourByAge, hazard.mean),
    bootS,
    bootBilledS: Math.min(bootS, table.bootBilledS),
    seen: { starts, losses, failureInterval: [failure.low, failure.high], hazardInterval: [hazard.low, hazard.high] },
    source:
      `${starts} starts and ${losses} losses seen here (80 %: ${percent(failure.low)} to ${percent(failure.high)} fail, ` +
      `${hazard.low.toFixed(2)} to ${hazard.high.toFixed(2)} times the losses of its kind), upon: ${table.source}`,
  };
}

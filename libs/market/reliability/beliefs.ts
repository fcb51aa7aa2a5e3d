import { providerKinds } from '#contracts';
import {
  cumulativeHazard,
  durationOf,
  durationWithout,
  meanDurationS,
  noDurationEvidence,
  noProportionEvidence,
  noRateEvidence,
  observeDuration,
  observeRate,
  observeTrial,
  proportionOf,
  proportionWithout,
  rateWithout,
  ratioOf,
  scaledBands,
  type DurationPrior,
  type Posterior,
  type ProportionPrior,
  type RatePrior,
} from '#market/survival';
import type { LeaseScope, OutcomeRow, ScopeEvidence } from './outcomes.table.js';
import { defaultPriors, LOAD_S } from './priors.js';
import type { Reliability, ScopeBelief } from './reliability.js';

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

function kindOfScope(scope: string): Pick<LeaseScope, 'providerKind' | 'pricing'> | null {
  const [kind, way] = scope.split('/');
  const providerKind = providerKinds.find((k) => k === kind);
  return providerKind ? { providerKind, pricing: way === 'spot' ? 'spot' : 'on-demand' } : null;
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

/** A scope's evidence less that of one scope inside it. */
const without = (whole: ScopeEvidence, part: ScopeEvidence): ScopeEvidence => ({
  starts: proportionWithout(whole.starts, part.starts),
  hazard: rateWithout(whole.hazard, part.hazard),
  boot: durationWithout(whole.boot, part.boot),
});

/**
 * What each scope of a path is weighed against, from the widest down. Every outcome counts in all scopes that it belongs
 * to: the belief of the surroundings leaves out what the scope on the path has told itself, else it would count twice.
 */
function priorsAlong(table: Reliability, path: readonly ScopeEvidence[], nowMs: number): Priors[] {
  const priors: Priors[] = [];
  let around: Believed | null = null;
  path.forEach((evidence, depth) => {
    const prior: Priors = priorsAt(table, depth, around);
    priors.push(prior);
    const next = path[depth + 1];
    if (next) around = believedAt(without(evidence, next), prior, nowMs);
  });
  return priors;
}

/** Evidence after one more outcome, in each scope that it belongs to. `starts` counts a failed start as `isGood`: it is the chance of failing. */
export function learn(known: Map<string, ScopeEvidence>, outcome: OutcomeRow): void {
  const table = tableOf(outcome);
  const { at: atMs, kind } = outcome;
  const scopes = scopesOf(outcome);
  const path = scopes.map((scope) => known.get(scope) ?? noScopeEvidence(atMs));
  const priors = priorsAlong(table, path, atMs);
  scopes.forEach((scope, depth) => {
    const before = path[depth];
    const prior = priors[depth];
    if (!before || !prior) return;
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
  const path: ScopeEvidence[] = [];
  let isSeen = false;
  for (const [depth, scope] of scopesOf(of).entries()) {
    const evidence = known.get(scope);
    if (!evidence && depth > 0) break;
    path.push(evidence ?? noScopeEvidence(nowMs));
    isSeen ||= evidence !== undefined;
  }
  return isSeen ? reliabilityOfPath(table, path, nowMs) : null;
}

function reliabilityOfPath(table: Reliability, path: readonly ScopeEvidence[], nowMs: number): Reliability {
  const evidence = path.at(-1) ?? noScopeEvidence(nowMs);
  const prior = priorsAlong(table, path, nowMs).at(-1) ?? priorsAt(table, 0, null);
  return reliabilityFrom(table, believedAt(evidence, prior, nowMs), evidence);
}

function reliabilityFrom(table: Reliability, belief: Believed, evidence: ScopeEvidence): Reliability {
  const { failure, hazard, boot } = belief;
  const bootS = meanDurationS(boot) + LOAD_S;
  const starts = evidence.starts.seenTrials;
  const losses = evidence.hazard.seenEvents;
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

/** Where the beliefs below a provider are kept in `ReliabilityPriors.byScope`. */
export const providerScope = (of: Pick<LeaseScope, 'providerKind' | 'pricing' | 'providerId'>): string =>
  `${of.providerKind}/${isSpot(of.pricing) ? 'spot' : 'steady'}/${quoted(of.providerId)}`;

/** Beliefs are worked out when first asked for: most scopes are asked for by nobody before the next look at the evidence. */
class KnownScope implements ScopeBelief {
  readonly below = new Map<string, KnownScope>();
  private reliability: Reliability | null = null;

  constructor(
    private readonly table: Reliability,
    private readonly path: readonly ScopeEvidence[],
    private readonly nowMs: number,
  ) {}

  get own(): Reliability {
    return (this.reliability ??= reliabilityOfPath(this.table, this.path, this.nowMs));
  }
}

/** All that was seen as a tree under each provider, keyed as `providerScope` says. A scope whose surroundings are gone is left out. */
export function scopeBeliefs(known: ReadonlyMap<string, ScopeEvidence>, nowMs: number): Map<string, ScopeBelief> {
  const nodes = new Map<string, { node: KnownScope; path: readonly ScopeEvidence[] }>();
  const providers = new Map<string, ScopeBelief>();
  const byDepth = [...known].map(([scope, evidence]) => ({ scope, evidence, depth: depthOf(scope) }));
  byDepth.sort((a, b) => a.depth - b.depth);
  for (const { scope, evidence, depth } of byDepth) {
    const kind = kindOfScope(scope);
    if (!kind) continue;
    const cut = scope.lastIndexOf('/');
    const around = depth === 0 ? null : nodes.get(scope.slice(0, cut));
    if (around === undefined) continue;
    const path = [...(around?.path ?? []), evidence];
    const node = new KnownScope(tableOf(kind), path, nowMs);
    nodes.set(scope, { node, path });
    if (depth === 1) providers.set(scope, node);
    else if (depth > 1) around?.node.below.set(decodeURIComponent(scope.slice(cut + 1)), node);
  }
  return providers;
}

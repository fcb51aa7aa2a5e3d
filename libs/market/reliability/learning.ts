import { StaleVersion } from '#kernel';
import { providerKinds } from '#contracts';
import type { Tx } from '#platform/database';
import { believed, depthOf, learn, scopeBeliefs, scopesOf } from './beliefs.js';
import { learntGangs } from './gangs.js';
import {
  leaseOutcomes,
  reliabilityEvidence,
  reliabilityProgress,
  type OutcomeRow,
  type ScopeEvidence,
} from './outcomes.table.js';
import { defaultPriors } from './priors.js';
import type { ReliabilityPriors } from './reliability.js';

/** Outcomes folded in one transaction. */
const BATCH = 500;

/** Written with the change that it tells of, by whichever tenant's lease: one insert, no row that others wait for. */
export async function noteOutcome(tx: Tx, outcome: OutcomeRow): Promise<void> {
  await tx.insertNew(leaseOutcomes, [outcome]);
}

/**
 * Takes it upon the caller's transaction to tell what happened up to `until`; answers through when it was told before (0: never), null
 * where there is nothing new. `StaleVersion`: somebody else took it first.
 */
export async function tellThrough(tx: Tx, name: string, until: number): Promise<number | null> {
  const progress = await tx.first(reliabilityProgress, { name });
  if (progress && progress.through >= until) return null;
  const moved = progress
    ? await tx.update(reliabilityProgress, { name, through: progress.through }, { through: until })
    : await tx.insertNew(reliabilityProgress, [{ name, through: until }]);
  if (moved.length === 0) throw new StaleVersion('reliability progress', name);
  return progress?.through ?? 0;
}

/** Folds the oldest outcomes into the evidence of their scopes and takes them away. Returns how many there were. */
export async function foldOutcomes(tx: Tx): Promise<number> {
  const outcomes = await tx.find(
    leaseOutcomes,
    {},
    {
      orderBy: [
        ['at', 'asc'],
        ['id', 'asc'],
      ],
      limit: BATCH,
    },
  );
  if (outcomes.length === 0) return 0;
  // Two workers may read the same: who takes them away folds them.
  const taken = await tx.remove(leaseOutcomes, { id: { in: outcomes.map((o) => o.id) } });
  if (taken !== outcomes.length) throw new StaleVersion('lease outcomes', outcomes[0]?.id ?? '');
  const scopes = [...new Set(outcomes.flatMap(scopesOf))].sort();
  const known = new Map<string, ScopeEvidence>();
  for (const row of await tx.find(reliabilityEvidence, { scope: { in: scopes } })) known.set(row.scope, row.evidence);
  for (const outcome of outcomes) learn(known, outcome);
  const updatedAt = await tx.now();
  await tx.upsert(
    reliabilityEvidence,
    scopes.flatMap((scope) => {
      const evidence = known.get(scope);
      return evidence ? [{ scope, depth: depthOf(scope), evidence, updatedAt }] : [];
    }),
  );
  return outcomes.length;
}

/** Scopes below the provider that are looked at: those that were heard of last. */
const NARROW_SCOPES = 20_000;

/** The table of beliefs with what was learnt: each kind that has a history, and below it as far down as anything was seen. */
export async function learntPriors(tx: Tx): Promise<ReliabilityPriors> {
  const wide = await tx.find(reliabilityEvidence, { depth: { in: [0, 1] } });
  const gang = await learntGangs(tx);
  if (wide.length === 0) return Object.keys(gang).length > 0 ? { ...defaultPriors, gang } : defaultPriors;
  const narrow = await tx.find(
    reliabilityEvidence,
    { depth: { gt: 1 } },
    { orderBy: [['updatedAt', 'desc']], limit: NARROW_SCOPES },
  );
  const nowMs = await tx.now();
  const known = new Map([...wide, ...narrow].map((r) => [r.scope, r.evidence]));
  const byKind = { ...defaultPriors.byKind };
  for (const providerKind of providerKinds) {
    const { steady, spot } = byKind[providerKind];
    byKind[providerKind] = {
      steady: believed(known, { providerKind, pricing: 'on-demand' }, nowMs) ?? steady,
      spot: believed(known, { providerKind, pricing: 'spot' }, nowMs) ?? spot,
    };
  }
  return { byKind, byProvider: {}, byScope: scopeBeliefs(known, nowMs), gang };
}

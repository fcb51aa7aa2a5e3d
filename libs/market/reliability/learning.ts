import { StaleVersion } from '#kernel';
import { pricingModels, providerKinds } from '#contracts';
import type { Tx } from '#platform/database';
import { believed, depthOf, isSpot, learn, providerOfScope, scopesOf } from './beliefs.js';
import { leaseOutcomes, reliabilityEvidence, type OutcomeRow, type ScopeEvidence } from './outcomes.table.js';
import { defaultPriors } from './priors.js';
import type { Reliability, ReliabilityPriors } from './reliability.js';

/** Outcomes folded in one transaction. */
const BATCH = 500;

/** Written with the change that it tells of, by whichever tenant's lease: one insert, no row that others wait for. */
export async function noteOutcome(tx: Tx, outcome: OutcomeRow): Promise<void> {
  await tx.insertNew(leaseOutcomes, [outcome]);
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

/** The table of beliefs with what was learnt: each kind that has a history, and each provider. */
export async function learntPriors(tx: Tx): Promise<ReliabilityPriors> {
  const rows = await tx.find(reliabilityEvidence, { depth: { in: [0, 1] } });
  if (rows.length === 0) return defaultPriors;
  const nowMs = await tx.now();
  const known = new Map(rows.map((r) => [r.scope, r.evidence]));
  const byKind = { ...defaultPriors.byKind };
  const byProvider: Record<string, Reliability> = {};
  for (const providerKind of providerKinds) {
    const { steady, spot } = byKind[providerKind];
    byKind[providerKind] = {
      steady: believed(known, { providerKind, pricing: 'on-demand' }, nowMs) ?? steady,
      spot: believed(known, { providerKind, pricing: 'spot' }, nowMs) ?? spot,
    };
  }
  for (const row of rows) {
    const of = row.depth === 1 ? providerOfScope(row.scope) : null;
    if (!of) continue;
    for (const pricing of pricingModels) {
      if (isSpot(pricing) !== of.isSpot) continue;
      const own = believed(known, { ...of, pricing }, nowMs);
      if (own) byProvider[`${of.providerId}/${pricing}`] = own;
    }
  }
  return { byKind, byProvider };
}

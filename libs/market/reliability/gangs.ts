import type { PricingModel } from '#contracts';
import type { Tx } from '#platform/database';
import { gangExponent, noGangEvidence, observeBatch, type LossBatch } from '#market/survival';
import { isSpot } from './beliefs.js';
import { gangEvidence, type GangRow } from './outcomes.table.js';
import type { GangBelief } from './reliability.js';

export const wayOf = (pricing: PricingModel): GangRow['way'] => (isSpot(pricing) ? 'spot' : 'steady');

/** Adds what was lost together to the belief; each batch once, which the caller sees to. */
export async function noteBatches(tx: Tx, batches: readonly (LossBatch & { way: GangRow['way'] })[]): Promise<void> {
  if (batches.length === 0) return;
  const known = new Map((await tx.find(gangEvidence, {}, { lock: 'update' })).map((r) => [r.way, r.evidence]));
  for (const { way, ...batch } of batches.toSorted((a, b) => a.atMs - b.atMs))
    known.set(way, observeBatch(known.get(way) ?? noGangEvidence(batch.atMs), batch));
  await tx.upsert(
    gangEvidence,
    [...known].map(([way, evidence]) => ({ way, evidence })),
  );
}

/** What is believed of gangs now; a way of renting of which no batch was seen is left to the prior. */
export async function learntGangs(tx: Tx): Promise<{ spot?: GangBelief; steady?: GangBelief }> {
  const now = await tx.now();
  const rows = await tx.find(gangEvidence, {});
  return Object.fromEntries(
    rows.map(({ way, evidence }) => [
      way,
      { exponent: gangExponent(evidence, now), batches: evidence.batches } satisfies GangBelief,
    ]),
  );
}

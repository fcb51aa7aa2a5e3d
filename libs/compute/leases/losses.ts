import { MINUTE } from '#kernel';
import type { Tx } from '#platform/database';
import { noteBatches, tellThrough, wayOf, type GangRow } from '#market/reliability';
import type { LossBatch } from '#market/survival';
import { leases, type LeaseRow } from './leases.table.js';
import { lossReasons } from './outcomes.js';

/**
 * Machines that are lost within this time are lost together: about what it takes a gang to start again, so a second loss within it costs
 * nothing more; and the records from which the prior comes were looked at every ten minutes.
 */
const TOGETHER_MS = 10 * MINUTE;
/** An end may be written by a transaction that began that much before it was seen. */
const SETTLED_MS = MINUTE;
/** Where nobody looked for longer, what was lost before is not counted: who ran beside it then is not known any more. */
const LOOK_BACK_MS = 60 * MINUTE;
const LOSSES = 'lease-losses';

/** Machines that may be lost together: of one kind, in one zone, taken back by the same rules. */
const placeOf = ({ offer }: LeaseRow): string =>
  JSON.stringify([offer.providerId, offer.zone ?? offer.region, offer.sku, wayOf(offer.pricing)]);

const isLoss = (lease: LeaseRow): boolean => lease.endReason !== null && lossReasons.includes(lease.endReason);

/** What was lost together in the ten minutes from `fromMs` on, place by place, of those that ran there all the time or were lost. */
export function batchesOf(all: readonly LeaseRow[], fromMs: number): (LossBatch & { way: GangRow['way'] })[] {
  const places = new Map<string, LossBatch & { way: GangRow['way'] }>();
  for (const lease of all) {
    const { acceptedAt, endedAt } = lease;
    const wasThere =
      acceptedAt !== null && acceptedAt < fromMs && (endedAt === null || (endedAt >= fromMs && isLoss(lease)));
    if (!wasThere) continue;
    const place = placeOf(lease);
    const { members = 0, lost = 0 } = places.get(place) ?? {};
    const isLost = isLoss(lease) && (endedAt ?? Infinity) < fromMs + TOGETHER_MS;
    const way = wayOf(lease.offer.pricing);
    places.set(place, { way, atMs: fromMs, members: members + 1, lost: lost + (isLost ? 1 : 0) });
  }
  return [...places.values()].filter((batch) => batch.lost > 0);
}

/** Tells of what was lost together since the last look, in whole spans of ten minutes, each once. */
export async function tellLosses(tx: Tx): Promise<void> {
  const now = await tx.now();
  const until = Math.floor((now - SETTLED_MS) / TOGETHER_MS) * TOGETHER_MS;
  const through = await tellThrough(tx, LOSSES, until);
  if (through === null) return;
  const from = Math.max(through, until - LOOK_BACK_MS);
  const ended = await tx.find(leases, { endedAt: { gte: from }, endReason: { in: lossReasons } });
  const lost = ended.filter((lease) => (lease.endedAt ?? 0) < until);
  if (lost.length === 0) return;
  const providerId = { in: [...new Set(lost.map((lease) => lease.providerId))] };
  const running = await tx.find(leases, { providerId, state: { in: ['ready', 'draining', 'terminating'] } });
  const spans = new Set(lost.map((lease) => Math.floor((lease.endedAt ?? 0) / TOGETHER_MS) * TOGETHER_MS));
  await noteBatches(
    tx,
    [...spans].flatMap((span) => batchesOf([...ended, ...running], span)),
  );
}

import { DomainError, formatUsd, newId, type Random } from '#kernel';
import { outbox, type OutboxRow, type Tx } from '#platform/database';
import type { QuotaAlert, QuotaRefusal } from './quotas.procedures.js';

const UNITS: Readonly<Record<string, string>> = {
  gpus: 'GPUs',
  leases: 'leases',
  'jobs-queued': 'queued jobs',
  requests: 'requests',
  tokens: 'tokens',
  'storage-bytes': 'bytes of storage',
};

/** "3 GPUs of H100", "$12.00". */
function amountText(dimension: string, amount: string): string {
  if (dimension === 'spend') return formatUsd(BigInt(amount));
  const [kind = dimension, what] = dimension.split(':');
  return `${amount} ${UNITS[kind] ?? dimension}${what === undefined ? '' : ` of ${what}`}`;
}

/** What a limit that says no looks like outside: 402 for money, 429 for everything else. */
export function refused(r: QuotaRefusal): DomainError {
  const window = r.per === 'ever' ? '' : ` per ${r.per}`;
  const text = (n: string): string => amountText(r.dimension, n);
  const pool = r.cohortId === null ? '' : ' and what its cohort lends';
  return new DomainError(
    r.dimension === 'spend' ? 'payment-required' : 'rate-limited',
    r.dimension === 'spend' ? 'budget-exceeded' : 'quota-exceeded',
    `The ${r.scope} ${r.scopeId} may use ${text(r.limit)}${window}${pool}; ${text(r.used)} are in use and ${text(r.asked)} were asked for.`,
    {
      fix:
        r.per === 'ever'
          ? 'Wait for work to end, or ask a platform administrator to raise the quota.'
          : `Wait for the next ${r.per} (UTC), or ask a platform administrator to raise the quota.`,
      retryable: true,
      facts: {
        quotaId: r.quotaId,
        scope: r.scope,
        scopeId: r.scopeId,
        dimension: r.dimension,
        per: r.per,
        limit: r.limit,
        used: r.used,
        asked: r.asked,
        room: r.room,
      },
    },
  );
}

/** Thresholds that were reached leave the broker as events, in the transaction that reached them. */
export async function tell(
  tx: Tx,
  organizationId: string,
  alerts: readonly QuotaAlert[],
  random: Random,
): Promise<void> {
  if (alerts.length === 0) return;
  const now = await tx.now();
  const row = (payload: QuotaAlert): OutboxRow => ({
    id: newId('event', now, random),
    organizationId,
    topic: 'quota.threshold',
    payload,
    createdAt: now,
    attempts: 0,
    nextAt: now,
    doneAt: null,
  });
  await tx.insert(outbox, alerts.map(row));
}

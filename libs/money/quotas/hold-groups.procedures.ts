import type { Procedure } from '#platform/database';
import { holdTake, openHold } from './holds.procedures.js';
import { holds } from './holds.table.js';
import { quotaUses } from './quotas.table.js';
import type { QuotaAmounts, QuotaTaken } from './quotas.procedures.js';

export interface HoldPart {
  readonly id: string;
  readonly jobId: string;
  readonly amountNano: bigint;
}

/**
 * One hold for many jobs, all or nothing: it counts once for spend, each part for one queued job. It is carved out whole and ended at
 * once, so that what a part does not spend goes back to the credit when that job ends, not when the last of them does.
 */
export const holdTakeShared: Procedure<
  {
    id: string;
    organizationId: string;
    projectId: string;
    keyId: string | null;
    at: number;
    parts: readonly HoldPart[];
  },
  QuotaTaken
> = {
  name: 'hold_take_shared',
  args: { id: 'text', organizationId: 'text', projectId: 'text', keyId: 'text', at: 'time', parts: 'json' },
  result: { taken: 'bool', refusal: 'json', alerts: 'json' },
  inMemory: async (tx, { id, at, parts, ...of }) => {
    const amountNano = parts.reduce((n, p) => n + p.amountNano, 0n);
    const quotas = { 'jobs-queued': BigInt(parts.length) };
    const counted = await tx.call(holdTake, { ...of, id, jobId: null, leaseId: null, amountNano, at, quotas });
    if (!counted.taken) return counted;
    const own = { holder: id, dimension: 'jobs-queued' };
    const whole = await tx.first(quotaUses, own);
    await tx.remove(quotaUses, own);
    if (whole)
      await tx.insert(
        quotaUses,
        parts.map((p) => ({ ...whole, holder: p.id, amount: 1n })),
      );
    const { organizationId, projectId } = of;
    await tx.insert(
      holds,
      parts.map((p) => openHold({ ...p, organizationId, projectId, parentId: id, leaseId: null, at })),
    );
    await tx.update(holds, { id }, { state: 'settled', remainingNano: 0n, endedAt: at });
    return counted;
  },
};

export interface HoldAsked {
  readonly id: string;
  readonly projectId: string;
  readonly keyId: string | null;
  readonly jobId: string | null;
  readonly leaseId: string | null;
  readonly amountNano: bigint;
  readonly quotas: QuotaAmounts;
}

/** Several holds of one organization in one call, one after the other: each is taken or refused by itself. */
export const holdTakeMany: Procedure<
  { organizationId: string; at: number; requests: readonly HoldAsked[] },
  { outcomes: readonly QuotaTaken[] }
> = {
  name: 'hold_take_many',
  args: { organizationId: 'text', at: 'time', requests: 'json' },
  result: { outcomes: 'json' },
  inMemory: async (tx, { organizationId, at, requests }) => {
    const outcomes: QuotaTaken[] = [];
    for (const request of requests) outcomes.push(await tx.call(holdTake, { ...request, organizationId, at }));
    return { outcomes };
  },
};

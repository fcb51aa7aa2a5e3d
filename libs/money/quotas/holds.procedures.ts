import type { Procedure } from '#platform/database';
import { account, accounts } from '#money/ledger';
import { creditRoomOf } from './credit-room.js';
import { holds, type HoldRow, type HoldState } from './holds.table.js';
import { quotaGiveBack, quotaRelease, quotaTake, type QuotaAmounts, type QuotaTaken } from './quotas.procedures.js';

/**
 * Moves credit from available to held and counts it, with `quotas`, against the limits; `taken` false: there is too little (no refusal
 * given) or a limit says no, and nothing was done.
 */
export const holdTake: Procedure<
  {
    id: string;
    organizationId: string;
    projectId: string;
    keyId: string | null;
    jobId: string | null;
    leaseId: string | null;
    amountNano: bigint;
    at: number;
    quotas: QuotaAmounts;
  },
  QuotaTaken
> = {
  name: 'hold_take',
  args: {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    keyId: 'text',
    jobId: 'text',
    leaseId: 'text',
    amountNano: 'bigint',
    at: 'time',
    quotas: 'json',
  },
  result: { taken: 'bool', refusal: 'json', alerts: 'json' },
  inMemory: async (tx, { organizationId, keyId, amountNano, at, quotas, ...of }) => {
    const id = account.credit(organizationId);
    // What costs nothing needs no credit.
    const credit = amountNano > 0n ? await tx.first(accounts, { id }) : null;
    if (amountNano > 0n && (!credit || (await creditRoomOf(tx, credit)) < amountNano))
      return { taken: false, refusal: null, alerts: [] };
    const amounts = { ...quotas, spend: amountNano };
    const counted = await tx.call(quotaTake, {
      holder: of.id,
      organizationId,
      projectId: of.projectId,
      keyId,
      at,
      amounts,
    });
    if (!counted.taken) return counted;
    await tx.update(accounts, { id }, { availableNano: { add: -amountNano }, heldNano: { add: amountNano } });
    await tx.insert(holds, openHold({ ...of, organizationId, parentId: null, amountNano, at }));
    return counted;
  },
};

/** Takes up to `wantedNano` of an open parent for a lease, at least `leastNano`; nulls: less is left. */
export const holdCarve: Procedure<
  { id: string; parentId: string; leaseId: string; leastNano: bigint; wantedNano: bigint; at: number },
  { amountNano: bigint | null; organizationId: string | null; projectId: string | null }
> = {
  name: 'hold_carve',
  args: { id: 'text', parentId: 'text', leaseId: 'text', leastNano: 'bigint', wantedNano: 'bigint', at: 'time' },
  result: { amountNano: 'bigint', organizationId: 'text', projectId: 'text' },
  inMemory: async (tx, { id, parentId, leaseId, leastNano, wantedNano, at }) => {
    const parent = await tx.first(holds, { id: parentId, state: 'held' });
    if (!parent || parent.remainingNano < leastNano) return { amountNano: null, organizationId: null, projectId: null };
    const amountNano = smaller(parent.remainingNano, wantedNano);
    const { organizationId, projectId } = parent;
    await tx.update(holds, { id: parentId }, { remainingNano: { add: -amountNano } });
    await tx.insert(holds, openHold({ id, organizationId, projectId, jobId: null, leaseId, parentId, amountNano, at }));
    return { amountNano, organizationId, projectId };
  },
};

/** Moves up to `wantedNano` from the parent into an open carve; answers how much that was. */
export const holdExtend: Procedure<{ id: string; wantedNano: bigint }, { movedNano: bigint }> = {
  name: 'hold_extend',
  args: { id: 'text', wantedNano: 'bigint' },
  result: { movedNano: 'bigint' },
  inMemory: async (tx, { id, wantedNano }) => {
    const part = await tx.first(holds, { id, state: 'held' });
    const parent = part?.parentId == null ? null : await tx.first(holds, { id: part.parentId, state: 'held' });
    const movedNano = smaller(parent?.remainingNano ?? 0n, wantedNano);
    if (!parent || movedNano <= 0n) return { movedNano: 0n };
    await tx.update(holds, { id: parent.id }, { remainingNano: { add: -movedNano } });
    await tx.update(holds, { id }, { remainingNano: { add: movedNano }, amountNano: { add: movedNano } });
    return { movedNano };
  },
};

/** Ends an open hold and gives back what is left of it; null: it had ended before. */
export const holdSettle: Procedure<
  { id: string; as: Exclude<HoldState, 'held'>; at: number },
  { restNano: bigint | null }
> = {
  name: 'hold_settle',
  args: { id: 'text', as: 'text', at: 'time' },
  result: { restNano: 'bigint' },
  inMemory: async (tx, { id, as, at }) => {
    const hold = await tx.first(holds, { id, state: 'held' });
    if (!hold) return { restNano: null };
    const rest = hold.remainingNano;
    await tx.update(holds, { id }, { state: as, remainingNano: 0n, endedAt: at });
    const back =
      rest === 0n || hold.parentId === null
        ? []
        : await tx.update(holds, { id: hold.parentId, state: 'held' }, { remainingNano: { add: rest } });
    if (rest > 0n && back.length === 0) {
      await tx.update(
        accounts,
        { id: account.credit(hold.organizationId) },
        { availableNano: { add: rest }, heldNano: { add: -rest } },
      );
      let holder = id;
      for (let above = hold.parentId; above !== null;) {
        holder = above;
        above = (await tx.first(holds, { id: above }))?.parentId ?? null;
      }
      await tx.call(quotaGiveBack, { holder, amountNano: rest, at });
    }
    if (hold.leaseId === null) await tx.call(quotaRelease, { holder: id, dimensions: ['jobs-queued'] });
    return { restNano: rest };
  },
};

/** How a part is to be renewed: it must pay for what has run already, and then for a stretch ahead. */
export interface Renewal {
  /** What the time since the last metering costs. */
  readonly pastNano: bigint;
  readonly aheadNano: bigint;
  /** Of the time beyond what it covered, it is given no more than this: the rest is an outage, not the tenant's. */
  readonly mostNano: bigint;
}

/** Amounts are texts, because they travel as JSON. */
export interface Renewed {
  readonly movedNano: string;
  readonly remainingNano: string;
  /** What is left above it; 0 where there is no open parent. */
  readonly parentNano: string;
}

/** What a part with `remainingNano` should be given of its parent. */
export function renewalOf(remainingNano: bigint, { pastNano, aheadNano, mostNano }: Renewal): bigint {
  const overdue = pastNano - remainingNano;
  if (overdue > mostNano) return mostNano;
  return overdue + aheadNano > 0n ? overdue + aheadNano : 0n;
}

/** Renews many parts out of their parents in one go; those that have ended are not in the answer. Asked twice, it moves nothing more. */
export const holdRenewMany: Procedure<
  { renewals: Readonly<Record<string, Renewal>> },
  { renewed: Readonly<Record<string, Renewed>> }
> = {
  name: 'hold_renew_many',
  args: { renewals: 'json' },
  result: { renewed: 'json' },
  inMemory: async (tx, { renewals }) => {
    const parts = await tx.find(
      holds,
      { id: { in: Object.keys(renewals) }, state: 'held' },
      { orderBy: [['id', 'asc']] },
    );
    const given: { part: HoldRow; moved: bigint }[] = [];
    for (const part of parts) {
      const renewal = renewals[part.id];
      const parent = part.parentId === null ? null : await tx.first(holds, { id: part.parentId, state: 'held' });
      const moved = renewal && parent ? smaller(parent.remainingNano, renewalOf(part.remainingNano, renewal)) : 0n;
      if (parent && moved > 0n) {
        await tx.update(holds, { id: parent.id }, { remainingNano: { add: -moved } });
        await tx.update(holds, { id: part.id }, { remainingNano: { add: moved }, amountNano: { add: moved } });
      }
      given.push({ part, moved });
    }
    const renewed: Record<string, Renewed> = {};
    for (const { part, moved } of given) {
      const parent = part.parentId === null ? null : await tx.first(holds, { id: part.parentId, state: 'held' });
      renewed[part.id] = {
        movedNano: String(moved),
        remainingNano: String(part.remainingNano + moved),
        parentNano: String(parent?.remainingNano ?? 0n),
      };
    }
    return { renewed };
  },
};

export function openHold(
  of: Omit<HoldRow, 'state' | 'remainingNano' | 'createdAt' | 'endedAt'> & { at: number },
): HoldRow {
  const { at, ...row } = of;
  return { ...row, state: 'held', remainingNano: row.amountNano, createdAt: at, endedAt: null };
}

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);

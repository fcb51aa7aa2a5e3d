import type { Procedure } from '#platform/database';
import { account, accounts } from '#money/ledger';
import { holds, type HoldRow, type HoldState } from './holds.table.js';

/** Moves credit from available to held; `taken` false: there is too little and nothing was done. */
export const holdTake: Procedure<
  {
    id: string;
    organizationId: string;
    projectId: string;
    jobId: string | null;
    leaseId: string | null;
    amountNano: bigint;
    at: number;
  },
  { taken: boolean }
> = {
  name: 'hold_take',
  args: {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    jobId: 'text',
    leaseId: 'text',
    amountNano: 'bigint',
    at: 'time',
  },
  result: { taken: 'bool' },
  inMemory: async (tx, { organizationId, amountNano, at, ...of }) => {
    const done = await tx.update(
      accounts,
      { id: account.credit(organizationId), availableNano: { gte: amountNano } },
      { availableNano: { add: -amountNano }, heldNano: { add: amountNano } },
    );
    if (done.length === 0) return { taken: false };
    await tx.insert(holds, openHold({ ...of, organizationId, parentId: null, amountNano, at }));
    return { taken: true };
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
    if (rest > 0n && back.length === 0)
      await tx.update(
        accounts,
        { id: account.credit(hold.organizationId) },
        { availableNano: { add: rest }, heldNano: { add: -rest } },
      );
    return { restNano: rest };
  },
};

function openHold(of: Omit<HoldRow, 'state' | 'remainingNano' | 'createdAt' | 'endedAt'> & { at: number }): HoldRow {
  const { at, ...row } = of;
  return { ...row, state: 'held', remainingNano: row.amountNano, createdAt: at, endedAt: null };
}

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);

import type { Procedure, Tx } from '#platform/database';
import { begun, claimedBeside, roomOf, thresholdOf, WANTED_MS, windowStart } from './room.js';
import { quotas, quotaUses, type QuotaRow, type QuotaUseRow } from './quotas.table.js';

/** By dimension: how much. */
export type QuotaAmounts = Readonly<Record<string, bigint>>;

/** Which limit said no; amounts are texts, because they travel as JSON. */
export interface QuotaRefusal {
  readonly quotaId: string;
  readonly scope: QuotaRow['scope'];
  readonly scopeId: string;
  readonly dimension: string;
  readonly per: QuotaRow['per'];
  readonly limit: string;
  readonly used: string;
  readonly asked: string;
  readonly room: string;
  readonly cohortId: string | null;
}

/** A threshold that was reached for the first time in this window. */
export interface QuotaAlert {
  readonly quotaId: string;
  readonly scope: QuotaRow['scope'];
  readonly scopeId: string;
  readonly dimension: string;
  readonly per: QuotaRow['per'];
  readonly limit: string;
  readonly used: string;
  readonly percent: number;
}

export interface QuotaTaken {
  readonly taken: boolean;
  readonly refusal: QuotaRefusal | null;
  readonly alerts: readonly QuotaAlert[];
}

/**
 * Counts the amounts against every limit of organization, project and key, all or nothing. The same holder counts once in each dimension;
 * without a holder nothing is remembered but the counters (rates). Limits are locked in the order of their ids.
 */
export const quotaTake: Procedure<
  {
    holder: string | null;
    organizationId: string;
    projectId: string;
    keyId: string | null;
    /** Null: the database's time. */
    at: number | null;
    amounts: QuotaAmounts;
  },
  QuotaTaken
> = {
  name: 'quota_take',
  args: { holder: 'text', organizationId: 'text', projectId: 'text', keyId: 'text', at: 'time', amounts: 'json' },
  result: { taken: 'bool', refusal: 'json', alerts: 'json' },
  inMemory: async (tx, { holder, organizationId, projectId, keyId, at, amounts }) => {
    const dimensions = Object.keys(amounts);
    const own = (await inScope(tx, { organizationId, projectId, keyId })).filter((q) =>
      dimensions.includes(q.dimension),
    );
    const cohorts = await cohortsOf(tx, own);
    const takenAt = Math.max(at ?? (await tx.now()), ...[...own, ...cohorts.values()].flat().map((q) => q.windowStart));
    let fresh = dimensions;
    if (holder !== null) {
      const uses = dimensions.map((dimension): QuotaUseRow => {
        return { holder, dimension, organizationId, projectId, keyId, amount: amounts[dimension] ?? 0n, takenAt };
      });
      fresh = (await tx.insertNew(quotaUses, uses)).map((u) => u.dimension);
    }
    const current = own.filter((q) => fresh.includes(q.dimension)).map((q) => begun(q, takenAt));
    for (const q of current) {
      const asked = amounts[q.dimension] ?? 0n;
      const mates = cohorts.get(q.id) ?? null;
      const room = roomOf(q, mates, claimedBeside(q.id, mates ?? [], takenAt));
      if (q.mode === 'soft' || asked <= 0n || asked <= room) continue;
      if (holder !== null) await tx.remove(quotaUses, { holder, dimension: { in: fresh } });
      if (q.cohortId !== null && asked <= q.limitN - q.used)
        await tx.update(quotas, { id: q.id }, { wantedN: asked, wantedUntil: takenAt + WANTED_MS });
      const { id: quotaId, scope, scopeId, dimension, per, cohortId } = q;
      const shown = { limit: String(q.limitN), used: String(q.used), asked: String(asked) };
      const refusal = {
        quotaId,
        scope,
        scopeId,
        dimension,
        per,
        cohortId,
        ...shown,
        room: String(room > 0n ? room : 0n),
      };
      return { taken: false, refusal, alerts: [] };
    }
    const alerts: QuotaAlert[] = [];
    for (const q of current) {
      const asked = amounts[q.dimension] ?? 0n;
      const used = q.used + asked;
      // What fits leaves nothing owed, also where the limit was raised since.
      const owed = q.mode === 'hard' && asked > 0n ? 0n : q.owed;
      const percent = thresholdOf(used, q.limitN);
      const tell = percent > q.alerted && (q.mode === 'soft' || q.dimension === 'spend');
      const alerted = tell ? percent : q.alerted;
      await tx.update(
        quotas,
        { id: q.id },
        { used, owed, windowStart: q.windowStart, alerted, wantedN: 0n, wantedUntil: null },
      );
      const { id: quotaId, scope, scopeId, dimension, per } = q;
      const limit = String(q.limitN);
      if (tell) alerts.push({ quotaId, scope, scopeId, dimension, per, limit, used: String(used), percent });
    }
    return { taken: true, refusal: null, alerts };
  },
};

/** Counts rates as `quotaTake` does for no holder. Only as a transaction of its own: its commit does not wait for the disk. */
export const quotaCount: Procedure<
  { organizationId: string; projectId: string; keyId: string | null; amounts: QuotaAmounts },
  QuotaTaken
> = {
  name: 'quota_count',
  args: { organizationId: 'text', projectId: 'text', keyId: 'text', amounts: 'json' },
  result: { taken: 'bool', refusal: 'json', alerts: 'json' },
  inMemory: (tx, of) => tx.call(quotaTake, { ...of, holder: null, at: null }),
};

/** Ends what a holder counts for in these dimensions; harmless to repeat. Of spend it is `quotaGiveBack` that gives back. */
export const quotaRelease: Procedure<{ holder: string; dimensions: string[] }, { released: number }> = {
  name: 'quota_release',
  args: { holder: 'text', dimensions: 'texts' },
  result: { released: 'int' },
  inMemory: async (tx, { holder, dimensions }) => {
    const uses = await tx.find(quotaUses, { holder, dimension: { in: dimensions } });
    if (uses.length === 0) return { released: 0 };
    await tx.remove(quotaUses, { holder, dimension: { in: dimensions } });
    for (const use of uses)
      for (const q of await inScope(tx, use)) {
        if (q.dimension !== use.dimension || q.per !== 'ever') continue;
        const used = q.used - use.amount;
        await tx.update(quotas, { id: q.id }, { used, alerted: used * 2n < q.limitN ? 0 : q.alerted });
      }
    return { released: uses.length };
  },
};

/** What was spent without a hold counts for budgets of its project and organization, whatever they allow; each holder once. */
export const quotaSpend: Procedure<
  {
    organizationId: string;
    spent: readonly { readonly holder: string; readonly projectId: string; readonly amountNano: bigint }[];
  },
  { alerts: readonly QuotaAlert[] }
> = {
  name: 'quota_spend',
  args: { organizationId: 'text', spent: 'json' },
  result: { alerts: 'json' },
  inMemory: async (tx, { organizationId, spent }) => {
    const alerts: QuotaAlert[] = [];
    const now = await tx.now();
    const all = (await tx.find(quotas, { organizationId, dimension: 'spend' })).sort((a, b) => (a.id < b.id ? -1 : 1));
    const own = all.filter((q) => q.scopeId === organizationId || spent.some((s) => s.projectId === q.scopeId));
    const takenAt = Math.max(now, ...own.map((q) => q.windowStart));
    const uses = spent.map(({ holder, projectId, amountNano: amount }): QuotaUseRow => {
      return { holder, dimension: 'spend', organizationId, projectId, keyId: null, amount, takenAt };
    });
    const fresh = await tx.insertNew(quotaUses, uses);
    for (const q of own) {
      const mine = fresh.filter((u) => q.scopeId === organizationId || u.projectId === q.scopeId);
      if (mine.length === 0) continue;
      const start = windowStart(q.per, takenAt);
      const had = q.windowStart < start ? { used: 0n, alerted: 0 } : q;
      const used = had.used + mine.reduce((n, u) => n + u.amount, 0n);
      const percent = thresholdOf(used, q.limitN);
      const tell = percent > had.alerted;
      const alerted = tell ? percent : had.alerted;
      await tx.update(quotas, { id: q.id }, { used, alerted, windowStart: Math.max(start, q.windowStart) });
      const { id: quotaId, scope, scopeId, dimension, per } = q;
      const amounts = { limit: String(q.limitN), used: String(used) };
      if (tell) alerts.push({ quotaId, scope, scopeId, dimension, per, ...amounts, percent });
    }
    return { alerts };
  },
};

/** What was reserved and not spent goes back to the windows it was taken from, as far as they are the current ones. */
export const quotaGiveBack: Procedure<{ holder: string; amountNano: bigint; at: number }, { givenNano: bigint }> = {
  name: 'quota_give_back',
  args: { holder: 'text', amountNano: 'bigint', at: 'time' },
  result: { givenNano: 'bigint' },
  inMemory: async (tx, { holder, amountNano }) => {
    const use = await tx.first(quotaUses, { holder, dimension: 'spend' });
    if (!use) return { givenNano: 0n };
    const givenNano = use.amount < amountNano ? use.amount : amountNano;
    await tx.update(quotaUses, { holder, dimension: 'spend' }, { amount: { add: -givenNano } });
    for (const q of await inScope(tx, use))
      if (q.dimension === 'spend' && q.windowStart === windowStart(q.per, use.takenAt))
        await tx.update(quotas, { id: q.id }, { used: { add: -givenNano } });
    return { givenNano };
  },
};

/** Sets a limit and starts its counter from all that is held; a limit that exists keeps its counter. */
export const quotaSet: Procedure<
  Omit<QuotaRow, 'used' | 'owed' | 'claims' | 'wantedN' | 'wantedUntil' | 'windowStart' | 'alerted' | 'createdAt'> & {
    at: number;
  },
  { id: string; used: bigint }
> = {
  name: 'quota_set',
  args: {
    id: 'text',
    organizationId: 'text',
    projectId: 'text',
    keyId: 'text',
    scope: 'text',
    scopeId: 'text',
    dimension: 'text',
    per: 'text',
    limitN: 'bigint',
    mode: 'text',
    policy: 'text',
    cohortId: 'text',
    borrowingLimit: 'bigint',
    lendingLimit: 'bigint',
    at: 'time',
  },
  result: { id: 'text', used: 'bigint' },
  inMemory: async (tx, { at, ...row }) => {
    const { organizationId, scopeId, dimension, per } = row;
    const known = await tx.first(quotas, { scopeId, dimension, per });
    if (known) {
      const { limitN, mode, policy, cohortId, borrowingLimit, lendingLimit } = row;
      const patch = { limitN, mode, policy, cohortId, borrowingLimit, lendingLimit, alerted: 0 };
      await tx.update(quotas, { id: known.id }, patch);
      return { id: known.id, used: known.used };
    }
    const uses = await tx.find(quotaUses, { organizationId, dimension });
    const start = windowStart(per, at);
    const used = uses
      .filter((u) => [u.organizationId, u.projectId, u.keyId].includes(scopeId) && windowStart(per, u.takenAt) >= start)
      .reduce((n, u) => n + u.amount, 0n);
    await tx.insert(quotas, {
      ...row,
      used,
      owed: 0n,
      claims: [],
      wantedN: 0n,
      wantedUntil: null,
      windowStart: start,
      alerted: 0,
      createdAt: at,
    });
    return { id: row.id, used };
  },
};

type Scope = Pick<QuotaUseRow, 'organizationId' | 'projectId' | 'keyId'>;

async function inScope(tx: Tx, { organizationId, projectId, keyId }: Scope): Promise<QuotaRow[]> {
  const scopes = [organizationId, projectId, ...(keyId === null ? [] : [keyId])];
  return tx.find(quotas, { organizationId, scopeId: { in: scopes } }, { orderBy: [['id', 'asc']] });
}

/** The members of each quota's cohort in its dimension, itself included. */
async function cohortsOf(tx: Tx, own: readonly QuotaRow[]): Promise<Map<string, QuotaRow[]>> {
  const found = new Map<string, QuotaRow[]>();
  for (const { id, cohortId, dimension, per } of own)
    if (cohortId !== null) found.set(id, await tx.find(quotas, { cohortId, dimension, per }));
  return found;
}

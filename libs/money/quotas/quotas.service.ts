import { DomainError, newId, notFound, type Clock, type Random } from '#kernel';
import { callAlone, type Actor, type Store, type Tx } from '#platform/database';
import { quotaCount, quotaRelease, quotaSet, quotaSpend, quotaTake, type QuotaAmounts } from './quotas.procedures.js';
import {
  cohorts,
  quotas,
  quotaUses,
  type CohortRow,
  type QuotaRow,
  type QuotaScope,
  type QuotaUseRow,
} from './quotas.table.js';
import { holds } from './holds.table.js';
import { RateWindows } from './rate-windows.js';
import { refused, tell } from './refusal.js';

/** Who counts: a lease, a job's hold, a file; null for what only has a rate. */
export interface Holder {
  readonly holder: string | null;
  readonly organizationId: string;
  readonly projectId: string;
  readonly keyId?: string | null;
}

export interface NewQuota extends Pick<
  QuotaRow,
  'organizationId' | 'scope' | 'scopeId' | 'dimension' | 'per' | 'limitN' | 'mode' | 'policy'
> {
  readonly projectId: string | null;
  readonly cohort: string | null;
  readonly borrowingLimit: bigint | null;
  readonly lendingLimit: bigint | null;
}

/** Dimensions that are used for as long as something lasts, those that add up in a window, and those that are both. */
const GAUGES = /^(leases|jobs-queued|storage-bytes|gpus(:[A-Za-z0-9._ +-]{1,60})?)$/;
const RATES = /^(spend|requests|tokens)$/;
/** Rates of which nothing is held. */
const COUNTED = /^(requests|tokens)$/;
/** What a lease counts for; a limit on these may stop running leases. */
const OF_LEASES = /^(leases|gpus(:.*)?)$/;

/** Limits on what organizations, projects and keys use, and the counters beside them. */
export class Quotas {
  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** Counts the amounts for the holder, all or nothing and once; throws the limit that says no (429, for money 402). */
  async take(tx: Tx, of: Holder, amounts: QuotaAmounts): Promise<void> {
    const { holder, organizationId, projectId, keyId = null } = of;
    const done = await tx.call(quotaTake, { holder, organizationId, projectId, keyId, at: null, amounts });
    if (done.refusal) throw refused(done.refusal);
    await tell(tx, organizationId, done.alerts, this.random);
  }

  /**
   * Counts requests and tokens in one statement; throws the limit that says no. What is committed of limits binds at once, in every process;
   * the counts themselves wait for no disk: a crash of the database may forget those of its last second.
   */
  async count(store: Store, actor: Actor, of: Omit<Holder, 'holder'>, amounts: QuotaAmounts): Promise<void> {
    const odd = Object.keys(amounts).find((dimension) => !COUNTED.test(dimension));
    if (odd !== undefined) throw new RangeError(`${odd} is not a rate that is counted by itself`);
    const { organizationId, projectId, keyId = null } = of;
    const done = await callAlone(store, actor, quotaCount, { organizationId, projectId, keyId, amounts });
    if (done.refusal) throw refused(done.refusal);
    if (done.alerts.length > 0)
      await store.transaction(actor, (tx) => tell(tx, organizationId, done.alerts, this.random));
  }

  /** Counts what was spent without a hold, each holder once: budgets tell of their thresholds and refuse nothing. */
  async spend(
    tx: Tx,
    organizationId: string,
    spent: readonly { readonly holder: string; readonly projectId: string; readonly amountNano: bigint }[],
  ): Promise<void> {
    if (spent.length === 0) return;
    const { alerts } = await tx.call(quotaSpend, { organizationId, spent });
    await tell(tx, organizationId, alerts, this.random);
  }

  /** All limits of these organizations on requests and tokens, whatever their scope. */
  ratesOf(tx: Tx, organizationIds: readonly string[]): Promise<QuotaRow[]> {
    return tx.find(quotas, { organizationId: { in: organizationIds }, dimension: { in: ['requests', 'tokens'] } });
  }

  /** Locks these limits, all at once and in one order, and lets `work` count pieces against them. */
  async withRates<T>(tx: Tx, rates: readonly QuotaRow[], work: (windows: RateWindows) => T): Promise<T> {
    // What changes limits has its own lock, taken before their rows: whoever locks rows takes it before them too.
    for (const organizationId of [...new Set(rates.map((q) => q.organizationId))].sort())
      await tx.call(quotaTake, { holder: null, organizationId, projectId: '', keyId: null, at: null, amounts: {} });
    const ids = rates.map((q) => q.id);
    const locked = await tx.find(quotas, { id: { in: ids } }, { orderBy: [['id', 'asc']], lock: 'update' });
    const windows = new RateWindows(locked, await tx.now());
    const answer = work(windows);
    const { rows, alerts } = windows.counted();
    for (const { id, ...counted } of rows) await tx.update(quotas, { id }, counted);
    const organizationOf = new Map(locked.map((q) => [q.id, q.organizationId]));
    for (const alert of alerts) await tell(tx, organizationOf.get(alert.quotaId) ?? '', [alert], this.random);
    return answer;
  }

  /** Ends what a holder counts for; harmless to repeat. */
  async release(tx: Tx, holder: string, dimensions: readonly string[]): Promise<void> {
    await tx.call(quotaRelease, { holder, dimensions: [...dimensions] });
  }

  /** The key whose limits a hold counts for, where there is one; of jobs that came together their common hold says it. */
  async keyOf(tx: Tx, holdId: string): Promise<string | null> {
    const use = await tx.first(quotaUses, { holder: holdId, dimension: 'spend' });
    if (use) return use.keyId;
    const above = (await tx.first(holds, { id: holdId }))?.parentId ?? null;
    return above === null ? null : this.keyOf(tx, above);
  }

  /** Sets a limit or changes it. It may be below what is in use: nothing new is let in then; `stopNewest` names what its policy ends. */
  async set(tx: Tx, order: NewQuota): Promise<{ quota: QuotaRow; stopNewest: readonly string[] }> {
    checkOrder(order);
    const { cohort, ...rest } = order;
    const cohortId = cohort === null ? null : (await this.cohort(tx, cohort)).id;
    const at = await tx.now();
    const id = newId('quota', at, this.random);
    const keyId = order.scope === 'key' ? order.scopeId : null;
    const set = await tx.call(quotaSet, { ...rest, id, keyId, cohortId, at });
    const quota = await tx.first(quotas, { id: set.id });
    if (!quota) throw new Error(`quota ${set.id} was set and is not there`);
    return { quota, stopNewest: (await newestBeyond(tx, quota)).map((use) => use.holder) };
  }

  /**
   * Leases that use what the owner of this quota lends and that may be stopped for it, the newest first: of members of its cohort that are
   * beyond their own part and whose policy is `stop-newest`.
   */
  async lent(tx: Tx, quotaId: string): Promise<readonly Pick<QuotaUseRow, 'holder' | 'amount'>[]> {
    const own = await tx.first(quotas, { id: quotaId });
    if (!own || own.cohortId === null) return [];
    const { cohortId, dimension, per } = own;
    const found: QuotaUseRow[] = [];
    for (const mate of await tx.find(quotas, { cohortId, dimension, per }))
      if (mate.id !== own.id) found.push(...(await newestBeyond(tx, mate)));
    return found.sort((a, b) => b.takenAt - a.takenAt || (a.holder < b.holder ? 1 : -1));
  }

  /** Removes a limit; what it counted goes on. */
  async remove(tx: Tx, id: string): Promise<QuotaRow> {
    const quota = await tx.first(quotas, { id });
    if (!quota) throw notFound('quota', id);
    await tx.remove(quotas, { id });
    return quota;
  }

  /** The limits of an organization; with `scopeIds` only those of these scopes. */
  list(tx: Tx, organizationId: string, scopeIds?: readonly string[]): Promise<QuotaRow[]> {
    const where = { organizationId, ...(scopeIds === undefined ? {} : { scopeId: { in: scopeIds } }) };
    return tx.find(quotas, where, { orderBy: [['id', 'asc']] });
  }

  /** Forgets what was spent in windows that are over; returns how many. */
  async sweep(tx: Tx): Promise<number> {
    const keepMs = 40 * 86_400_000;
    return tx.remove(quotaUses, { dimension: 'spend', takenAt: { lt: (await tx.now()) - keepMs } });
  }

  private async cohort(tx: Tx, name: string): Promise<CohortRow> {
    const createdAt = await tx.now();
    await tx.insertNew(cohorts, [{ id: newId('cohort', this.clock.now(), this.random), name, createdAt }]);
    const row = await tx.first(cohorts, { name });
    if (!row) throw new Error(`cohort ${name} was made and is not there`);
    return row;
  }
}

/** Newest holders of a lowered limit, as many as must end for the rest to fit. */
async function newestBeyond(tx: Tx, quota: QuotaRow): Promise<QuotaUseRow[]> {
  if (quota.policy === 'keep' || quota.used <= quota.limitN) return [];
  const { organizationId, dimension } = quota;
  const uses = await tx.find(quotaUses, { organizationId, dimension }, { orderBy: [['takenAt', 'desc']] });
  const newest: QuotaUseRow[] = [];
  let over = quota.used - quota.limitN;
  for (const use of uses.filter((u) => inScope(u, quota.scope, quota.scopeId))) {
    if (over <= 0n) break;
    newest.push(use);
    over -= use.amount;
  }
  return newest;
}

function inScope(use: QuotaUseRow, scope: QuotaScope, scopeId: string): boolean {
  const id = scope === 'organization' ? use.organizationId : scope === 'project' ? use.projectId : use.keyId;
  return id === scopeId;
}

function checkOrder({ dimension, per, policy, cohort, limitN, mode }: NewQuota): void {
  const wrong = (field: string, message: string, fix: string): DomainError =>
    new DomainError('invalid', 'quota-not-possible', message, { field, fix });
  const gauge = GAUGES.test(dimension);
  if (!gauge && !RATES.test(dimension))
    throw wrong(
      'dimension',
      `Nothing is counted as "${dimension}".`,
      'Use gpus, gpus:NAME, leases, jobs-queued, storage-bytes, spend, requests or tokens.',
    );
  if (gauge !== (per === 'ever'))
    throw wrong(
      'per',
      gauge ? `${dimension} is what is in use now.` : `${dimension} adds up in a window.`,
      gauge ? 'Leave the window out.' : 'Name a window: minute, hour, day or month.',
    );
  if (limitN < 0n) throw wrong('limit', 'A limit cannot be below zero.', 'Give zero to allow nothing.');
  if (policy === 'stop-newest' && !OF_LEASES.test(dimension))
    throw wrong('policy', 'Only leases can be stopped.', 'Use the policy keep.');
  if (cohort !== null && (!dimension.startsWith('gpus') || mode !== 'hard'))
    throw wrong('cohort', 'Only hard limits on GPUs are lent and borrowed.', 'Leave the cohort out.');
}

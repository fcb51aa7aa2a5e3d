import { DomainError, newId, notFound } from '#kernel';
import { audit, BROKER, type Author } from '#identity/audit';
import { within, WORKER, type Actor, type Tx } from '#platform/database';
import { transition, type Reconciler } from '#platform/reconcile';
import { account } from '#money/ledger';
import { disputeMachine, type DisputeState } from './machines.js';
import { move, openAccounts, termsOf, type Payee, type PayoutParts } from './parts.js';
import { disputes, type DisputeReason, type DisputeRow } from './rows/payouts.table.js';

/** What opens a dispute. */
export interface NewDispute {
  readonly providerId: string;
  readonly reason: DisputeReason;
  readonly note: string;
  readonly leaseId: string | null;
  readonly amountNano: bigint;
  /** Each source opens one dispute. */
  readonly source: string;
}

/** Which account has what the provider is not owed: that of the loss it makes good, else the margin. */
const LOSS: Readonly<Record<DisputeReason, string>> = {
  'failed-probe': account.failedStarts,
  'sla-breach': account.sla,
  other: account.revenue,
};

/** Amounts that a provider is perhaps not owed: kept apart while they are looked into, by ledger entries. */
export class Disputes {
  constructor(private readonly d: PayoutParts) {}

  /**
   * Writes down, where it happens, what a provider's terms dispute by themselves. No account is touched, so it may stand in any
   * transaction; the reconciler opens it.
   */
  async notice(tx: Tx, of: NewDispute): Promise<void> {
    if (of.amountNano <= 0n) return;
    const provider = await this.d.providers.get(tx, of.providerId);
    if (!provider || !(await termsOf(tx, provider)).autoDispute) return;
    const row = await this.rowOf(tx, provider, of);
    await tx.insertNew(disputes, [row]);
    tx.afterCommit(() => this.d.wake.wake('payout-dispute', row.id));
  }

  /** An administrator's dispute; the amount leaves what is due at once. */
  open(
    of: Omit<NewDispute, 'source'>,
    by: Author,
    also: (tx: Tx, row: DisputeRow) => Promise<void> = async () => undefined,
  ): Promise<DisputeRow> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const provider = await this.d.providers.get(tx, of.providerId);
      if (!provider) throw notFound('provider', of.providerId);
      if (of.amountNano <= 0n)
        throw new DomainError('invalid', 'amount-not-positive', 'A dispute must be about more than zero.', {
          field: 'amount',
        });
      const row = await this.rowOf(tx, provider, { ...of, source: '' });
      const noticed = { ...row, source: row.id };
      await tx.insert(disputes, noticed);
      const opened = await this.begin(tx, noticed);
      const { amountNano, reason, note } = opened;
      await audit(tx, {
        by,
        organizationId: provider.organizationId,
        action: 'payout-dispute.open',
        subject: opened.id,
        after: { amountNano, reason, note },
      });
      await also(tx, opened);
      return opened;
    });
  }

  /** Upheld: the broker keeps it. Dismissed: it is due again. Each once. */
  resolve(id: string, as: 'upheld' | 'dismissed', resolution: string, by: Author): Promise<DisputeRow> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const seen = await tx.first(disputes, { id }, { lock: 'update' });
      if (!seen) throw notFound('dispute', id);
      if (seen.state === as) return seen;
      if (disputeMachine.isTerminal(seen.state)) throw alreadyResolved(seen);
      const row = seen.state === 'noticed' ? await this.begin(tx, seen) : seen;
      const after = await transition(tx, disputes, disputeMachine, row, as, {
        patch: { resolution, resolvedAt: await tx.now() },
        wakeAt: null,
        message: resolution,
      });
      const { amountNano, organizationId } = row;
      const disputed = account.disputed(row.providerId);
      if (as === 'dismissed')
        await move(tx, this.d, payee(row), {
          kind: 'dispute-dismissed',
          reference: id,
          note: resolution,
          amountNano,
          against: disputed,
        });
      else
        await this.d.ledger.post(tx, {
          idempotencyKey: `payout:dispute-upheld:${id}`,
          kind: 'payout-dispute-upheld',
          organizationId,
          reference: id,
          entries: [
            { accountId: disputed, amountNano: -amountNano },
            { accountId: LOSS[row.reason], amountNano },
          ],
        });
      const before = { state: seen.state };
      await audit(tx, {
        by,
        organizationId,
        action: 'payout-dispute.resolve',
        subject: id,
        before,
        after: { state: as, resolution },
      });
      return after;
    });
  }

  list(
    actor: Actor,
    filter: { providerId?: string; state?: DisputeState },
    page: { limit: number; after?: readonly unknown[] },
  ): Promise<DisputeRow[]> {
    const { organizationId } = within(actor);
    const where = { ...filter, ...(organizationId === undefined ? {} : { organizationId }) };
    return this.d.store.transaction(actor, (tx) => tx.find(disputes, where, { orderBy: [['id', 'desc']], ...page }));
  }

  get reconciler(): Reconciler {
    return new DisputeReconciler(this.d, (tx, row) => this.begin(tx, row));
  }

  /** Takes the amount from what is due; below zero if that is less: then the next statement makes it good. */
  private async begin(tx: Tx, row: DisputeRow): Promise<DisputeRow> {
    const opened = await transition(tx, disputes, disputeMachine, row, 'open', {
      patch: { openedAt: await tx.now() },
      wakeAt: null,
      message: row.note,
    });
    await openAccounts(tx, this.d, payee(row));
    await move(tx, this.d, payee(row), {
      kind: 'dispute',
      reference: row.id,
      note: `${row.reason}: ${row.note}`,
      amountNano: -row.amountNano,
      against: account.disputed(row.providerId),
    });
    return opened;
  }

  private async rowOf(tx: Tx, { id: providerId, organizationId }: Payee, of: NewDispute): Promise<DisputeRow> {
    const now = await tx.now();
    const { reason, note, leaseId, amountNano, source } = of;
    return {
      id: newId('payoutDispute', now, this.d.random),
      organizationId,
      providerId,
      version: 1,
      wakeAt: now,
      state: 'noticed',
      reason,
      note,
      leaseId,
      amountNano,
      source,
      resolution: null,
      createdAt: now,
      openedAt: null,
      resolvedAt: null,
    };
  }
}

/** Opens what was noticed. */
class DisputeReconciler implements Reconciler {
  readonly kind = 'payout-dispute';

  constructor(
    private readonly d: PayoutParts,
    private readonly begin: (tx: Tx, row: DisputeRow) => Promise<DisputeRow>,
  ) {}

  due(tx: Tx, nowMs: number, limit: number): Promise<DisputeRow[]> {
    return tx.find(disputes, { wakeAt: { lte: nowMs } }, { orderBy: [['wakeAt', 'asc']], limit });
  }

  async step(id: string): Promise<'rest'> {
    await this.d.store.transaction(WORKER, async (tx) => {
      const row = await tx.first(disputes, { id, state: 'noticed' }, { lock: 'update' });
      if (!row) return;
      const { organizationId, amountNano, reason, note } = await this.begin(tx, row);
      const after = { amountNano, reason, note };
      await audit(tx, { by: BROKER, organizationId, action: 'payout-dispute.open', subject: id, after });
    });
    return 'rest';
  }
}

const payee = ({ providerId, organizationId }: DisputeRow): Payee => ({ id: providerId, organizationId });

function alreadyResolved({ id, state }: DisputeRow): DomainError {
  return new DomainError('conflict', 'dispute-resolved', `Dispute ${id} is ${state} already.`, { facts: { state } });
}

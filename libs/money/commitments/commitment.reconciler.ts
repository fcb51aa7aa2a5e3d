import { DAY, DomainError, HOUR, newId, StaleVersion, type Clock, type Random } from '#kernel';
import { WORKER, type Store, type Tx } from '#platform/database';
import type { Reconciler } from '#platform/reconcile';
import { account, type Ledger } from '#money/ledger';
import { monthEnd, monthStart, usageRecords, usageRow } from '#money/metering';
import { creditRoomOf, type Holds } from '#money/quotas';
import { commitments, shortfall, type CommitmentRow } from '#money/rating';

/** Usage of a month may still come in for so long before what is missing is counted. */
const GRACE_MS = HOUR;

/** Charges at each month's end what a commitment promised and usage did not bring; what the credit does not cover stays owed. */
export class CommitmentReconciler implements Reconciler {
  readonly kind = 'commitment';

  constructor(
    private readonly d: {
      readonly store: Store;
      readonly ledger: Ledger;
      readonly holds: Holds;
      readonly clock: Clock;
      readonly random: Random;
    },
  ) {}

  due(tx: Tx, nowMs: number, limit: number): Promise<CommitmentRow[]> {
    return tx.find(commitments, { wakeAt: { lte: nowMs } }, { orderBy: [['wakeAt', 'asc']], limit });
  }

  async step(id: string): Promise<'again' | 'rest'> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const row = await tx.first(commitments, { id });
      if (!row || row.wakeAt === null) return 'rest';
      const now = await tx.now();
      if (row.owedNano > 0n) {
        const paid = await this.collect(tx, row);
        if (paid > 0n) {
          await this.change(tx, row, { owedNano: row.owedNano - paid, wakeAt: now });
          return 'again';
        }
      }
      const periodEnd = Math.min(monthEnd(row.settledThrough), row.endsAt);
      if (row.settledThrough < row.endsAt && now >= periodEnd + GRACE_MS) {
        await this.settle(tx, row, periodEnd, now);
        return 'again';
      }
      const next = row.settledThrough < row.endsAt ? periodEnd + GRACE_MS : null;
      const wakeAt = row.owedNano > 0n ? Math.min(next ?? Infinity, now + DAY) : next;
      if (row.wakeAt !== wakeAt) await this.change(tx, row, { wakeAt });
      return 'rest';
    });
  }

  private async settle(tx: Tx, row: CommitmentRow, toMs: number, now: number): Promise<void> {
    const fromMs = row.settledThrough;
    const charges = await tx.find(usageRecords, {
      organizationId: row.organizationId,
      side: 'charge',
      toAt: { gt: fromMs },
      fromAt: { lt: toMs },
    });
    const missing = shortfall(
      row,
      { fromMs, toMs, lengthMs: monthEnd(fromMs) - monthStart(fromMs) },
      charges.filter((c) => c.meter !== 'commitment'),
    );
    await this.change(tx, row, { settledThrough: toMs, owedNano: row.owedNano + missing, wakeAt: now });
  }

  /** Takes what is owed out of the credit as far as it goes, as a usage record that its invoice shows. */
  private async collect(tx: Tx, row: CommitmentRow): Promise<bigint> {
    const { organizationId, owedNano } = row;
    const most = await creditRoomOf(tx, await this.d.ledger.creditOf(tx, organizationId));
    const amountNano = most < owedNano ? most : owedNano;
    if (amountNano <= 0n) return 0n;
    // The organization as a whole has promised, none of its projects.
    const projectId = organizationId;
    let holdId: string;
    try {
      holdId = (await this.d.holds.take(tx, { organizationId, projectId, amountNano })).id;
    } catch (error) {
      if (error instanceof DomainError) return 0n;
      throw error;
    }
    const now = await tx.now();
    const key = `commitment:${row.id}:${row.version}`;
    await this.d.holds.spend(tx, holdId, amountNano);
    const transactionId = await this.d.ledger.post(tx, {
      idempotencyKey: key,
      kind: 'usage',
      organizationId,
      reference: row.id,
      entries: [
        { accountId: account.credit(organizationId), amountNano: -amountNano, from: 'held' },
        { accountId: account.revenue, amountNano },
      ],
    });
    await tx.insert(
      usageRecords,
      usageRow({
        id: newId('usage', this.d.clock.now(), this.d.random),
        key,
        organizationId,
        projectId,
        leaseId: row.id,
        jobId: null,
        providerId: 'berth',
        source: 'commitment',
        meter: 'commitment',
        side: 'charge',
        resource: `committed use per ${row.per}`,
        fromAt: now,
        toAt: now,
        quantity: 0n,
        unitPriceNano: row.amountNano,
        amountNano,
        transactionId,
        createdAt: now,
      }),
    );
    await this.d.holds.settle(tx, holdId);
    return amountNano;
  }

  private async change(tx: Tx, row: CommitmentRow, patch: Partial<CommitmentRow>): Promise<void> {
    const done = await tx.update(
      commitments,
      { id: row.id, version: row.version },
      { ...patch, version: row.version + 1 },
    );
    if (done.length === 0) throw new StaleVersion('commitment', row.id);
  }
}

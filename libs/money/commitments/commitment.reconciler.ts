import { DAY, HOUR, newId, StaleVersion, type Clock, type Random } from '#kernel';
import { WORKER, type Store, type Tx } from '#platform/database';
import type { Reconciler } from '#platform/reconcile';
import { account, accounts, type Ledger } from '#money/ledger';
import { monthEnd, monthStart, usageRecords, usageRow } from '#money/metering';
import { creditRoomOf, type Quotas } from '#money/quotas';
import { commitments, promisedOf, shortfallOfHours, type CommitmentRow } from '#money/rating';
import { chargedInHours } from './charged.js';

/** Usage of a month may still come in for so long before what is missing is counted. */
const GRACE_MS = HOUR;

/** Charges at each month's end what a commitment promised and usage did not bring; what the credit does not cover stays owed. */
export class CommitmentReconciler implements Reconciler {
  readonly kind = 'commitment';

  constructor(
    private readonly d: {
      readonly store: Store;
      readonly ledger: Ledger;
      readonly quotas: Pick<Quotas, 'spend'>;
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
    const period = { fromMs, toMs, lengthMs: monthEnd(fromMs) - monthStart(fromMs) };
    const missing = shortfallOfHours(row, period, await chargedInHours(tx, row, promisedOf(row, period)));
    await this.change(tx, row, { settledThrough: toMs, owedNano: row.owedNano + missing, wakeAt: now });
  }

  /**
   * Takes what is owed out of the credit as far as it goes, as a usage record that its invoice shows. What is held for jobs is not touched;
   * budgets count it and refuse nothing, since it was promised before.
   */
  private async collect(tx: Tx, row: CommitmentRow): Promise<bigint> {
    const { organizationId, owedNano } = row;
    const creditId = account.credit(organizationId);
    const credit = await tx.first(accounts, { id: creditId }, { lock: 'update' });
    const most = credit ? await creditRoomOf(tx, credit) : 0n;
    const amountNano = most < owedNano ? most : owedNano;
    if (amountNano <= 0n) return 0n;
    // Where the organization as a whole has promised, it is none of its projects.
    const projectId = row.projectId ?? organizationId;
    const now = await tx.now();
    const key = `commitment:${row.id}:${row.version}`;
    const transactionId = await this.d.ledger.post(tx, {
      idempotencyKey: key,
      kind: 'usage',
      organizationId,
      reference: row.id,
      entries: [
        // The room was looked at above, with the account locked: a credit limit may be used, which a plain entry must not.
        { accountId: creditId, amountNano: -amountNano, below: true },
        { accountId: account.revenue, amountNano },
      ],
    });
    if (transactionId === null) throw new StaleVersion('commitment', row.id);
    await this.d.quotas.spend(tx, organizationId, [{ holder: key, projectId, amountNano }]);
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

import { DomainError } from '#kernel';
import { BROKER } from '#identity/audit';
import { WORKER, type Tx } from '#platform/database';
import { transition, type Reconciler } from '#platform/reconcile';
import { dunningDue, dunningSteps, type DunningStep } from './dunning.js';
import type { Filing } from './filing.js';
import type { Issuing } from './issue.js';
import { tell, type BillingParts } from './parts.js';
import { invoiceMachine, invoices, type InvoiceRow } from './rows/invoices.table.js';
import { settleStanding } from './standing.js';

/** Ends what an organization runs, because it does not pay; the room of the jobs gives it. */
export type StopWork = (organizationId: string, invoiceId: string) => Promise<void>;

/** Drives invoices: issues them when the grace is over, files their documents, reminds, pauses and stops who does not pay. */
export class InvoiceReconciler implements Reconciler {
  readonly kind = 'invoice';

  constructor(
    private readonly d: BillingParts,
    private readonly issuing: Issuing,
    private readonly filing: Filing,
    private readonly stopWork: StopWork,
  ) {}

  due(tx: Tx, nowMs: number, limit: number): Promise<{ id: string; wakeAt: number | null }[]> {
    return tx.find(invoices, { wakeAt: { lte: nowMs } }, { orderBy: [['wakeAt', 'asc']], limit });
  }

  async step(id: string): Promise<'again' | 'rest'> {
    const { row, now } = await this.d.store.transaction(WORKER, async (tx) => ({
      row: await tx.first(invoices, { id }),
      now: await tx.now(),
    }));
    if (!row || row.wakeAt === null || row.wakeAt > now) return 'rest';
    switch (row.state) {
      case 'draft':
        return this.freeze(row);
      case 'issuing_failed':
        await this.retry(row);
        return 'again';
      case 'issuing':
        await this.issuing.finish(row, BROKER);
        return 'again';
      case 'open':
      case 'past_due':
        if (row.filedAt === null) return this.file(row);
        return this.dun(row);
      case 'paid':
      case 'void':
      case 'uncollectible':
        if (row.filedAt === null && row.number !== null) return this.file(row);
        await this.d.store.transaction(WORKER, (tx) => this.rest(tx, row, null));
        return 'rest';
    }
  }

  private async freeze(row: InvoiceRow): Promise<'again' | 'rest'> {
    try {
      await this.issuing.freeze(row.id);
      return 'again';
    } catch (error) {
      // An earlier month's invoice comes first; this one looks again when that one has moved.
      if (!(error instanceof DomainError && error.code === 'earlier-invoice-unfinished')) throw error;
      await this.d.store.transaction(WORKER, async (tx) => this.rest(tx, row, (await tx.now()) + WAIT_MS));
      return 'rest';
    }
  }

  private async retry(row: InvoiceRow): Promise<void> {
    await this.d.store.transaction(WORKER, async (tx) =>
      transition(tx, invoices, invoiceMachine, row, 'issuing', { wakeAt: await tx.now(), message: 'trying again' }),
    );
  }

  private async file(row: InvoiceRow): Promise<'again'> {
    await this.filing.file(row);
    return 'again';
  }

  /** Takes the steps whose time has come, and sleeps until the next. Work is ended before that is written down, so it surely is. */
  private async dun(seen: InvoiceRow): Promise<'again' | 'rest'> {
    const { store, settings } = this.d;
    const { dueAt, dunned, organizationId } = seen;
    if (dueAt === null) throw new Error(`${seen.id} is issued and has no due date`);
    const now = await store.transaction(WORKER, (tx) => tx.now());
    const { take, nextAt } = dunningDue(dunningSteps(settings), { dueAt, dunned }, now);
    if (take.length === 0) {
      await store.transaction(WORKER, (tx) => this.rest(tx, seen, nextAt));
      return 'rest';
    }
    // New work is refused before running work is ended, even where both are overdue.
    const stop = take.findIndex((s) => s.action === 'stop');
    const steps = stop > 0 ? take.slice(0, stop) : take;
    if (stop === 0) await this.stopWork(organizationId, seen.id);
    await store.transaction(WORKER, async (tx) => {
      const after = await transition(tx, invoices, invoiceMachine, seen, 'past_due', {
        patch: { dunned: dunned + steps.length },
        wakeAt: stop > 0 ? now : nextAt,
        type: seen.state === 'past_due' ? 'invoice.dunned' : 'invoice.past_due',
        message: wordsOf(steps),
      });
      if (steps.some((s) => s.action === 'remind')) await tell(this.d.outbox, tx, 'reminder', after, reminderOf(steps));
      await settleStanding(tx, this.d, organizationId);
    });
    return 'again';
  }

  private rest(tx: Tx, row: InvoiceRow, wakeAt: number | null): Promise<InvoiceRow[]> {
    return tx.update(invoices, { id: row.id, version: row.version }, { wakeAt });
  }
}

const WAIT_MS = 60_000;

const wordsOf = (steps: readonly DunningStep[]): string =>
  steps.map((s) => `${s.action} (${s.days} days past due)`).join(', ');

const reminderOf = (steps: readonly DunningStep[]) => ({
  daysPastDue: Math.max(...steps.map((s) => s.days)),
  paused: steps.some((s) => s.action !== 'remind'),
});

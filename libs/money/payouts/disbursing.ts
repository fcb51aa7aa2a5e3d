import { DomainError, notFound } from '#kernel';
import { audit, type Author } from '#identity/audit';
import { within, WORKER, type Actor, type Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { NANO_PER_CENT } from '#money/billing';
import { account } from '#money/ledger';
import { freshEffect } from '#money/payments';
import { idFor, readyAccount, wakeTransfer } from './effects/begin.js';
import { settlePayout, takeBack } from './effects/payout.effect.js';
import { payoutMachine, type PayoutState } from './machines.js';
import { move, termsOf, type PayoutParts } from './parts.js';
import { payoutReversals, payouts, type PayoutRow, type ReversalRow } from './rows/payouts.table.js';
import type { PayoutMethod } from './terms.js';

/** What of a payout is taken back, and why, for the provider; without an amount all that is left. */
export interface TakenBack {
  readonly reason: string;
  readonly amountCents?: bigint;
}

/** What administrators do about money that a statement has set aside. */
export class Disbursing {
  constructor(private readonly d: PayoutParts) {}

  /** Lets a proposed payout go: to the processor, or to be paid by hand, as the provider's terms are now. */
  approve(id: string, by: Author): Promise<PayoutRow> {
    return this.act(id, 'approve', by, ['proposed'], (tx, row) => this.release(tx, row));
  }

  /** Tries a failed payout again, or sends one by transfer that was to be paid by hand. */
  pay(id: string, by: Author): Promise<PayoutRow> {
    return this.act(id, 'pay', by, ['proposed', 'awaiting', 'failed'], (tx, row) => this.release(tx, row));
  }

  /** It was paid by hand; `reference` is what the bank calls it. */
  markPaid(id: string, reference: string, by: Author): Promise<PayoutRow> {
    return this.act(id, 'mark-paid', by, ['proposed', 'awaiting', 'failed'], async (tx, row) => {
      const approved = row.state === 'proposed' ? await this.release(tx, row, 'manual') : row;
      return settlePayout(tx, this.d, approved, { reference });
    });
  }

  /** What was set aside is due again, and on the next statement. */
  cancel(id: string, reason: string, by: Author): Promise<PayoutRow> {
    return this.act(id, 'cancel', by, ['proposed', 'awaiting', 'failed'], async (tx, row) => {
      const { providerId, organizationId, amountCents } = row;
      const change = { patch: { message: reason }, wakeAt: null, message: reason };
      const canceled = await transition(tx, payouts, payoutMachine, row, 'canceled', change);
      await move(
        tx,
        this.d,
        { id: providerId, organizationId },
        {
          kind: 'payout-canceled',
          reference: id,
          note: reason,
          amountNano: amountCents * NANO_PER_CENT,
          against: account.payouts,
        },
      );
      return canceled;
    });
  }

  /**
   * Takes a paid payout back, or a part of it, again and again up to its whole: a transfer at the processor, one part at a time, which
   * takes its time; what was paid by hand at once. `also` runs in the same transaction.
   */
  reverse(
    id: string,
    part: TakenBack,
    by: Author,
    also?: (tx: Tx, row: PayoutRow) => Promise<void>,
  ): Promise<PayoutRow> {
    return this.act(id, 'reverse', by, ['paid'], async (tx, row) => {
      const after = await this.takeBack(tx, row, part);
      await also?.(tx, after);
      return after;
    });
  }

  private async takeBack(tx: Tx, row: PayoutRow, { reason, amountCents: asked }: TakenBack): Promise<PayoutRow> {
    const leftCents = row.amountCents - row.reversedCents;
    const amountCents = asked ?? leftCents;
    const { id } = row;
    if (row.processorId === null) {
      if (amountCents > leftCents) throw tooMuch(row, leftCents);
      const back = { upToCents: row.reversedCents + amountCents, from: account.cash, why: reason };
      return takeBack(tx, this.d, row, back);
    }
    if (this.d.port === null) throw noProcessor();
    const underWay = await tx.first(payoutReversals, { slot: id });
    // Also where it is equal: it may be a second part. The same request again is known by its Idempotency-Key, before it comes here.
    if (underWay) throw oneAtATime(row, underWay);
    if (amountCents > leftCents) throw tooMuch(row, leftCents);
    const now = await tx.now();
    const reversal: ReversalRow = {
      ...freshEffect(idFor(this.d, 'payoutReversal', now), row.organizationId, now, now),
      state: 'intended',
      payoutId: id,
      transferId: row.processorId,
      amountCents,
      reason,
      slot: id,
    };
    await tx.insert(payoutReversals, reversal);
    tx.afterCommit(() => this.d.wake.wake('payout-reversal', reversal.id));
    return row;
  }

  list(
    actor: Actor,
    filter: { state?: PayoutState; providerId?: string; organizationId?: string },
    page: { limit: number; after?: readonly unknown[] },
  ): Promise<PayoutRow[]> {
    return this.d.store.transaction(actor, (tx) =>
      tx.find(payouts, { ...filter, ...own(actor) }, { orderBy: [['id', 'desc']], ...page }),
    );
  }

  async get(actor: Actor, id: string): Promise<PayoutRow> {
    const row = await this.d.store.transaction(actor, (tx) => tx.first(payouts, { id, ...own(actor) }));
    if (!row) throw notFound('payout', id);
    return row;
  }

  /** One administrator's action on a payout that must be in one of these states, with its entry in the audit log. */
  private act(
    id: string,
    action: string,
    by: Author,
    from: readonly PayoutState[],
    work: (tx: Tx, row: PayoutRow) => Promise<PayoutRow>,
  ): Promise<PayoutRow> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const before = await tx.first(payouts, { id }, { lock: 'update' });
      if (!before) throw notFound('payout', id);
      if (!from.includes(before.state)) throw wrongState(before, action);
      const after = await work(tx, before);
      await audit(tx, {
        by,
        organizationId: before.organizationId,
        action: `payout.${action}`,
        subject: id,
        before: shown(before),
        after: shown(after),
      });
      return after;
    });
  }

  private async release(tx: Tx, row: PayoutRow, forced?: PayoutMethod): Promise<PayoutRow> {
    const provider = await this.d.providers.get(tx, row.providerId);
    if (!provider) throw notFound('provider', row.providerId);
    const method = forced ?? (await termsOf(tx, provider)).method;
    const now = await tx.now();
    if (method === 'manual') {
      if (row.state === 'awaiting') return row;
      const message = 'to be paid by hand';
      return transition(tx, payouts, payoutMachine, row, 'awaiting', { patch: { method }, wakeAt: null, message });
    }
    if (this.d.port === null) throw noProcessor();
    const target = await readyAccount(tx, row.organizationId);
    if (!target) throw noAccount(provider.name);
    // What failed is looked up before it is sent again, and then under a key of its own.
    const to = row.state === 'failed' ? 'unknown' : 'intended';
    const patch = { method, accountId: target.processorId, createdAt: now, failures: 0, spent: to === 'unknown' };
    const sent = await transition(tx, payouts, payoutMachine, row, to, { patch, wakeAt: now, message: 'approved' });
    wakeTransfer(tx, this.d, row.id);
    return sent;
  }
}

const own = (actor: Actor): { organizationId?: string } => {
  const { organizationId } = within(actor);
  return organizationId === undefined ? {} : { organizationId };
};

const shown = ({ state, amountCents, reversedCents, method, reference, message }: PayoutRow) => ({
  state,
  amountCents,
  reversedCents,
  method,
  reference,
  message,
});

function wrongState({ id, state }: PayoutRow, action: string): DomainError {
  return new DomainError('conflict', 'wrong-state', `Payout ${id} is ${state}: there is nothing to ${action}.`, {
    facts: { state },
  });
}

function tooMuch({ id }: PayoutRow, leftCents: bigint): DomainError {
  return new DomainError('conflict', 'reversal-too-large', `Of payout ${id} ${leftCents} cents can be taken back.`, {
    facts: { leftCents: String(leftCents) },
  });
}

function oneAtATime({ id }: PayoutRow, { amountCents, reason }: ReversalRow): DomainError {
  const detail = `A part of payout ${id} is on its way back already: ${amountCents} cents, for "${reason}".`;
  return new DomainError('conflict', 'reversal-under-way', detail, {
    fix: 'Wait until it is back; then take back what more is to come back.',
    facts: { underWayCents: String(amountCents) },
  });
}

function noProcessor(): DomainError {
  return new DomainError('unprocessable', 'transfers-not-made', 'This installation makes no transfers.', {
    fix: 'Pay by hand and mark the payout as paid, or turn the payment processor on with BILLING=stripe.',
  });
}

function noAccount(name: string): DomainError {
  return new DomainError('conflict', 'account-not-ready', `${name} has no account that may be paid to.`, {
    fix: 'The provider opens one with `berth payouts account`; or set its terms to be paid by hand.',
  });
}

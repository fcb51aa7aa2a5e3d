import { DomainError, notFound } from '#kernel';
import { audit, type Author } from '#identity/audit';
import { WORKER, type Actor, type Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { freshEffect } from '#money/payments';
import { idFor } from './effects/begin.js';
import { payoutAccountMachine } from './machines.js';
import type { PayoutParts } from './parts.js';
import { payoutAccounts, type PayoutAccountRow } from './rows/payouts.table.js';

/** Where organizations are paid to: an account at the processor, opened by its owner. */
export class Accounts {
  constructor(private readonly d: PayoutParts) {}

  /** Opens the organization's account, once; one that was refused is tried again with what is said now. */
  begin(
    organizationId: string,
    of: { country: string; email: string | null },
    by: Author,
    also: (tx: Tx, row: PayoutAccountRow) => Promise<void> = async () => undefined,
  ): Promise<PayoutAccountRow> {
    this.port();
    return this.d.store.transaction(WORKER, async (tx) => {
      const now = await tx.now();
      const fresh: PayoutAccountRow = {
        ...freshEffect(idFor(this.d, 'payoutAccount', now), organizationId, now, now),
        state: 'intended',
        ...of,
        requirements: [],
      };
      const [added] = await tx.insertNew(payoutAccounts, [fresh]);
      const known = added ?? (await tx.first(payoutAccounts, { organizationId }, { lock: 'update' }));
      if (!known) throw new Error(`the account of ${organizationId} vanished between two statements`);
      const row = known.state === 'refused' ? await this.again(tx, known, of, now) : known;
      if (added || row !== known) {
        await audit(tx, { by, organizationId, action: 'payout-account.open', subject: row.id, after: of });
        tx.afterCommit(() => this.d.wake.wake('payout-account', row.id));
      }
      await also(tx, row);
      return row;
    });
  }

  async get(actor: Actor, organizationId: string): Promise<PayoutAccountRow> {
    const row = await this.d.store.transaction(actor, (tx) => tx.first(payoutAccounts, { organizationId }));
    if (!row) throw notFound('payout account of', organizationId);
    return row;
  }

  /** A page of the processor's where the owner says who it is; made anew for each visit. */
  async link(actor: Actor, organizationId: string, urls: { returnUrl: string; refreshUrl: string }) {
    const { processorId } = await this.get(actor, organizationId);
    if (processorId === null)
      throw new DomainError('conflict', 'account-not-made', 'The processor has not made the account yet.', {
        retryable: true,
      });
    const link = await this.port().accountLink({ accountId: processorId, ...urls });
    if (link.kind === 'done') return link.value;
    throw new DomainError('unavailable', 'processor-unavailable', link.message, { retryable: link.kind !== 'refused' });
  }

  private again(tx: Tx, row: PayoutAccountRow, of: object, now: number): Promise<PayoutAccountRow> {
    const patch = { ...of, createdAt: now, failures: 0, spent: true };
    return transition(tx, payoutAccounts, payoutAccountMachine, row, 'unknown', {
      patch,
      wakeAt: now,
      message: 'again',
    });
  }

  private port() {
    if (this.d.port !== null) return this.d.port;
    throw new DomainError('unprocessable', 'transfers-not-made', 'This installation makes no transfers.', {
      fix: 'Payouts are paid by hand; the operator turns transfers on with BILLING=stripe.',
    });
  }
}

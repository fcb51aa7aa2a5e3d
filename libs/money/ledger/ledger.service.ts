import { DomainError, newId, type Clock, type Random } from '#kernel';
import type { Tx } from '#platform/database';
import { account, chart, ownAccounts, type AccountKind } from './chart.js';
import { accounts, type AccountRow } from './ledger.table.js';
import { ledgerPost } from './post.js';

export interface Entry {
  readonly accountId: string;
  readonly amountNano: bigint;
  /** For credit accounts: a spend comes out of what is held, everything else moves what is available. */
  readonly from?: 'available' | 'held';
}

export interface Posting {
  /** Same key, same transaction: posting twice changes nothing. */
  readonly idempotencyKey: string;
  readonly kind: string;
  /** The tenant who may see it; null for the broker's own. */
  readonly organizationId: string | null;
  readonly reference: string;
  readonly reverses?: string;
  readonly entries: readonly Entry[];
}

/** Double entry in nano-dollars. Entries of a transaction sum to zero (checked here and by a constraint), nothing is ever changed. */
export class Ledger {
  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
  ) {}

  /** Opens accounts that do not exist yet; harmless to repeat. */
  async open(tx: Tx, list: readonly { id: string; kind: AccountKind; organizationId: string | null }[]): Promise<void> {
    await tx.insertNew(
      accounts,
      list.map((a) => ({
        ...a,
        balanceNano: 0n,
        availableNano: 0n,
        heldNano: 0n,
        creditLimitNano: 0n,
        bounded: chart[a.kind].bounded,
      })),
    );
  }

  /** The broker's own accounts; made once at first boot. */
  openOwn(tx: Tx): Promise<void> {
    return this.open(tx, ownAccounts);
  }

  /** Returns the transaction's id, or null when the key had been posted before. Account rows are locked in the order of their ids. */
  async post(tx: Tx, posting: Posting): Promise<string | null> {
    const moved = posting.entries.filter((e) => e.amountNano !== 0n);
    const sum = moved.reduce((a, e) => a + e.amountNano, 0n);
    if (sum !== 0n) throw new Error(`ledger transaction ${posting.idempotencyKey} sums to ${sum}, not zero`);
    const id = newId('transaction', this.clock.now(), this.random);
    const { outcome, shortAccount } = await tx.call(ledgerPost, {
      id,
      key: posting.idempotencyKey,
      kind: posting.kind,
      organizationId: posting.organizationId,
      reference: posting.reference,
      reverses: posting.reverses ?? null,
      at: await tx.now(),
      entries: moved.map(({ accountId, amountNano, from }) => ({ accountId, amountNano, from: from ?? 'available' })),
    });
    if (outcome === 'short') {
      throw new DomainError(
        'payment-required',
        'insufficient-credit',
        `Account ${shortAccount} does not exist or has too little.`,
      );
    }
    return outcome === 'posted' ? id : null;
  }

  /** Puts credit into a tenant's account; `kind` grant is a gift of the broker, payment is money that came in. */
  async credit(
    tx: Tx,
    organizationId: string,
    amountNano: bigint,
    kind: 'grant' | 'payment',
    idempotencyKey: string,
  ): Promise<string | null> {
    if (amountNano <= 0n)
      throw new DomainError('invalid', 'amount-not-positive', 'Credit must be more than zero.', { field: 'amount' });
    await this.open(tx, [{ id: account.credit(organizationId), kind: 'credit', organizationId }]);
    return this.post(tx, {
      idempotencyKey,
      kind,
      organizationId,
      reference: organizationId,
      entries: [
        { accountId: kind === 'grant' ? account.grants : account.cash, amountNano: -amountNano },
        { accountId: account.credit(organizationId), amountNano },
      ],
    });
  }

  /** A tenant's credit account; zeros when it was never opened. */
  async creditOf(tx: Tx, organizationId: string): Promise<AccountRow> {
    const id = account.credit(organizationId);
    return (
      (await tx.first(accounts, { id })) ?? {
        id,
        organizationId,
        kind: 'credit',
        balanceNano: 0n,
        availableNano: 0n,
        heldNano: 0n,
        creditLimitNano: 0n,
        bounded: true,
      }
    );
  }
}

import { DomainError, newId, type Random } from '#kernel';
import { WORKER, type Store, type Tx } from '#platform/database';
import { account, accounts, Ledger, referenceUsed } from '#money/ledger';
import { grants, grantsFold, type GrantRow } from './grants.table.js';

export interface NewGrant {
  readonly organizationId: string;
  readonly amountNano: bigint;
  readonly reference: string;
  readonly priority: number;
  /** Null: it never expires. */
  readonly expiresAt: number | null;
}

/** The kinds of credit beside what was paid in: a limit to go below zero, and grants that expire. */
export class Credit {
  constructor(
    private readonly store: Store,
    private readonly ledger: Ledger,
    private readonly random: Random,
  ) {}

  /** Sets how far below zero a tenant who pays afterwards may go. Below what it owes already, the debt may only shrink. Answers the limit before. */
  async setLimit(tx: Tx, organizationId: string, limitNano: bigint): Promise<bigint> {
    if (limitNano < 0n)
      throw new DomainError('invalid', 'limit-negative', 'A credit limit cannot be below zero.', { field: 'limit' });
    const id = account.credit(organizationId);
    await this.ledger.open(tx, [{ id, kind: 'credit', organizationId }]);
    const before = await tx.first(accounts, { id }, { lock: 'update' });
    await tx.update(accounts, { id }, { creditLimitNano: limitNano });
    return before?.creditLimitNano ?? 0n;
  }

  /** Gives promotional credit; the same reference counts once and answers the grant that is there, and is refused for another. */
  async grant(tx: Tx, { organizationId, amountNano, reference, priority, expiresAt }: NewGrant): Promise<GrantRow> {
    const now = await tx.now();
    if (amountNano <= 0n)
      throw new DomainError('invalid', 'amount-not-positive', 'A grant must be more than zero.', {
        field: 'amountNano',
      });
    if (expiresAt !== null && expiresAt <= now)
      throw new DomainError('invalid', 'expiry-in-the-past', 'The grant would be expired already.', {
        field: 'expiresAt',
      });
    await this.ledger.open(tx, [{ id: account.credit(organizationId), kind: 'credit', organizationId }]);
    // What was charged before is not its to pay.
    await this.fold(tx, organizationId);
    const row: GrantRow = {
      id: newId('grant', now, this.random),
      organizationId,
      reference,
      amountNano,
      spentNano: 0n,
      returnedNano: 0n,
      priority,
      expiresAt,
      state: 'open',
      createdAt: now,
    };
    const [made] = await tx.insertNew(grants, [row]);
    if (!made) {
      const known = await tx.first(grants, { organizationId, reference });
      if (!known) throw new Error(`grant ${reference} is there and not there`);
      const isSame = known.amountNano === amountNano && known.priority === priority && known.expiresAt === expiresAt;
      if (!isSame) throw referenceUsed();
      return known;
    }
    await this.ledger.post(tx, {
      idempotencyKey: `promotion:${organizationId}:${reference}`,
      kind: 'promotion',
      organizationId,
      reference: row.id,
      entries: [
        { accountId: account.promotions, amountNano: -amountNano },
        { accountId: account.credit(organizationId), amountNano },
      ],
    });
    return row;
  }

  /** The grants of an organization, with all that was charged counted against them; newest first. */
  async list(tx: Tx, organizationId: string): Promise<GrantRow[]> {
    await this.fold(tx, organizationId);
    return tx.find(grants, { organizationId }, { orderBy: [['id', 'desc']], limit: 1_000 });
  }

  /**
   * Takes back what expired grants have left, as far as it is available: what an open hold has set aside may still be spent, and the rest comes
   * back at a later call. Returns how many grants gave something back.
   */
  async expire(): Promise<number> {
    const due = await this.store.transaction(WORKER, async (tx) =>
      tx.find(grants, { state: 'open', expiresAt: { lte: await tx.now() } }, { limit: 1_000 }),
    );
    let returned = 0;
    for (const organizationId of new Set(due.map((g) => g.organizationId)))
      returned += await this.store.transaction(WORKER, (tx) => this.expireOf(tx, organizationId));
    return returned;
  }

  private async expireOf(tx: Tx, organizationId: string): Promise<number> {
    await this.fold(tx, organizationId);
    const now = await tx.now();
    const due = await tx.find(
      grants,
      { organizationId, state: 'open', expiresAt: { lte: now } },
      { orderBy: [['id', 'asc']] },
    );
    let returned = 0;
    for (const grant of due) {
      const { availableNano } = await this.ledger.creditOf(tx, organizationId);
      const rest = grant.amountNano - grant.spentNano - grant.returnedNano;
      const back = rest < availableNano ? rest : availableNano;
      if (back <= 0n) continue;
      const returnedNano = grant.returnedNano + back;
      await this.ledger.post(tx, {
        idempotencyKey: `promotion-expiry:${grant.id}:${returnedNano}`,
        kind: 'promotion-expiry',
        organizationId,
        reference: grant.id,
        entries: [
          { accountId: account.credit(organizationId), amountNano: -back },
          { accountId: account.promotions, amountNano: back },
        ],
      });
      await tx.update(grants, { id: grant.id }, { returnedNano, state: back === rest ? 'expired' : 'open' });
      returned++;
    }
    return returned;
  }

  /** Counts charges against the grants; what they paid is given away for good from now on. */
  private async fold(tx: Tx, organizationId: string): Promise<void> {
    const { paidNano, chargedNano } = await tx.call(grantsFold, { organizationId });
    if (paidNano === 0n) return;
    await this.ledger.post(tx, {
      idempotencyKey: `promotion-spent:${organizationId}:${chargedNano}`,
      kind: 'promotion-spent',
      organizationId: null,
      reference: organizationId,
      entries: [
        { accountId: account.promotions, amountNano: paidNano },
        { accountId: account.grants, amountNano: -paidNano },
      ],
    });
  }
}

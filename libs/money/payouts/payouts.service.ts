import { DomainError, notFound } from '#kernel';
import type { PayeeAccount, PaymentEvent, Transfer, TransferReversal } from '#contracts';
import { audit, BROKER, type Author } from '#identity/audit';
import { WORKER, type Tx } from '#platform/database';
import type { Reconciler } from '#platform/reconcile';
import { account, accounts, type AccountRow } from '#money/ledger';
import { monthStart } from '#money/metering';
import { EffectReconciler } from '#money/payments';
import { Accounts } from './accounts.js';
import { Disputes } from './disputes.js';
import { AccountEffect } from './effects/account.effect.js';
import { PayoutEffect } from './effects/payout.effect.js';
import { ReversalEffect } from './effects/reversal.effect.js';
import { Disbursing } from './disbursing.js';
import { Filing } from './statements/filing.js';
import { sweepReversals } from './reversal-sweep.js';
import { Statements } from './statements/statements.js';
import type { PayoutAccountState, PayoutState, ReversalState } from './machines.js';
import { move, type PayoutParts, type TransferParts } from './parts.js';
import {
  payoutAccounts,
  payoutReversals,
  payouts,
  type PayoutAccountRow,
  type PayoutRow,
  type ReversalRow,
} from './rows/payouts.table.js';
import { holdbacks, type StatementRow } from './rows/statements.table.js';
import { Terms } from './provider-terms.js';

/** What a run over all providers came to. */
export interface RunReport {
  readonly made: readonly StatementRow[];
  /** Providers whose statement was there already. */
  readonly known: number;
  readonly failed: readonly { readonly providerId: string; readonly message: string }[];
}

/** What is owed to one provider, by what stands in its way. */
export interface ProviderBalance {
  readonly providerId: string;
  /** Used, and on no statement yet. */
  readonly accruedNano: bigint;
  readonly dueNano: bigint;
  readonly holdbackNano: bigint;
  readonly disputedNano: bigint;
}

const PAGE = 500;

/** States in which an event of the processor may say something new; not while an administrator has to decide. */
const AWAKE: readonly PayoutState[] = ['intended', 'calling', 'unknown', 'retrying', 'failed', 'paid'];
const PAYABLE = account.payable('');

/** How often statements and holdbacks are looked at. */
export const PAYOUTS_EVERY_MS = 600_000;

/** What providers are owed and paid. Every transfer is an intent first; reconcilers do the rest. */
export class Payouts {
  readonly statements: Statements;
  readonly filing: Filing;
  readonly disputes: Disputes;
  readonly disbursing: Disbursing;
  readonly terms: Terms;
  readonly accounts: Accounts;
  readonly reconcilers: readonly Reconciler[];

  constructor(private readonly d: PayoutParts) {
    const { port, store } = d;
    this.statements = new Statements(d);
    this.filing = new Filing(this.statements, d.settings);
    this.disputes = new Disputes(d);
    this.disbursing = new Disbursing(d);
    this.terms = new Terms(d);
    this.accounts = new Accounts(d);
    const transfers: TransferParts | null = port === null ? null : { ...d, port };
    this.reconcilers = [
      this.disputes.reconciler,
      ...(transfers === null
        ? []
        : [
            new EffectReconciler<PayoutState, PayoutRow, Transfer>(store, new PayoutEffect(transfers)),
            new EffectReconciler<ReversalState, ReversalRow, TransferReversal>(store, new ReversalEffect(transfers)),
            new EffectReconciler<PayoutAccountState, PayoutAccountRow, PayeeAccount>(
              store,
              new AccountEffect(transfers),
            ),
          ]),
    ];
  }

  /** Statements of the month of `atMs` for every provider, or for one. One that fails keeps no other from its own. */
  async run(atMs: number, by: Author, onlyProviderId?: string): Promise<RunReport> {
    const made: StatementRow[] = [];
    const failed: { providerId: string; message: string }[] = [];
    let known = 0;
    for await (const providerId of onlyProviderId === undefined ? this.payees() : [onlyProviderId]) {
      try {
        const statement = await this.statements.make(providerId, atMs, by);
        if (statement?.again) known++;
        else if (statement) made.push(statement.row);
      } catch (error) {
        // Also what nobody foresaw, such as books that do not agree.
        failed.push({ providerId, message: error instanceof Error ? error.message : String(error) });
      }
    }
    const month = new Date(atMs).toISOString().slice(0, 7);
    const after = { made: made.length, known, failed };
    if (by !== BROKER)
      await this.d.store.transaction(WORKER, (tx) =>
        audit(tx, { by, organizationId: null, action: 'payouts.run', subject: month, after }),
      );
    return { made, known, failed };
  }

  /**
   * What time brings: releases holdbacks, and makes last month's statements when its grace is over. To be called now and then; throws when it
   * has made all that it could and some could not be made.
   */
  async turn(): Promise<{ released: number; made: number }> {
    const released = await this.release();
    const now = await this.d.store.transaction(WORKER, (tx) => tx.now());
    const thisMonth = monthStart(now);
    if (now < thisMonth + this.d.settings.graceMs) return { released, made: 0 };
    const { made, failed } = await this.run(thisMonth - 1, BROKER);
    const [first] = failed;
    if (first)
      throw new Error(`${failed.length} providers have no statement; ${first.providerId} has none: ${first.message}`);
    return { released, made: made.length };
  }

  /** Finds transfers that were reversed at the processor without a word; answers how many payouts look again. To be called every hour. */
  sweepReversals(): Promise<number> {
    const { port } = this.d;
    return port === null ? Promise.resolve(0) : sweepReversals({ ...this.d, port });
  }

  /** Gives back what was kept back for long enough; each holdback once. */
  async release(): Promise<number> {
    let released = 0;
    for (;;) {
      const due = await this.d.store.transaction(WORKER, async (tx) =>
        tx.find(
          holdbacks,
          { releasedAt: { isNull: true }, releaseAt: { lte: await tx.now() } },
          { orderBy: [['id', 'asc']], limit: PAGE },
        ),
      );
      for (const { id } of due) if (await this.releaseOne(id)) released++;
      if (due.length < PAGE) return released;
    }
  }

  /** What is owed to an organization's providers as the books stand; to one provider where it is named. */
  balances(
    organizationId: string | null,
    page: { limit: number; after?: readonly unknown[] },
  ): Promise<ProviderBalance[]> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const of = organizationId === null ? {} : { organizationId };
      const rows = await tx.find(accounts, { ...of, kind: 'payable' }, { orderBy: [['id', 'asc']], ...page });
      return Promise.all(rows.map((row) => balanceOf(tx, row)));
    });
  }

  /** The only provider of an organization; which of several must be said. */
  async onlyProvider(organizationId: string): Promise<string> {
    const rows = await this.balances(organizationId, { limit: 2 });
    const [first, second] = rows;
    if (first && !second) return first.providerId;
    if (!first) throw notFound('provider of', organizationId);
    throw new DomainError('invalid', 'provider-needed', 'This organization has several providers.', {
      field: 'providerId',
      fix: 'Name one; GET /v1/payouts/balance lists them.',
    });
  }

  /** An event of the processor about an object of this room: the row is looked at anew. Answers its id. */
  readonly onEvent = async (tx: Tx, event: PaymentEvent): Promise<string | null> => {
    const poke = { wakeAt: await tx.now(), version: { add: 1 } };
    const { reference, objectId } = event;
    const which = [
      ...(reference === null ? [] : [{ id: reference }]),
      ...(objectId === null ? [] : [{ processorId: objectId }]),
    ];
    for (const of of which) {
      const [payout] = await tx.update(payouts, { ...of, state: { in: AWAKE } }, poke);
      if (payout) return this.woken(tx, 'payout', payout.id);
      const [reversal] = await tx.update(payoutReversals, { ...of, slot: { isNull: false } }, poke);
      if (reversal) return this.woken(tx, 'payout-reversal', reversal.id);
      const [own] = await tx.update(payoutAccounts, { ...of, state: { not: 'refused' } }, poke);
      if (own) return this.woken(tx, 'payout-account', own.id);
    }
    return null;
  };

  private woken(tx: Tx, kind: string, id: string): string {
    tx.afterCommit(() => this.d.wake.wake(kind, id));
    return id;
  }

  private releaseOne(id: string): Promise<boolean> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const releasedAt = await tx.now();
      const [row] = await tx.update(holdbacks, { id, releasedAt: { isNull: true } }, { releasedAt });
      if (!row) return false;
      const { providerId, organizationId, amountNano } = row;
      await move(
        tx,
        this.d,
        { id: providerId, organizationId },
        {
          kind: 'release',
          reference: id,
          note: 'kept back no longer',
          amountNano,
          against: account.holdback(providerId),
        },
      );
      return true;
    });
  }

  /** Everybody who is or was owed something. */
  private async *payees(): AsyncGenerator<string> {
    for (let after: readonly string[] | undefined; ;) {
      const page: AccountRow[] = await this.d.store.transaction(WORKER, (tx) =>
        tx.find(accounts, { kind: 'payable' }, { orderBy: [['id', 'asc']], limit: PAGE, ...(after ? { after } : {}) }),
      );
      for (const { id } of page) yield id.slice(PAYABLE.length);
      const last = page.at(-1);
      if (!last || page.length < PAGE) return;
      after = [last.id];
    }
  }
}

async function balanceOf(tx: Tx, { id, balanceNano: accruedNano }: AccountRow): Promise<ProviderBalance> {
  const providerId = id.slice(PAYABLE.length);
  const balance = async (of: string): Promise<bigint> => (await tx.first(accounts, { id: of }))?.balanceNano ?? 0n;
  return {
    providerId,
    accruedNano,
    dueNano: await balance(account.due(providerId)),
    holdbackNano: await balance(account.holdback(providerId)),
    disputedNano: await balance(account.disputed(providerId)),
  };
}

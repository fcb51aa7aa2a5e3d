import { newId, type Clock, type Random } from '#kernel';
import type { PaymentPort } from '#contracts';
import type { Outbox, Store, Tx } from '#platform/database';
import type { WakeQueue } from '#platform/reconcile';
import type { BillingSettings } from '#money/billing';
import { account, type Ledger } from '#money/ledger';
import type { ProvidersToPay, ProviderToPay } from './ports.js';
import { payoutTerms } from './rows/payouts.table.js';
import { movements, type MovementKind } from './rows/statements.table.js';
import { defaultTerms, type PayoutTerms } from './terms.js';

/** What the works of this room stand on. */
export interface PayoutParts {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly outbox: Outbox;
  readonly providers: ProvidersToPay;
  readonly wake: WakeQueue;
  readonly clock: Clock;
  readonly random: Random;
  /** The broker's own name on documents, their foot, and how long after a month's end usage is waited for. */
  readonly settings: Pick<BillingSettings, 'seller' | 'footer' | 'graceMs'>;
  /** The first part of statement numbers. */
  readonly series?: string;
  /** Null: this installation pays by hand only. */
  readonly port: PaymentPort | null;
}

/** For whoever is only reached when there is a processor. */
export type TransferParts = PayoutParts & { readonly port: PaymentPort };

export type Payee = Pick<ProviderToPay, 'id' | 'organizationId'>;

/** The accounts that a provider's payouts move; harmless to repeat. */
export function openAccounts(tx: Tx, { ledger }: Pick<PayoutParts, 'ledger'>, of: Payee): Promise<void> {
  const { id, organizationId } = of;
  return ledger.open(tx, [
    { id: account.payable(id), kind: 'payable', organizationId },
    { id: account.due(id), kind: 'due', organizationId },
    { id: account.holdback(id), kind: 'holdback', organizationId },
    { id: account.disputed(id), kind: 'disputed', organizationId },
  ]);
}

/** The provider's own terms, else those of its kind. */
export async function termsOf(tx: Tx, provider: ProviderToPay): Promise<PayoutTerms> {
  return (await tx.first(payoutTerms, { providerId: provider.id })) ?? defaultTerms(provider);
}

/** One change of what is due to a provider. */
export interface Move {
  readonly kind: MovementKind;
  readonly reference: string;
  readonly note: string;
  /** What it adds to `due`; the other account has the opposite. */
  readonly amountNano: bigint;
  readonly against: string;
  /** Tells changes of one kind and reference apart; each happens once. */
  readonly step?: string;
}

/** Posts the change and writes it down for the next statement, together; again changes nothing. */
export async function move(
  tx: Tx,
  d: Pick<PayoutParts, 'ledger' | 'random'>,
  of: Payee,
  { kind, reference, note, amountNano, against, step }: Move,
): Promise<string | null> {
  const transactionId = await d.ledger.post(tx, {
    idempotencyKey: `payout:${kind}:${reference}${step === undefined ? '' : `:${step}`}`,
    kind: kind.startsWith('payout') ? kind : `payout-${kind}`,
    organizationId: of.organizationId,
    reference,
    entries: [
      { accountId: account.due(of.id), amountNano },
      { accountId: against, amountNano: -amountNano },
    ],
  });
  if (transactionId === null) return null;
  const at = await tx.now();
  await tx.insert(movements, {
    id: newId('movement', at, d.random),
    organizationId: of.organizationId,
    providerId: of.id,
    kind,
    amountNano,
    reference,
    note,
    statementId: null,
    transactionId,
    at,
  });
  return transactionId;
}

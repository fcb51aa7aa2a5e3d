import type { Tx } from '#platform/database';
import { NANO_PER_CENT } from '#money/billing';
import { account } from '#money/ledger';
import type { PaymentParts } from './parts.js';
import type { PaymentRow } from './payments.table.js';

type Parts = Pick<PaymentParts, 'ledger' | 'invoices'>;

export interface Move {
  /** Counts once. */
  readonly reference: string;
  readonly cents: bigint;
  readonly kind: string;
}

/**
 * Takes what a payment brought out of what it was used for: the invoice that it paid, which is open again, and the credit, which goes
 * below zero where it was spent.
 */
export async function takeBack(
  tx: Tx,
  { ledger, invoices }: Parts,
  { id: paymentId, organizationId, invoiceId }: PaymentRow,
  { reference, cents, kind, to }: Move & { readonly to: string },
): Promise<void> {
  const part = invoiceId === null ? 0n : await invoices.takeBack(tx, invoiceId, { paymentId, reference, cents, to });
  const rest = (cents - part) * NANO_PER_CENT;
  if (rest === 0n) return;
  const credit = account.credit(organizationId);
  await ledger.open(tx, [{ id: credit, kind: 'credit', organizationId }]);
  await ledger.post(tx, {
    idempotencyKey: `${kind}:${reference}`,
    kind,
    organizationId,
    reference: paymentId,
    entries: [
      { accountId: credit, amountNano: -rest, below: true },
      { accountId: to, amountNano: rest },
    ],
  });
}

/** The money is at the processor again: it pays what is open of the invoice, or is credit. */
export async function giveBack(
  tx: Tx,
  { ledger, invoices }: Parts,
  { id: paymentId, organizationId, invoiceId }: PaymentRow,
  { reference, cents, kind }: Move,
): Promise<void> {
  if (invoiceId !== null && (await invoices.settle(tx, invoiceId, { paymentId: reference, cents }))) return;
  const credit = account.credit(organizationId);
  await ledger.open(tx, [{ id: credit, kind: 'credit', organizationId }]);
  await ledger.post(tx, {
    idempotencyKey: `${kind}:${reference}`,
    kind,
    organizationId,
    reference: paymentId,
    entries: [
      { accountId: account.clearing, amountNano: -cents * NANO_PER_CENT },
      { accountId: credit, amountNano: cents * NANO_PER_CENT },
    ],
  });
}

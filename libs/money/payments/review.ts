import { newId, StaleVersion } from '#kernel';
import type { Dispute, TakenBack } from '#contracts';
import type { Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { NANO_PER_CENT } from '#money/billing';
import { account } from '#money/ledger';
import { newIntent } from './intent.js';
import { disputeMachine, paymentMachine, type PaymentState } from './machines.js';
import type { PaymentParts } from './parts.js';
import {
  disputes,
  paymentCustomers,
  payments,
  refunds,
  type DisputeRow,
  type PaymentRow,
  type RefundRow,
} from './payments.table.js';
import { giveBack, takeBack } from './taken-back.js';

export type Reviewed = TakenBack & { readonly state: 'reviewed' };

type Parts = Pick<PaymentParts, 'ledger' | 'invoices' | 'random' | 'wake'>;

/** Books whatever took money of a settled payment back and is not booked yet, and puts the payment into the state that follows. */
export async function bookReview(tx: Tx, d: Parts, seen: PaymentRow, found: TakenBack): Promise<void> {
  const { id, version } = seen;
  const row = await tx.first(payments, { id }, { lock: 'update' });
  if (row?.version !== version) throw new StaleVersion('payment', id);
  for (const refund of found.refunds) if (refund.state !== 'failed') await bookRefund(tx, d, row, refund);
  const told: DisputeRow[] = [];
  for (const dispute of found.disputes) told.push(await bookDispute(tx, d, row, dispute));
  const to = stateAfter(told);
  if (to === row.state) {
    await tx.update(payments, { id, version }, { wakeAt: null, version: version + 1 });
    return;
  }
  const message = told.map((t) => `dispute ${t.processorId} is ${t.state}`).join(', ');
  await transition(tx, payments, paymentMachine, row, to, { wakeAt: null, message });
  if (to === 'charged_back' && row.invoiceId !== null) await d.invoices.demand(tx, row.invoiceId);
}

/** What a payment is, seen from its disputes. */
export function stateAfter(told: readonly Pick<DisputeRow, 'state' | 'withdrawnCents'>[]): PaymentState {
  if (told.some((t) => t.state === 'open')) return 'disputed';
  return told.some((t) => t.state === 'lost' && t.withdrawnCents > 0n) ? 'charged_back' : 'settled';
}

/** A refund that somebody made at the processor: the row that we should have had, so that it goes on like one of ours. */
async function bookRefund(tx: Tx, d: Parts, payment: PaymentRow, found: Reviewed['refunds'][number]): Promise<void> {
  const { id: processorId, reference, amountCents } = found;
  const ours = reference !== null && (await tx.first(refunds, { id: reference }));
  if (ours || (await tx.first(refunds, { processorId }))) return;
  const note = await owedNote(tx, d, payment, amountCents);
  const row: RefundRow = {
    ...(await newIntent(tx, d.random, 'refund', payment.organizationId)),
    state: 'processing',
    processorId,
    paymentId: payment.id,
    processorPaymentId: payment.processorId ?? '',
    creditNoteId: note,
    amountCents,
    elsewhere: true,
    message: 'made at the payment processor',
  };
  await tx.insert(refunds, row);
  await tx.update(payments, { id: payment.id }, { refundedCents: { add: amountCents } });
  // What a credit note owes was set aside when it was written.
  if (note === null) {
    const move = { reference: row.id, cents: amountCents, kind: 'refund-elsewhere', to: account.refunds };
    await takeBack(tx, d, payment, move);
  }
  tx.afterCommit(() => d.wake.wake('refund', row.id));
}

/** The credit note of the payment's invoice that still owes exactly so much. */
async function owedNote(tx: Tx, { invoices }: Parts, payment: PaymentRow, cents: bigint): Promise<string | null> {
  if (payment.invoiceId === null) return null;
  for (const note of await invoices.owedOf(tx, payment.invoiceId)) {
    const begun = await tx.first(refunds, { creditNoteId: note.creditNoteId, state: { not: 'failed' } });
    if (note.cents === cents && !begun) return note.creditNoteId;
  }
  return null;
}

/** What is gone and what the processor keeps follow from the dispute as it is now, in whatever order its events came. */
async function bookDispute(tx: Tx, d: Parts, payment: PaymentRow, found: Dispute): Promise<DisputeRow> {
  const known = await tx.first(disputes, { processorId: found.id });
  const row = known ?? (await firstSeen(tx, d, payment, found));
  const [withdrawn, fee] = [found.withdrawnCents - row.withdrawnCents, found.feeCents - row.feeCents];
  if (withdrawn === 0n && fee === 0n && found.state === row.state) return row;
  const reference = `${row.id}:${row.bookings + 1}`;
  if (withdrawn > 0n)
    await takeBack(tx, d, payment, { reference, cents: withdrawn, kind: 'chargeback', to: account.clearing });
  if (withdrawn < 0n) await giveBack(tx, d, payment, { reference, cents: -withdrawn, kind: 'chargeback-reversed' });
  await d.ledger.post(tx, {
    idempotencyKey: `dispute-fee:${reference}`,
    kind: 'dispute-fee',
    organizationId: null,
    reference: row.id,
    entries: [
      { accountId: account.fees, amountNano: -fee * NANO_PER_CENT },
      { accountId: account.clearing, amountNano: fee * NANO_PER_CENT },
    ],
  });
  const { state, withdrawnCents, feeCents, evidenceDueAtMs: evidenceDueAt } = found;
  const ended = state === 'won' || state === 'lost' || state === 'closed';
  const now = await tx.now();
  return transition(tx, disputes, disputeMachine, row, state, {
    patch: { withdrawnCents, feeCents, evidenceDueAt, bookings: row.bookings + 1, endedAt: ended ? now : null },
    wakeAt: null,
    message: `${withdrawnCents} of ${found.amountCents} cents are withdrawn (${found.reason})`,
  });
}

async function firstSeen(tx: Tx, { random }: Parts, payment: PaymentRow, found: Dispute): Promise<DisputeRow> {
  const { organizationId, id: paymentId } = payment;
  const now = await tx.now();
  const row: DisputeRow = {
    id: newId('dispute', now, random),
    organizationId,
    version: 1,
    wakeAt: null,
    state: found.state,
    paymentId,
    processorId: found.id,
    reason: found.reason,
    amountCents: found.amountCents,
    withdrawnCents: 0n,
    feeCents: 0n,
    bookings: 0,
    evidenceDueAt: found.evidenceDueAtMs,
    createdAt: now,
    endedAt: null,
  };
  await tx.insert(disputes, row);
  // The card is not asked again by itself for what its owner says was never asked for.
  await tx.update(
    paymentCustomers,
    { organizationId, rechargeOn: true },
    { rechargeOn: false, rechargeOffReason: `A payment was disputed: ${found.reason}` },
  );
  return row;
}

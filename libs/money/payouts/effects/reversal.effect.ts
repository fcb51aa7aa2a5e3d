import type { CallIdentity, PaymentOutcome, TransferReversal } from '#contracts';
import type { Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import type { EffectKind, Ending } from '#money/payments';
import { reversalMachine, type ReversalState } from '../machines.js';
import type { TransferParts } from '../parts.js';
import { payoutReversals, payouts, type ReversalRow } from '../rows/payouts.table.js';
import { wakeTransfer } from './begin.js';

/** A transfer that is taken back, whole or in part. What came back in all is for the payout itself to see and to book. */
export class ReversalEffect implements EffectKind<ReversalState, ReversalRow, TransferReversal> {
  readonly kind = 'payout-reversal';
  readonly rows = payoutReversals;
  readonly machine = reversalMachine;
  readonly standing = [] as const;

  constructor(private readonly d: TransferParts) {}

  call({ transferId, amountCents }: ReversalRow, of: CallIdentity): Promise<PaymentOutcome<TransferReversal>> {
    return this.d.port.reverseTransfer({ ...of, transferId, amountCents });
  }

  find(row: ReversalRow): Promise<TransferReversal | null> {
    return this.d.port.findReversal(row.transferId, row.id);
  }

  async apply(tx: Tx, row: ReversalRow, found: TransferReversal): Promise<'rest'> {
    const message = `${found.amountCents} cents came back`;
    const patch = { processorId: found.id, slot: null };
    await transition(tx, payoutReversals, reversalMachine, row, 'done', { patch, wakeAt: null, message });
    // Parts of a transfer may come back by the processor's own pages at the same time, and events tell of sums: one place books.
    const look = { wakeAt: await tx.now(), version: { add: 1 } };
    const [payout] = await tx.update(payouts, { id: row.payoutId, state: 'paid' }, look);
    if (payout) wakeTransfer(tx, this.d, payout.id);
    return 'rest';
  }

  async end(tx: Tx, row: ReversalRow, { code, message }: Ending): Promise<void> {
    const patch = { code, message, slot: null };
    await transition(tx, payoutReversals, reversalMachine, row, 'failed', { patch, wakeAt: null, message });
    const told = { message: `not taken back: ${message}`, version: { add: 1 } };
    await tx.update(payouts, { id: row.payoutId, state: 'paid' }, told);
  }
}

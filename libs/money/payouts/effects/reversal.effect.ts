import type { CallIdentity, PaymentOutcome, TransferReversal } from '#contracts';
import type { Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { account } from '#money/ledger';
import type { EffectKind, Ending } from '#money/payments';
import { reversalMachine, type ReversalState } from '../machines.js';
import type { TransferParts } from '../parts.js';
import { payoutReversals, payouts, type ReversalRow } from '../rows/payouts.table.js';
import { takeBack } from './payout.effect.js';

/** A transfer that is taken back, all of it. */
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
    const payout = await tx.first(payouts, { id: row.payoutId }, { lock: 'update' });
    // The processor's event may have told of it first.
    if (payout?.state === 'paid') await takeBack(tx, this.d, payout, account.clearing, row.reason);
    return 'rest';
  }

  async end(tx: Tx, row: ReversalRow, { code, message }: Ending): Promise<void> {
    const patch = { code, message, slot: null };
    await transition(tx, payoutReversals, reversalMachine, row, 'failed', { patch, wakeAt: null, message });
  }
}

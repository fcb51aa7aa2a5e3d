import type { CallIdentity, PaymentOutcome, Refund } from '#contracts';
import { SECOND } from '#kernel';
import type { Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { NANO_PER_CENT } from '#money/billing';
import { account } from '#money/ledger';
import { waitMs } from './decide.js';
import type { EffectKind, Ending } from './effect.reconciler.js';
import { refundMachine, type RefundState } from './machines.js';
import type { CardParts } from './parts.js';
import { payments, refunds, type RefundRow } from './payments.table.js';
import { giveBack } from './taken-back.js';

const LOOK_EVERY_MS = 15 * SECOND;

/** Credit on its way back to the card it came from. It left the credit when the refund was asked for. */
export class RefundEffect implements EffectKind<RefundState, RefundRow, Refund> {
  readonly kind = 'refund';
  readonly rows = refunds;
  readonly machine = refundMachine;
  readonly standing = ['processing', 'settled'] as const;

  constructor(private readonly d: CardParts) {}

  call(row: RefundRow, identity: CallIdentity): Promise<PaymentOutcome<Refund>> {
    const { processorPaymentId: paymentId, amountCents } = row;
    return this.d.port.refund({ ...identity, paymentId, amountCents });
  }

  find(row: RefundRow): Promise<Refund | null> {
    if (row.processorId !== null) return this.d.port.getRefund(row.processorId);
    return this.d.port.findRefund(row.processorPaymentId, row.id);
  }

  async apply(tx: Tx, row: RefundRow, found: Refund): Promise<'rest'> {
    const patch = { processorId: found.id, failures: row.failures + 1 };
    if (found.state === 'failed') {
      await this.end(tx, row, { as: 'refused', code: 'refund-failed', message: 'The bank sent the refund back.' });
    } else if (row.state === 'settled') {
      const { id, version } = row;
      await tx.update(refunds, { id, version }, { wakeAt: null, version: version + 1 });
    } else if (found.state === 'pending') {
      const wakeAt = (await tx.now()) + waitMs(row.failures, LOOK_EVERY_MS);
      const message = 'the bank takes its time';
      await transition(tx, refunds, refundMachine, row, 'processing', { patch, wakeAt, message });
    } else {
      const message = `${row.amountCents} cents went back`;
      await transition(tx, refunds, refundMachine, row, 'settled', { patch, wakeAt: null, message });
      if (row.creditNoteId !== null) await this.d.invoices.refunded(tx, row.creditNoteId);
      else await this.post(tx, row, 'refund-paid', account.refunds, account.clearing);
    }
    return 'rest';
  }

  /** The money stays with us: it is the tenant's credit again. */
  async end(tx: Tx, row: RefundRow, { code, message }: Ending): Promise<void> {
    await transition(tx, refunds, refundMachine, row, 'failed', { patch: { code, message }, wakeAt: null, message });
    // What a credit note owes and did not go back stays set aside: a person pays it otherwise.
    const payment = row.elsewhere && row.creditNoteId === null ? await tx.first(payments, { id: row.paymentId }) : null;
    if (payment) {
      if (row.state !== 'settled') await this.post(tx, row, 'refund-paid', account.refunds, account.clearing);
      // Not the reference under which it was taken back: the invoice counts each once.
      const reference = `${row.id}:returned`;
      await giveBack(tx, this.d, payment, { reference, cents: row.amountCents, kind: 'refund-failed' });
    } else if (row.creditNoteId === null || row.state === 'settled') {
      const from = row.state === 'settled' ? account.clearing : account.refunds;
      await this.post(tx, row, 'refund-failed', from, account.credit(row.organizationId));
    }
    await tx.update(payments, { id: row.paymentId }, { refundedCents: { add: -row.amountCents } });
  }

  private async post(tx: Tx, row: RefundRow, kind: string, from: string, to: string): Promise<void> {
    const amountNano = row.amountCents * NANO_PER_CENT;
    await this.d.ledger.post(tx, {
      idempotencyKey: `${kind}:${row.id}`,
      kind,
      organizationId: row.organizationId,
      reference: row.id,
      entries: [
        { accountId: from, amountNano: -amountNano },
        { accountId: to, amountNano },
      ],
    });
  }
}

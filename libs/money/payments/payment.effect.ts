import type { CallIdentity, InvoiceToPush, Payment, PaymentOutcome } from '#contracts';
import { SECOND } from '#kernel';
import { WORKER, type Tx } from '#platform/database';
import { transition } from '#platform/reconcile';
import { NANO_PER_CENT } from '#money/billing';
import { account } from '#money/ledger';
import { closeStale } from './closing.effect.js';
import { waitMs } from './decide.js';
import type { EffectKind, Ending } from './effect.reconciler.js';
import { TAKES_BACK } from './events.js';
import { paymentMachine, type PaymentState } from './machines.js';
import type { CardParts } from './parts.js';
import { paymentEvents, payments, type PaymentRow } from './payments.table.js';
import type { InvoiceToCollect } from './ports.js';
import { countRecharge } from './recharge.js';
import { bookReview, type Reviewed } from './review.js';

const LOOK_EVERY_MS = 15 * SECOND;

const DESCRIPTIONS = { 'top-up': 'Credit', 'auto-recharge': 'Credit, recharged automatically', invoice: 'Invoice' };

/** Money from a card: for credit, or for an invoice that the processor gets with its lines. */
export class PaymentEffect implements EffectKind<PaymentState, PaymentRow, Payment | Reviewed> {
  readonly kind = 'payment';
  readonly rows = payments;
  readonly machine = paymentMachine;
  // Money may come after a card was said to have declined, and may be taken back: then the processor's event wakes the row.
  readonly standing = ['processing', 'declined', 'refused', 'settled', 'disputed', 'charged_back'] as const;

  constructor(private readonly d: CardParts) {}

  call(row: PaymentRow, identity: CallIdentity): Promise<PaymentOutcome<Payment>> {
    const { customerId, methodId, amountCents } = row;
    if (row.invoiceId !== null) return this.payInvoice(row, row.invoiceId, identity);
    const description = DESCRIPTIONS[row.kind];
    return this.d.port.charge({ ...identity, customerId, methodId, amountCents, description });
  }

  async find(row: PaymentRow): Promise<Payment | Reviewed | null> {
    const { port } = this.d;
    if (row.settledAt !== null && row.processorId !== null)
      return { ...(await port.takenBack(row.processorId)), state: 'reviewed' };
    if (row.invoiceId === null) {
      if (row.state === 'processing' && row.processorId !== null) return port.getPayment(row.processorId);
      return port.findPayment(row.customerId, row.id);
    }
    const pushed =
      row.pushedId === null
        ? await port.findInvoice(row.customerId, pushReference(row.invoiceId, row.amountCents))
        : await port.getInvoice(row.pushedId);
    return pushed?.payment ?? null;
  }

  async apply(tx: Tx, row: PaymentRow, found: Payment | Reviewed): Promise<'rest'> {
    switch (found.state) {
      case 'reviewed':
        await bookReview(tx, this.d, row, found);
        return 'rest';
      case 'succeeded':
        await this.settle(tx, row, found);
        return 'rest';
      case 'processing': {
        const wakeAt = (await tx.now()) + waitMs(row.failures, LOOK_EVERY_MS);
        if (row.state === 'declined' || row.state === 'refused') return this.leave(tx, row, wakeAt);
        const patch = { processorId: found.id, failures: row.failures + 1 };
        await transition(tx, payments, paymentMachine, row, 'processing', {
          patch,
          wakeAt,
          message: 'the bank takes its time',
        });
        return 'rest';
      }
      case 'declined':
      case 'canceled': {
        if (row.state === 'declined' || row.state === 'refused') return this.leave(tx, row, null);
        const { code = 'canceled', message = 'The payment was canceled.' } = found.failure ?? {};
        await this.end(tx, row, { as: 'declined', code, message });
        return 'rest';
      }
    }
  }

  async end(tx: Tx, row: PaymentRow, { as, code, message }: Ending): Promise<void> {
    await transition(tx, payments, paymentMachine, row, as, {
      patch: { code, message, slot: null },
      wakeAt: null,
      message,
    });
    if (row.kind === 'auto-recharge') await countRecharge(tx, row.organizationId, as === 'declined' ? message : null);
    if (row.invoiceId !== null) await closeStale(tx, this.d, row.invoiceId);
  }

  /** The money is at the processor: it becomes credit, or pays the invoice, once. */
  private async settle(tx: Tx, row: PaymentRow, found: Payment): Promise<void> {
    const now = await tx.now();
    const other = await tx.first(payments, { processorId: found.id, id: { not: row.id } });
    if (other) {
      // Two tries at one invoice share its payment; the money is booked with whoever saw it first.
      if (row.state === 'declined' || row.state === 'refused') await this.leave(tx, row, null);
      else await this.end(tx, row, { as: 'refused', code: 'paid-already', message: `${other.id} has paid it.` });
      return;
    }
    const cents = found.capturedCents;
    // What was told of it before we knew that it was ours.
    const events = await tx.find(paymentEvents, { paymentId: found.id, woke: { isNull: true } }, { limit: 100 });
    const told = events.some(({ type }) => TAKES_BACK.test(type));
    await transition(tx, payments, paymentMachine, row, 'settled', {
      patch: {
        processorId: found.id,
        capturedCents: cents,
        feeCents: found.feeCents,
        settledAt: now,
        slot: null,
        code: null,
        message: null,
      },
      wakeAt: told ? now : null,
      message: `${cents} cents came in`,
    });
    const taken =
      row.invoiceId !== null && (await this.d.invoices.settle(tx, row.invoiceId, { paymentId: row.id, cents }));
    if (!taken) await this.credit(tx, row, cents);
    await this.payFee(tx, row, found.feeCents ?? 0n);
    if (row.kind === 'auto-recharge') await countRecharge(tx, row.organizationId, 'paid');
  }

  private async credit(tx: Tx, { id, organizationId }: PaymentRow, cents: bigint): Promise<void> {
    const credit = account.credit(organizationId);
    await this.d.ledger.open(tx, [{ id: credit, kind: 'credit', organizationId }]);
    await this.d.ledger.post(tx, {
      idempotencyKey: `payment:${id}`,
      kind: 'payment',
      organizationId,
      reference: id,
      entries: [
        { accountId: account.clearing, amountNano: -cents * NANO_PER_CENT },
        { accountId: credit, amountNano: cents * NANO_PER_CENT },
      ],
    });
  }

  /** The processor keeps its fee out of what it holds for us; the tenant has paid in full. */
  private async payFee(tx: Tx, { id }: PaymentRow, cents: bigint): Promise<void> {
    if (cents === 0n) return;
    await this.d.ledger.post(tx, {
      idempotencyKey: `payment-fee:${id}`,
      kind: 'payment-fee',
      organizationId: null,
      reference: id,
      entries: [
        { accountId: account.fees, amountNano: -cents * NANO_PER_CENT },
        { accountId: account.clearing, amountNano: cents * NANO_PER_CENT },
      ],
    });
  }

  private async leave(tx: Tx, row: PaymentRow, wakeAt: number | null): Promise<'rest'> {
    const { id, version } = row;
    await tx.update(payments, { id, version }, { wakeAt, version: version + 1 });
    return 'rest';
  }

  /** First the invoice with its lines, then its payment. */
  private async payInvoice(row: PaymentRow, invoiceId: string, of: CallIdentity): Promise<PaymentOutcome<Payment>> {
    const { port, store, invoices } = this.d;
    const invoice = await store.transaction(WORKER, (tx) => invoices.get(tx, invoiceId));
    if (!invoice || invoice.openCents < row.amountCents) {
      return { kind: 'refused', code: 'nothing-to-pay', message: 'So much of the invoice is not to be paid any more.' };
    }
    let pushedId = row.pushedId;
    if (pushedId === null) {
      const pushed = await port.pushInvoice({
        key: `${of.key}:push`,
        reference: pushReference(invoiceId, row.amountCents),
        ...invoiceToPush(invoice, row),
      });
      if (pushed.kind !== 'done') return pushed;
      pushedId = pushed.value.id;
      const known = { pushedId };
      await store.transaction(WORKER, (tx) => tx.update(payments, { id: row.id }, known));
    }
    const { methodId } = row;
    const paid = await port.payInvoice({
      key: `${of.key}:pay`,
      reference: of.reference,
      invoiceId: pushedId,
      methodId,
    });
    if (paid.kind !== 'done') return paid;
    const { payment, state } = paid.value;
    if (payment) return { kind: 'done', value: payment };
    return state === 'paid'
      ? { kind: 'refused', code: 'paid-elsewhere', message: 'The invoice was paid without a card.' }
      : { kind: 'unknown', message: `The invoice is ${state} after it was paid.`, spent: false };
  }
}

/** One document at the processor for an invoice and an amount: tries at the same amount share it. */
const pushReference = (invoiceId: string, cents: bigint): string => `${invoiceId}:${cents}`;

/** The lines, and one more for what was paid or credited before, so that they add up to what is to be paid. */
export function invoiceToPush(
  invoice: InvoiceToCollect,
  { customerId, amountCents }: Pick<PaymentRow, 'customerId' | 'amountCents'>,
): InvoiceToPush {
  const sum = invoice.lines.reduce((a, line) => a + line.amountCents, 0n);
  const rest = amountCents - sum;
  const description = rest < 0n ? 'Paid or credited before' : 'Tax and rounding';
  return {
    customerId,
    number: `${invoice.number}-${amountCents}`,
    dueAtMs: invoice.dueAtMs,
    lines: rest === 0n ? invoice.lines : [...invoice.lines, { id: 'rest', description, amountCents: rest }],
  };
}

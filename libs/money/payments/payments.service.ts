import { DomainError, notFound } from '#kernel';
import type { Payment, PaymentEvent, PaymentPort, PushedInvoice, Refund, SetupSession } from '#contracts';
import { within, WORKER, type Actor, type Tx } from '#platform/database';
import type { Reconciler } from '#platform/reconcile';
import { NANO_PER_CENT } from '#money/billing';
import { account } from '#money/ledger';
import { ClosingEffect, closeStale, retryClosing } from './closing.effect.js';
import { sweepDisputes, sweepRefunds } from './dispute-sweep.js';
import { decideCollection } from './collect.js';
import { EffectReconciler } from './effect.reconciler.js';
import { takeEvent, type EventEffect } from './events.js';
import { newIntent } from './intent.js';
import type { ClosingState, PaymentState, RefundState, SetupState } from './machines.js';
import type { CardParts, PaymentParts } from './parts.js';
import { PaymentEffect } from './payment.effect.js';
import {
  disputes,
  invoiceClosings,
  paymentCustomers,
  payments,
  paymentSetups,
  refunds,
  type ClosingRow,
  type CustomerRow,
  type DisputeRow,
  type PaymentKind,
  type PaymentRow,
  type RefundRow,
  type SetupRow,
} from './payments.table.js';
import type { OwedRefund } from './ports.js';
import { RefundEffect } from './refund.effect.js';
import { decideRecharge } from './recharge.js';
import type { Reviewed } from './review.js';
import { cardOf, checkTopUp, newCustomer } from './rules.js';
import { SetupEffect } from './setup.effect.js';

export interface RechargeRules {
  readonly on: boolean;
  readonly belowNano: bigint;
  readonly cents: bigint;
  readonly monthCents: bigint;
}

interface Page {
  readonly limit: number;
  readonly after?: readonly unknown[];
}

const SWEEP_ROWS = 500;

/** How tenants pay: cards, credit, invoices, refunds. Every request outside is an intent first; reconcilers do the rest. */
export class Payments {
  /** Empty where no cards are taken. */
  readonly reconcilers: readonly Reconciler[];
  private readonly effects: EventEffect[] = [];

  constructor(private readonly d: PaymentParts) {
    const { port, store } = d;
    const cards: CardParts | null = port === null ? null : { ...d, port };
    this.reconcilers =
      cards === null
        ? []
        : [
            new EffectReconciler<PaymentState, PaymentRow, Payment | Reviewed>(store, new PaymentEffect(cards)),
            new EffectReconciler<RefundState, RefundRow, Refund>(store, new RefundEffect(cards)),
            new EffectReconciler<SetupState, SetupRow, SetupSession>(store, new SetupEffect(cards)),
            new EffectReconciler<ClosingState, ClosingRow, PushedInvoice>(store, new ClosingEffect(cards)),
          ];
    if (cards !== null) d.invoices.onChange((tx, invoiceId) => closeStale(tx, cards, invoiceId));
  }

  get mode(): 'manual' | 'stripe' {
    return this.d.port === null ? 'manual' : 'stripe';
  }

  /** The processor; a clear refusal where there is none. */
  port(): PaymentPort {
    const { port } = this.d;
    if (port !== null) return port;
    throw new DomainError(
      'unprocessable',
      'cards-not-taken',
      'This installation takes no cards; invoices are paid by transfer.',
      {
        fix: 'Ask the operator for credit or a bank account; the operator turns cards on with BILLING=stripe.',
      },
    );
  }

  /** Begins a page for leaving a card. */
  async beginSetup(
    organizationId: string,
    urls: { successUrl: string; cancelUrl: string },
    also: (tx: Tx, row: SetupRow) => Promise<void> = async () => undefined,
  ): Promise<SetupRow> {
    this.port();
    return this.d.store.transaction(WORKER, async (tx) => {
      await this.customerOf(tx, organizationId);
      const row: SetupRow = {
        ...(await newIntent(tx, this.d.random, 'setup', organizationId)),
        state: 'intended',
        ...urls,
        url: null,
      };
      await tx.insert(paymentSetups, row);
      await also(tx, row);
      this.wakeAfter(tx, 'payment-setup', row.id);
      return row;
    });
  }

  /** Begins to charge the card for credit. */
  async topUp(
    organizationId: string,
    cents: bigint,
    also: (tx: Tx, row: PaymentRow) => Promise<void> = async () => undefined,
  ): Promise<PaymentRow> {
    this.port();
    checkTopUp(cents, 'amount');
    return this.d.store.transaction(WORKER, async (tx) => {
      const customer = await this.customerOf(tx, organizationId);
      const row = await this.charge(tx, customer, { kind: 'top-up', cents });
      await also(tx, row);
      return row;
    });
  }

  async setRecharge(organizationId: string, rules: RechargeRules): Promise<CustomerRow> {
    this.port();
    if (rules.on) {
      checkTopUp(rules.cents, 'amount');
      if (rules.monthCents < rules.cents) {
        throw new DomainError('invalid', 'cap-too-low', 'The cap of a month is less than one recharge.', {
          field: 'monthlyCap',
        });
      }
    }
    return this.d.store.transaction(WORKER, async (tx) => {
      const customer = await this.customerOf(tx, organizationId);
      if (rules.on) cardOf(customer);
      const [row] = await tx.update(
        paymentCustomers,
        { organizationId },
        {
          rechargeOn: rules.on,
          rechargeBelowNano: rules.belowNano,
          rechargeCents: rules.cents,
          rechargeMonthCents: rules.monthCents,
          rechargeDeclines: 0,
          rechargeNotBefore: null,
          rechargeOffReason: null,
        },
      );
      return row ?? customer;
    });
  }

  /** Pays back a part of what a card gave; the credit for it must not be spent. */
  async refund(
    paymentId: string,
    cents: bigint,
    also: (tx: Tx, row: RefundRow, payment: PaymentRow) => Promise<void> = async () => undefined,
  ): Promise<RefundRow> {
    this.port();
    if (cents <= 0n)
      throw new DomainError('invalid', 'amount-not-positive', 'A refund must be more than zero.', { field: 'amount' });
    return this.d.store.transaction(WORKER, async (tx) => {
      const payment = await tx.first(payments, { id: paymentId }, { lock: 'update' });
      if (!payment) throw notFound('payment', paymentId);
      const { organizationId, processorId, capturedCents, refundedCents } = payment;
      const left = capturedCents - refundedCents;
      if (payment.state !== 'settled' || processorId === null || cents > left) {
        throw new DomainError('conflict', 'not-refundable', `Of this payment ${left} cents can be refunded.`, {
          facts: { state: payment.state, refundableCents: Number(left) },
        });
      }
      const row: RefundRow = {
        ...(await newIntent(tx, this.d.random, 'refund', organizationId)),
        state: 'intended',
        paymentId,
        processorPaymentId: processorId,
        creditNoteId: null,
        amountCents: cents,
        elsewhere: false,
      };
      await tx.update(payments, { id: paymentId }, { refundedCents: { add: cents } });
      await tx.insert(refunds, row);
      const credit = account.credit(organizationId);
      await this.d.ledger.open(tx, [{ id: credit, kind: 'credit', organizationId }]);
      await this.d.ledger.post(tx, {
        idempotencyKey: `refund:${row.id}`,
        kind: 'refund',
        organizationId,
        reference: row.id,
        entries: [
          { accountId: credit, amountNano: -cents * NANO_PER_CENT },
          { accountId: account.refunds, amountNano: cents * NANO_PER_CENT },
        ],
      });
      await also(tx, row, payment);
      this.wakeAfter(tx, 'refund', row.id);
      return row;
    });
  }

  customer(actor: Actor, organizationId: string): Promise<CustomerRow | null> {
    return this.d.store.transaction(actor, (tx) => tx.first(paymentCustomers, { organizationId }));
  }

  list(
    actor: Actor,
    organizationId: string,
    page: { limit: number; after?: readonly unknown[] },
  ): Promise<PaymentRow[]> {
    return this.d.store.transaction(actor, (tx) =>
      tx.find(payments, { organizationId }, { orderBy: [['id', 'desc']], ...page }),
    );
  }

  async get(actor: Actor, id: string): Promise<{ payment: PaymentRow; refunds: RefundRow[]; disputes: DisputeRow[] }> {
    return this.d.store.transaction(actor, async (tx) => {
      const { organizationId } = within(actor);
      const payment = await tx.first(payments, { id, ...(organizationId === undefined ? {} : { organizationId }) });
      if (!payment) throw notFound('payment', id);
      const of = [{ paymentId: id }, { orderBy: [['id', 'asc']] }] as const;
      return { payment, refunds: await tx.find(refunds, ...of), disputes: await tx.find(disputes, ...of) };
    });
  }

  async getSetup(actor: Actor, id: string): Promise<SetupRow> {
    const { organizationId } = within(actor);
    const row = await this.d.store.transaction(actor, (tx) =>
      tx.first(paymentSetups, { id, ...(organizationId === undefined ? {} : { organizationId }) }),
    );
    if (!row) throw notFound('setup', id);
    return row;
  }

  /** Ends of documents at the processor, newest first; null: in any state. */
  closings(state: ClosingState | null, page: Page): Promise<ClosingRow[]> {
    return this.d.store.transaction(WORKER, (tx) =>
      tx.find(invoiceClosings, state === null ? {} : { state }, { orderBy: [['id', 'desc']], ...page }),
    );
  }

  /** Lets a closing that the processor refused be tried once more; `also` runs in the transaction. */
  retryClosing(id: string, also: Parameters<typeof retryClosing>[2]): Promise<ClosingRow> {
    return retryClosing({ ...this.d, port: this.port() }, id, also);
  }

  /** What another room does about events of its own objects: answers the id of the row that it woke. */
  onEvent(effect: EventEffect): void {
    this.effects.push(effect);
  }

  /** Keeps an event of the processor and wakes the row that it is about, once. True: it was new. */
  takeEvent(event: PaymentEvent): Promise<boolean> {
    return this.d.store.transaction(WORKER, (tx) => takeEvent(tx, event, this.effects, this.d.wake));
  }

  /** Finds disputes whose events never came; answers how many payments look again. To be called every hour. */
  sweepDisputes(): Promise<number> {
    const { port } = this.d;
    return port === null ? Promise.resolve(0) : sweepDisputes({ ...this.d, port });
  }

  /** The same for refunds that were made at the processor. */
  sweepRefunds(): Promise<number> {
    const { port } = this.d;
    return port === null ? Promise.resolve(0) : sweepRefunds({ ...this.d, port });
  }

  /** Charges the cards of tenants whose credit runs low. To be called every few seconds. */
  async recharge(): Promise<number> {
    if (this.d.port === null) return 0;
    let charged = 0;
    for (let after: readonly string[] | undefined; ;) {
      const page = await this.d.store.transaction(WORKER, (tx) =>
        tx.find(
          paymentCustomers,
          { rechargeOn: true },
          { orderBy: [['organizationId', 'asc']], limit: SWEEP_ROWS, ...(after ? { after } : {}) },
        ),
      );
      for (const { organizationId } of page) if (await this.rechargeOne(organizationId)) charged++;
      const last = page.at(-1);
      if (!last || page.length < SWEEP_ROWS) return charged;
      after = [last.organizationId];
    }
  }

  /** Charges the cards of tenants for their open invoices. To be called every few minutes. */
  async collect(): Promise<number> {
    if (this.d.port === null) return 0;
    let charged = 0;
    for (let after: string | null = null; ;) {
      const page: { limit: number; after: string | null } = { limit: SWEEP_ROWS, after };
      const open: readonly { id: string; organizationId: string }[] = await this.d.store.transaction(WORKER, (tx) =>
        this.d.invoices.open(tx, page),
      );
      for (const { id, organizationId } of open) if (await this.collectOne(organizationId, id)) charged++;
      const last = open.at(-1);
      if (!last || open.length < SWEEP_ROWS) return charged;
      after = last.id;
    }
  }

  /** Pays back to cards what credit notes owe. To be called every few minutes. */
  async payBack(): Promise<number> {
    if (this.d.port === null) return 0;
    let begun = 0;
    for (let after: string | null = null; ;) {
      const page: { limit: number; after: string | null } = { limit: SWEEP_ROWS, after };
      const owed: readonly OwedRefund[] = await this.d.store.transaction(WORKER, (tx) =>
        this.d.invoices.owed(tx, page),
      );
      for (const one of owed) if (await this.payBackOne(one)) begun++;
      const last = owed.at(-1);
      if (!last || owed.length < SWEEP_ROWS) return begun;
      after = last.creditNoteId;
    }
  }

  /** One try for each credit note, back to a card that paid its invoice; what no card paid, a person pays back. */
  private payBackOne({ creditNoteId, invoiceId, cents }: OwedRefund): Promise<boolean> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const paid = await tx.find(
        payments,
        { invoiceId, state: 'settled' },
        { orderBy: [['id', 'asc']], lock: 'update' },
      );
      const payment = paid.find((p) => p.processorId !== null && p.capturedCents - p.refundedCents >= cents);
      if (payment?.processorId == null || (await tx.first(refunds, { creditNoteId }))) return false;
      const row: RefundRow = {
        ...(await newIntent(tx, this.d.random, 'refund', payment.organizationId)),
        state: 'intended',
        paymentId: payment.id,
        processorPaymentId: payment.processorId,
        creditNoteId,
        amountCents: cents,
        elsewhere: false,
      };
      await tx.update(payments, { id: payment.id }, { refundedCents: { add: cents } });
      await tx.insert(refunds, row);
      this.wakeAfter(tx, 'refund', row.id);
      return true;
    });
  }

  private rechargeOne(organizationId: string): Promise<boolean> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const customer = await tx.first(paymentCustomers, { organizationId }, { lock: 'update' });
      if (!customer) return false;
      const now = await tx.now();
      const { availableNano } = await this.d.ledger.creditOf(tx, organizationId);
      const month = new Date(now);
      const since = Date.UTC(month.getUTCFullYear(), month.getUTCMonth());
      const own = await tx.find(payments, { organizationId, kind: 'auto-recharge', createdAt: { gte: since } });
      const counted = own.filter((p) => p.state !== 'declined' && p.state !== 'refused');
      const monthCents = counted.reduce((n, p) => n + p.amountCents, 0n);
      const slot = 'auto-recharge';
      const inFlight = (await tx.first(payments, { organizationId, slot })) !== null;
      if (decideRecharge(customer, { availableNano, inFlight, monthCents }, now) !== 'charge') return false;
      await this.charge(tx, customer, { kind: 'auto-recharge', cents: customer.rechargeCents, slot });
      return true;
    });
  }

  private collectOne(organizationId: string, invoiceId: string): Promise<boolean> {
    return this.d.store.transaction(WORKER, async (tx) => {
      const customer = await tx.first(paymentCustomers, { organizationId }, { lock: 'update' });
      if (!customer || customer.methodId === null) return false;
      const invoice = await this.d.invoices.get(tx, invoiceId);
      if (!invoice || invoice.openCents <= 0n) return false;
      const tries = await tx.find(payments, { invoiceId });
      if (decideCollection(tries, await tx.now()) !== 'charge') return false;
      await this.charge(tx, customer, { kind: 'invoice', cents: invoice.openCents, slot: invoiceId, invoiceId });
      return true;
    });
  }

  private async charge(
    tx: Tx,
    customer: CustomerRow,
    of: { kind: PaymentKind; cents: bigint; slot?: string; invoiceId?: string },
  ): Promise<PaymentRow> {
    const row: PaymentRow = {
      ...(await newIntent(tx, this.d.random, 'payment', customer.organizationId)),
      ...cardOf(customer),
      kind: of.kind,
      state: 'intended',
      amountCents: of.cents,
      capturedCents: 0n,
      refundedCents: 0n,
      feeCents: null,
      invoiceId: of.invoiceId ?? null,
      pushedId: null,
      slot: of.slot ?? null,
      settledAt: null,
    };
    await tx.insert(payments, row);
    this.wakeAfter(tx, 'payment', row.id);
    return row;
  }

  /** The organization's row, made at the first need. */
  private async customerOf(tx: Tx, organizationId: string): Promise<CustomerRow> {
    const fresh = newCustomer(organizationId, await tx.now());
    await tx.insertNew(paymentCustomers, [fresh]);
    return (await tx.first(paymentCustomers, { organizationId }, { lock: 'update' })) ?? fresh;
  }

  private wakeAfter(tx: Tx, kind: string, id: string): void {
    tx.afterCommit(() => this.d.wake.wake(kind, id));
  }
}

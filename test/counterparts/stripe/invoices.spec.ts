import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DAY } from '#kernel';
import { NANO_PER_CENT } from '#money/billing';
import { account } from '#money/ledger';
import { invoiceClosings, payments, type InvoicesToCollect, type InvoiceToCollect } from '#money/payments';
import type { Tx } from '#platform/database';
import type { Till } from '#testing/till';
import { faultKinds } from './faults.js';
import { openRig, type Rig } from './rig.js';

/** Invoices as the billing room would keep them: issued, with a receivable, paid once. */
class Issued {
  readonly all = new Map<string, InvoiceToCollect & { openCents: bigint }>();
  constructor(private readonly till: Till) {}

  async issue(organizationId: string, number: string, cents: readonly bigint[]): Promise<string> {
    const id = `inv_${number}`;
    const lines = cents.map((amountCents, i) => ({ id: `${id}:${i}`, description: `line ${i}`, amountCents }));
    const openCents = cents.reduce((a, b) => a + b, 0n);
    this.all.set(id, { id, organizationId, number, dueAtMs: Date.UTC(2026, 11, 15), openCents, lines });
    await this.post(`issue:${id}`, organizationId, account.revenue, openCents);
    return id;
  }

  private async post(key: string, organizationId: string, to: string, cents: bigint): Promise<void> {
    const receivable = account.receivable(organizationId);
    await this.till.tx(async (tx) => {
      await this.till.ledger.open(tx, [{ id: receivable, kind: 'receivable', organizationId }]);
      await this.till.ledger.post(tx, {
        idempotencyKey: key,
        kind: 'invoice',
        organizationId,
        reference: key,
        entries: [
          { accountId: receivable, amountNano: -cents * NANO_PER_CENT },
          { accountId: to, amountNano: cents * NANO_PER_CENT },
        ],
      });
    });
  }

  readonly port: InvoicesToCollect = {
    open: async () => [...this.all.values()].filter((i) => i.openCents > 0n),
    get: async (_tx, id) => this.all.get(id) ?? null,
    standing: async (_tx, id) => {
      const openCents = this.all.get(id)?.openCents;
      return openCents === undefined ? 'withdrawn' : openCents > 0n ? 'open' : 'paid';
    },
    onChange: (changed) => {
      this.changed = changed;
    },
    settle: async (tx, id, { paymentId, cents }) => {
      const invoice = this.all.get(id);
      if (!invoice || invoice.openCents < cents) return false;
      this.all.set(id, { ...invoice, openCents: invoice.openCents - cents });
      const { organizationId } = invoice;
      await this.till.ledger.post(tx, {
        idempotencyKey: `invoice-payment:${id}:${paymentId}`,
        kind: 'invoice-payment',
        organizationId,
        reference: id,
        entries: [
          { accountId: account.clearing, amountNano: -cents * NANO_PER_CENT },
          { accountId: account.receivable(organizationId), amountNano: cents * NANO_PER_CENT },
        ],
      });
      return true;
    },
    takeBack: async (tx, id, { reference, cents, to }) => {
      const invoice = this.all.get(id);
      if (!invoice) return 0n;
      this.all.set(id, { ...invoice, openCents: invoice.openCents + cents });
      await this.move(tx, `taken-back:${reference}`, account.receivable(invoice.organizationId), to, cents);
      return cents;
    },
    demand: async (_tx, id) => {
      this.demanded.push(id);
    },
    owedOf: async (_tx, id) => this.notes.filter((n) => !n.done && n.invoiceId === id),
    owed: async () => this.notes.filter((n) => !n.done),
    refunded: async (tx, creditNoteId) => {
      const note = this.notes.find((n) => n.creditNoteId === creditNoteId);
      if (!note || note.done) throw new Error(`${creditNoteId} owes nothing`);
      note.done = true;
      await this.move(tx, `credit-note-refund:${creditNoteId}`, account.refunds, account.clearing, note.cents);
    },
  };

  readonly demanded: string[] = [];

  private changed: Parameters<InvoicesToCollect['onChange']>[0] = () => Promise.resolve();

  /** By hand: so much is still to be paid, or it was withdrawn. */
  async change(id: string, openCents: bigint | null): Promise<void> {
    const invoice = this.all.get(id);
    if (openCents === null) this.all.delete(id);
    else if (invoice) this.all.set(id, { ...invoice, openCents });
    await this.till.tx((tx) => this.changed(tx, id));
  }

  readonly notes: { creditNoteId: string; invoiceId: string; cents: bigint; done: boolean }[] = [];

  /** Takes money of a paid invoice back out of revenue, to be paid back. */
  async credit(invoiceId: string, cents: bigint): Promise<void> {
    const creditNoteId = `crn_${this.notes.length}`;
    this.notes.push({ creditNoteId, invoiceId, cents, done: false });
    await this.till.tx((tx) => this.move(tx, creditNoteId, account.revenue, account.refunds, cents));
  }

  private async move(tx: Tx, key: string, from: string, to: string, cents: bigint): Promise<void> {
    const amountNano = cents * NANO_PER_CENT;
    await this.till.ledger.post(tx, {
      idempotencyKey: key,
      kind: 'credit-note',
      organizationId: null,
      reference: key,
      entries: [
        { accountId: from, amountNano: -amountNano },
        { accountId: to, amountNano },
      ],
    });
  }
}

let rig: Rig;
let issued: Issued;
beforeEach(async () => {
  rig = await openRig({
    invoices: (till) => {
      issued = new Issued(till);
      return issued.port;
    },
  });
});
afterEach(async () => {
  await rig.till.audit();
  await rig.close();
  expect(rig.failures).toEqual([]);
  expect(rig.standIn.mistakes).toEqual([]);
});

const open = (id: string): bigint | undefined => issued.all.get(id)?.openCents;
const triesOf = (invoiceId: string) =>
  rig.tx((tx) => tx.find(payments, { invoiceId }, { orderBy: [['createdAt', 'asc']] }));

describe('an issued invoice', () => {
  it('is pushed with its lines and paid by the card, without anybody asking', async () => {
    const { organizationId } = await rig.payer();
    const id = await issued.issue(organizationId, 'B-1', [1_250n, 750n]);
    expect([await rig.payments.collect(), await rig.payments.collect()]).toEqual([1, 0]);
    await rig.drive();
    expect(open(id)).toBe(0n);
    const [pushed] = rig.standIn.objects('invoice');
    expect(pushed).toMatchObject({ status: 'paid', number: 'B-1-2000', total: 2_000 });
    expect(rig.standIn.objects('invoiceitem').map((i) => [i['description'], i['amount']])).toEqual([
      ['line 1', 750],
      ['line 0', 1_250],
    ]);
    expect(await rig.balanceCents(account.receivable(organizationId))).toBe(0n);
    expect([await rig.balanceCents(account.clearing), await rig.balanceCents(account.fees)]).toEqual([-1_912n, -88n]);
    expect(await rig.payments.collect()).toBe(0);
  });

  it('of which a part is paid already is collected for the rest', async () => {
    const { organizationId } = await rig.payer();
    const id = await issued.issue(organizationId, 'B-1', [2_000n]);
    const invoice = issued.all.get(id);
    if (invoice) issued.all.set(id, { ...invoice, openCents: 1_500n });
    await rig.payments.collect();
    await rig.drive();
    expect([open(id), rig.standIn.capturedCents]).toEqual([0n, 1_500]);
    expect(rig.standIn.objects('invoiceitem')[0]).toMatchObject({
      description: 'Paid or credited before',
      amount: -500,
    });
  });

  it('of a tenant without a card is left alone', async () => {
    const { organizationId } = await rig.till.tenant('0');
    await issued.issue(organizationId, 'B-1', [2_000n]);
    expect(await rig.payments.collect()).toBe(0);
  });

  it('that is declined is tried again after 3, 5 and 7 days, as one document, and then left', async () => {
    const { organizationId, methodId } = await rig.payer('declines');
    const id = await issued.issue(organizationId, 'B-1', [2_000n]);
    for (const days of [3, 5, 7]) {
      expect(await rig.payments.collect()).toBe(1);
      await rig.drive();
      rig.clock.advance(days * DAY - 1);
      expect(await rig.payments.collect()).toBe(0);
      rig.clock.advance(1);
    }
    rig.standIn.setCard(methodId, 'pays');
    expect(await rig.payments.collect()).toBe(1);
    await rig.drive();
    expect((await triesOf(id)).map((t) => t.state)).toEqual(['declined', 'declined', 'declined', 'settled']);
    expect([open(id), rig.standIn.objects('invoice').length, rig.standIn.capturedCents]).toEqual([0n, 1, 2_000]);
  });

  it('is given up after the fourth decline', async () => {
    const { organizationId } = await rig.payer('declines');
    const id = await issued.issue(organizationId, 'B-1', [2_000n]);
    for (let n = 0; n < 8; n++) {
      await rig.payments.collect();
      await rig.drive();
      rig.clock.advance(30 * DAY);
    }
    expect(await triesOf(id)).toHaveLength(4);
  });

  it.each(faultKinds)('is paid once, whichever request meets %s', async (fault) => {
    const { organizationId } = await rig.payer();
    for (const where of [/invoices$/, /invoiceitems$/, /finalize$/, /pay$/]) {
      rig.standIn.faults.plan(fault, new RegExp(`^POST .*${where.source}`), 2);
    }
    const id = await issued.issue(organizationId, 'B-1', [1_250n, 750n]);
    await rig.payments.collect();
    for (let n = 0; n < 12; n++) {
      await rig.drive();
      rig.standIn.faults.release();
      rig.clock.advance(300_000);
    }
    await rig.rest();
    expect((await triesOf(id)).map((t) => t.state)).toEqual(['settled']);
    expect([open(id), rig.standIn.capturedCents]).toEqual([0n, 2_000]);
    expect(rig.standIn.objects('invoice').filter((i) => i['status'] === 'paid')).toHaveLength(1);
  });

  it('that was paid by transfer while the card was charged makes the card’s money credit', async () => {
    const { organizationId } = await rig.payer();
    const id = await issued.issue(organizationId, 'B-1', [2_000n]);
    rig.standIn.faults.plan('lost-after', /^POST .*pay$/);
    rig.standIn.faults.plan('lost-before', /^GET .*invoices\/in_/);
    await rig.payments.collect();
    await rig.drive();
    expect((await triesOf(id)).map((t) => t.state)).toEqual(['unknown']);
    const invoice = issued.all.get(id);
    if (invoice) issued.all.set(id, { ...invoice, openCents: 0n });
    await rig.rest();
    expect(await rig.creditCents(organizationId)).toBe(2_000n);
  });

  it('of which nothing is to be paid when its turn comes is not charged', async () => {
    const { organizationId } = await rig.payer();
    const id = await issued.issue(organizationId, 'B-1', [2_000n]);
    await rig.payments.collect();
    issued.all.delete(id);
    await rig.drive();
    expect((await triesOf(id)).map((t) => [t.state, t.code])).toEqual([['refused', 'nothing-to-pay']]);
    expect(rig.standIn.capturedCents).toBe(0);
  });

  it('that is credited after a card paid it is paid back to the card, once', async () => {
    const { organizationId } = await rig.payer();
    const id = await issued.issue(organizationId, 'B-1', [2_000n]);
    await rig.payments.collect();
    await rig.drive();
    await issued.credit(id, 700n);
    rig.standIn.faults.plan('lost-after', /^POST .*refunds$/);
    expect([await rig.payments.payBack(), await rig.payments.payBack()]).toEqual([1, 0]);
    await rig.rest();
    expect(await rig.payments.payBack()).toBe(0);
    expect([issued.notes[0]?.done, rig.standIn.capturedCents]).toEqual([true, 1_300]);
    expect([await rig.balanceCents(account.refunds), await rig.creditCents(organizationId)]).toEqual([0n, 0n]);
    expect(await triesOf(id)).toMatchObject([{ refundedCents: 700n }]);
  });

  it('that was paid by transfer is paid back by a person', async () => {
    const { organizationId } = await rig.payer();
    await issued.credit(await issued.issue(organizationId, 'B-1', [2_000n]), 700n);
    expect(await rig.payments.payBack()).toBe(0);
  });
});

describe('an invoice that the card did not pay', () => {
  const declined = async () => {
    const { organizationId } = await rig.payer('declines');
    const id = await issued.issue(organizationId, 'B-1', [2_000n]);
    await rig.payments.collect();
    await rig.drive();
    expect(documents()).toEqual(['open']);
    return { id, organizationId };
  };
  const documents = () =>
    rig.standIn
      .objects('invoice')
      .map((i) => i['status'])
      .reverse();
  const closingsOf = (invoiceId: string) => rig.tx((tx) => tx.find(invoiceClosings, { invoiceId }));

  it('and is then paid by hand is paid outside at Stripe too, once', async () => {
    const { id } = await declined();
    await issued.change(id, 0n);
    await issued.change(id, 0n);
    await rig.drive();
    expect(documents()).toEqual(['paid']);
    expect(await closingsOf(id)).toMatchObject([{ state: 'closed', closeAs: 'paid-elsewhere', wakeAt: null }]);
    expect(rig.standIn.capturedCents).toBe(0);
  });

  it('and is then voided is void at Stripe too', async () => {
    const { id } = await declined();
    await issued.change(id, null);
    await rig.drive();
    expect(documents()).toEqual(['void']);
    expect(await closingsOf(id)).toMatchObject([{ state: 'closed', closeAs: 'void' }]);
  });

  it('and of which a part is credited gets a document over the rest', async () => {
    const { id } = await declined();
    await issued.change(id, 1_500n);
    rig.clock.advance(3 * DAY);
    rig.standIn.objects('payment_method').forEach((m) => rig.standIn.setCard(m.id, 'pays'));
    await rig.payments.collect();
    await rig.drive();
    expect(documents()).toEqual(['void', 'paid']);
    expect([open(id), rig.standIn.capturedCents]).toEqual([0n, 1_500]);
  });

  it.each(faultKinds)('is closed when %s meets it, and its sender dies', async (fault) => {
    const { id } = await declined();
    rig.standIn.faults.plan(fault, /^POST .*pay$/, 2);
    await issued.change(id, 0n);
    rig.crash(1);
    for (let n = 0; n < 8; n++) {
      await rig.drive();
      rig.standIn.faults.release();
      rig.clock.advance(300_000);
    }
    expect(documents()).toEqual(['paid']);
    expect(await closingsOf(id)).toMatchObject([{ state: 'closed' }]);
  });

  it('and which cannot be closed for a day is left, with the reason', async () => {
    const { id } = await declined();
    rig.standIn.faults.plan('rate-limit', /^POST .*pay$/, 10_000);
    await issued.change(id, 0n);
    await rig.rest();
    expect(await closingsOf(id)).toMatchObject([{ state: 'refused', code: 'gave-up', wakeAt: null }]);
    expect(documents()).toEqual(['open']);
    // Until an administrator has it tried again.
    rig.standIn.faults.clear();
    const [closing] = await closingsOf(id);
    const seen: string[] = [];
    await rig.payments.retryClosing(closing?.id ?? '', (_, before, after) => {
      seen.push(before.state, after.state);
      return Promise.resolve();
    });
    await rig.rest();
    expect([seen, documents()]).toEqual([['refused', 'unknown'], ['paid']]);
    expect(await closingsOf(id)).toMatchObject([{ state: 'closed', attempt: (closing?.attempt ?? 0) + 1, code: null }]);
    const none = () => Promise.resolve();
    await expect(rig.payments.retryClosing(closing?.id ?? '', none)).rejects.toMatchObject({ code: 'not-refused' });
    await expect(rig.payments.retryClosing('icl_nobody', none)).rejects.toMatchObject({ kind: 'not-found' });
    expect(await rig.payments.closings('refused', { limit: 10 })).toEqual([]);
    expect(await rig.payments.closings(null, { limit: 10 })).toHaveLength(1);
  });

  it('is not closed while a try is under way, but when that has failed', async () => {
    const { organizationId, methodId } = await rig.payer('processes');
    const id = await issued.issue(organizationId, 'B-1', [2_000n]);
    await rig.payments.collect();
    await rig.drive();
    await issued.change(id, 0n);
    expect([(await triesOf(id))[0]?.state, await closingsOf(id)]).toEqual(['unknown', []]);
    rig.standIn.setCard(methodId, 'declines');
    await rig.rest();
    expect((await triesOf(id)).map((t) => t.state)).toEqual(['refused']);
    expect(documents()).toEqual(['paid']);
  });

  it('and which somebody paid there before it could be closed makes the money credit', async () => {
    const { id, organizationId } = await declined();
    await issued.change(id, 0n);
    const [document] = rig.standIn.objects('invoice');
    const [card] = rig.standIn.objects('payment_method');
    rig.standIn.setCard(card?.id ?? '', 'pays');
    const paid = await rig.port.payInvoice({
      key: 'page',
      reference: 'page',
      invoiceId: document?.id ?? '',
      methodId: card?.id ?? '',
    });
    expect(paid.kind).toBe('done');
    await rig.drive();
    expect((await triesOf(id)).map((t) => t.state)).toEqual(['settled']);
    expect([await rig.creditCents(organizationId), rig.standIn.capturedCents]).toEqual([2_000n, 2_000]);
  });
});

describe('an invoice whose payment is disputed', () => {
  const disputed = async () => {
    const { organizationId } = await rig.payer();
    const id = await issued.issue(organizationId, 'B-1', [2_000n]);
    await rig.payments.collect();
    await rig.drive();
    const [payment] = await triesOf(id);
    const { id: disputeId } = rig.standIn.openDispute(payment?.processorId ?? '');
    await tell();
    return { id, organizationId, disputeId };
  };
  const tell = async (): Promise<void> => {
    await rig.standIn.webhooks.deliver({ copies: 2 });
    await rig.drive();
  };
  const stateOf = async (id: string) => (await triesOf(id)).map((t) => t.state);

  it('is open again, and the card is not asked for it any more', async () => {
    const { id, organizationId } = await disputed();
    expect([await stateOf(id), open(id), issued.demanded]).toEqual([['disputed'], 2_000n, []]);
    expect(await rig.balanceCents(account.receivable(organizationId))).toBe(-2_000n);
    rig.clock.advance(30 * DAY);
    expect(await rig.payments.collect()).toBe(0);
  });

  it('is paid when the dispute is won', async () => {
    const { id, organizationId, disputeId } = await disputed();
    rig.standIn.closeDispute(disputeId, 'won');
    await tell();
    expect([await stateOf(id), open(id)]).toEqual([['settled'], 0n]);
    expect(await rig.balanceCents(account.receivable(organizationId))).toBe(0n);
    expect(await rig.creditCents(organizationId)).toBe(0n);
  });

  it('is demanded when the dispute is lost', async () => {
    const { id, disputeId } = await disputed();
    rig.standIn.closeDispute(disputeId, 'lost');
    await tell();
    expect([await stateOf(id), open(id), issued.demanded]).toEqual([['charged_back'], 2_000n, [id]]);
  });

  it('and paid by hand meanwhile makes what a won dispute gives back credit', async () => {
    const { id, organizationId, disputeId } = await disputed();
    await issued.change(id, 0n);
    rig.standIn.closeDispute(disputeId, 'won');
    await tell();
    expect(await rig.creditCents(organizationId)).toBe(2_000n);
  });
});

describe('a card’s money for an invoice that somebody pays back in Stripe’s own pages', () => {
  const paid = async () => {
    const { organizationId } = await rig.payer();
    const id = await issued.issue(organizationId, 'B-1', [2_000n]);
    await rig.payments.collect();
    await rig.drive();
    const [payment] = await triesOf(id);
    return { id, organizationId, intentId: payment?.processorId ?? '' };
  };
  const tell = async (): Promise<void> => {
    await rig.standIn.webhooks.deliver({ copies: 2 });
    await rig.drive();
  };

  it('opens the invoice again, for people to see to', async () => {
    const { id, organizationId, intentId } = await paid();
    const { id: refundId } = rig.standIn.refundElsewhere(intentId, 700);
    await tell();
    expect([open(id), await rig.balanceCents(account.refunds)]).toEqual([700n, 0n]);
    expect(await rig.payments.collect()).toBe(0);
    rig.standIn.failRefund(refundId);
    await tell();
    expect([open(id), await rig.balanceCents(account.receivable(organizationId))]).toEqual([0n, 0n]);
    expect(await rig.creditCents(organizationId)).toBe(0n);
  });

  it('is what a credit note owed, when it owed exactly that', async () => {
    const { id, intentId } = await paid();
    await issued.credit(id, 700n);
    rig.standIn.refundElsewhere(intentId, 700);
    await tell();
    expect([issued.notes[0]?.done, open(id), await rig.balanceCents(account.refunds)]).toEqual([true, 0n, 0n]);
    expect(await rig.payments.payBack()).toBe(0);
  });
});

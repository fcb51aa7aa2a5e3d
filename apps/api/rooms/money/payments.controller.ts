import { Controller, Inject } from '@nestjs/common';
import { z } from 'zod';
import { DomainError } from '#kernel';
import { idOf, isoTime, nanoUsdText } from '#contracts';
import type { Broker } from '#broker';
import { audit, authorOf } from '#identity/audit';
import { NANO_PER_CENT } from '#money/billing';
import {
  disputeStates,
  paymentKinds,
  Payments,
  paymentStates,
  refundStates,
  setupStates,
  TOP_UP_CENTS,
  type CustomerRow,
  type DisputeRow,
  type PaymentRow,
  type RefundRow,
  type SetupRow,
} from '#money/payments';
import type { Ground } from '../../ground.js';
import { route, type Call } from '../../http/route.js';
import { Serve } from '../../http/serve.js';
import { GROUND } from '../../services.js';
import { BROKER } from '../../tokens.js';
import { timeText } from '../shapes.js';

const tag = 'Payments';
/** Cards are the organization's: a key of one project does not see them. */
const wholeOrganization = ['admin'] as const;

const least = TOP_UP_CENTS.least * NANO_PER_CENT;
const most = TOP_UP_CENTS.most * NANO_PER_CENT;
const amountText = nanoUsdText.describe('Whole cents, as nano-dollars');

const payingSchema = z
  .object({
    mode: z.enum(['manual', 'stripe']).describe('manual: no cards are taken here'),
    card: z.object({ brand: z.string(), last4: z.string(), expMonth: z.int(), expYear: z.int() }).nullable(),
    autoRecharge: z.object({
      on: z.boolean(),
      below: nanoUsdText,
      amount: nanoUsdText,
      monthlyCap: nanoUsdText,
      offReason: z.string().nullable().describe('Why the broker switched it off'),
    }),
  })
  .meta({ id: 'Paying' });

const setupSchema = z
  .object({
    id: idOf('setup'),
    state: z.enum(setupStates),
    url: z.string().nullable().describe('Where to leave the card, while it is open'),
    message: z.string().nullable(),
    createdAt: isoTime,
  })
  .meta({ id: 'CardSetup' });

const refundSchema = z
  .object({
    id: idOf('refund'),
    paymentId: idOf('payment'),
    state: z.enum(refundStates),
    amount: nanoUsdText,
    message: z.string().nullable(),
    createdAt: isoTime,
  })
  .meta({ id: 'Refund' });

const paymentSchema = z
  .object({
    id: idOf('payment'),
    kind: z.enum(paymentKinds),
    state: z.enum(paymentStates),
    amount: nanoUsdText,
    captured: nanoUsdText.describe('What the card gave'),
    refunded: nanoUsdText.describe('Given back, or on its way back'),
    invoiceId: z.string().nullable(),
    code: z.string().nullable(),
    message: z.string().nullable(),
    createdAt: isoTime,
    settledAt: isoTime.nullable(),
  })
  .meta({ id: 'Payment' });

const disputeSchema = z
  .object({
    state: z.enum(disputeStates).describe('inquiry: the bank only asks, and has taken nothing'),
    reason: z.string().describe('The bank’s word'),
    amount: nanoUsdText,
    withdrawn: nanoUsdText.describe('What the bank has taken back'),
    evidenceDueAt: isoTime.nullable(),
    createdAt: isoTime,
    endedAt: isoTime.nullable(),
  })
  .meta({ id: 'PaymentDispute' });

const getPaying = route({
  method: 'GET',
  path: '/v1/billing',
  tag,
  name: 'getPaying',
  summary: 'Show how the organization pays',
  access: { roles: wholeOrganization },
  returns: payingSchema,
});

const httpUrl = z.url({ protocol: /^https?$/ }).max(2_000);

const beginCardSetup = route({
  method: 'POST',
  path: '/v1/billing/setup',
  tag,
  name: 'beginCardSetup',
  summary: 'Get a page for leaving a card',
  description:
    'Answers the address of a page at the payment processor; card numbers never pass through the broker. The last card that was left is the one that is charged. Without an address in the answer, read the setup again in a few seconds.',
  access: { roles: wholeOrganization },
  body: z.strictObject({ successUrl: httpUrl.optional(), cancelUrl: httpUrl.optional() }).meta({ id: 'NewCardSetup' }),
  returns: setupSchema,
  creates: true,
});

const getCardSetup = route({
  method: 'GET',
  path: '/v1/billing/setup/{id}',
  tag,
  name: 'getCardSetup',
  summary: 'Show whether a card was left',
  access: { roles: wholeOrganization },
  params: z.strictObject({ id: idOf('setup') }),
  returns: setupSchema,
});

const setAutoRecharge = route({
  method: 'PUT',
  path: '/v1/billing/auto-recharge',
  tag,
  name: 'setAutoRecharge',
  summary: 'Charge the card when credit runs low',
  description:
    'When less than `below` is available, the card is charged `amount`, one at a time and at most `monthlyCap` in a calendar month (UTC). After three declines in a row it is off until it is set again.',
  access: { roles: wholeOrganization },
  body: z
    .strictObject({ on: z.boolean(), below: nanoUsdText, amount: amountText, monthlyCap: amountText })
    .meta({ id: 'AutoRecharge' }),
  returns: payingSchema,
});

const createTopUp = route({
  method: 'POST',
  path: '/v1/billing/top-ups',
  tag,
  name: 'createTopUp',
  summary: 'Buy credit with the card',
  description: `From ${String(least)} to ${String(most)} nano-dollars ($5 to $10,000). The credit is there when the payment is settled.`,
  access: { roles: wholeOrganization },
  body: z.strictObject({ amount: amountText }).meta({ id: 'NewTopUp' }),
  returns: paymentSchema,
  creates: true,
});

const listPayments = route({
  method: 'GET',
  path: '/v1/billing/payments',
  tag,
  name: 'listPayments',
  summary: 'List what was charged to cards, newest first',
  access: { roles: wholeOrganization },
  returns: paymentSchema,
  page: true,
});

const getPayment = route({
  method: 'GET',
  path: '/v1/billing/payments/{id}',
  tag,
  name: 'getPayment',
  summary: 'Show a payment with its refunds and disputes',
  access: { roles: wholeOrganization },
  params: z.strictObject({ id: idOf('payment') }),
  returns: paymentSchema
    .extend({ refunds: z.array(refundSchema), disputes: z.array(disputeSchema) })
    .meta({ id: 'PaymentWithRefunds' }),
});

const refundPayment = route({
  method: 'POST',
  path: '/v1/admin/payments/{id}/refunds',
  tag: 'Administration',
  name: 'refundPayment',
  summary: 'Pay credit back to the card it came from',
  description: 'The credit must be available; it leaves the account at once and comes back if the bank refuses.',
  access: { roles: ['platform-admin'] },
  params: z.strictObject({ id: idOf('payment') }),
  body: z.strictObject({ amount: amountText }).meta({ id: 'NewRefund' }),
  returns: refundSchema,
  creates: true,
});

/** Events are small; what is larger is nobody's. */
const MOST_EVENT_BYTES = 262_144;

const takeStripeEvent = route({
  method: 'POST',
  path: '/v1/webhooks/stripe',
  tag: 'System',
  name: 'takeStripeEvent',
  summary: 'Take an event of the payment processor',
  description:
    'For Stripe only. The signature over the raw body is checked before the body is read; events dated more than five minutes off are refused. An event is kept once, and its object is fetched anew.',
  access: 'public',
  upload: true,
  maxBodyBytes: MOST_EVENT_BYTES,
  returns: z.object({ received: z.boolean(), known: z.boolean() }).meta({ id: 'ReceivedEvent' }),
});

@Controller()
export class PaymentsController {
  constructor(
    private readonly payments: Payments,
    @Inject(BROKER) private readonly broker: Broker,
    @Inject(GROUND) private readonly ground: Ground,
  ) {}

  @Serve(getPaying)
  async paying({ principal }: Call<typeof getPaying>) {
    return this.show(await this.payments.customer(principal.actor, principal.organizationId));
  }

  @Serve(beginCardSetup)
  async setup({ principal, body }: Call<typeof beginCardSetup>) {
    const home = `${this.ground.config.publicUrl ?? 'http://127.0.0.1:7070'}/docs`;
    const { successUrl = home, cancelUrl = home } = body;
    const { id } = await this.payments.beginSetup(principal.organizationId, { successUrl, cancelUrl });
    // Here and now, because somebody waits for the address; a worker goes on where this ends.
    await this.broker.loop.reconcile('payment-setup', id);
    return showSetup(await this.payments.getSetup(principal.actor, id));
  }

  @Serve(getCardSetup)
  async cardSetup({ principal, params }: Call<typeof getCardSetup>) {
    return showSetup(await this.payments.getSetup(principal.actor, params.id));
  }

  @Serve(setAutoRecharge)
  async autoRecharge({ principal, body }: Call<typeof setAutoRecharge>) {
    return this.show(
      await this.payments.setRecharge(principal.organizationId, {
        on: body.on,
        belowNano: notNegative(BigInt(body.below), 'below'),
        cents: centsOf(body.amount, 'amount'),
        monthCents: centsOf(body.monthlyCap, 'monthlyCap'),
      }),
    );
  }

  @Serve(createTopUp)
  async topUp({ principal, body, remember }: Call<typeof createTopUp>) {
    const cents = centsOf(body.amount, 'amount');
    const row = await this.payments.topUp(principal.organizationId, cents, (tx, made) =>
      remember(tx, showPayment(made)),
    );
    return showPayment(row);
  }

  @Serve(listPayments)
  async list({ principal, page }: Call<typeof listPayments>) {
    const rows = await this.payments.list(principal.actor, principal.organizationId, page.order);
    return page.answer(rows, (row) => [row.id], showPayment);
  }

  @Serve(getPayment)
  async get({ principal, params }: Call<typeof getPayment>) {
    const { payment, refunds, disputes } = await this.payments.get(principal.actor, params.id);
    return { ...showPayment(payment), refunds: refunds.map(showRefund), disputes: disputes.map(showDispute) };
  }

  @Serve(refundPayment)
  async refund(call: Call<typeof refundPayment>) {
    const { params, body, remember } = call;
    const row = await this.payments.refund(params.id, centsOf(body.amount, 'amount'), async (tx, refund, payment) => {
      await audit(tx, {
        by: authorOf(call),
        organizationId: payment.organizationId,
        action: 'payment.refund',
        subject: payment.id,
        before: { refundedCents: payment.refundedCents },
        after: { refundedCents: payment.refundedCents + refund.amountCents, refundId: refund.id },
      });
      await remember(tx, showRefund(refund));
    });
    return showRefund(row);
  }

  @Serve(takeStripeEvent)
  async event({ upload, request }: Call<typeof takeStripeEvent>) {
    const port = this.payments.port();
    const parts: Buffer[] = [];
    for await (const part of upload as AsyncIterable<Buffer>) parts.push(part);
    const signature = request.headers['stripe-signature'];
    const event =
      typeof signature === 'string' ? port.readEvent(Buffer.concat(parts), signature, this.ground.clock.now()) : null;
    if (!event) {
      throw new DomainError('invalid', 'signature-wrong', 'This was not signed by the payment processor just now.', {
        fix: 'Check STRIPE_WEBHOOK_SECRET, and the clock of this machine.',
      });
    }
    return { received: true, known: !(await this.payments.takeEvent(event)) };
  }

  private show(row: CustomerRow | null) {
    const card =
      row?.methodId == null
        ? null
        : {
            brand: row.methodBrand ?? '',
            last4: row.methodLast4 ?? '',
            expMonth: row.methodExpMonth ?? 0,
            expYear: row.methodExpYear ?? 0,
          };
    return {
      mode: this.payments.mode,
      card,
      autoRecharge: {
        on: row?.rechargeOn ?? false,
        below: String(row?.rechargeBelowNano ?? 0n),
        amount: nanoText(row?.rechargeCents ?? 0n),
        monthlyCap: nanoText(row?.rechargeMonthCents ?? 0n),
        offReason: row?.rechargeOffReason ?? null,
      },
    };
  }
}

const nanoText = (cents: bigint): string => String(cents * NANO_PER_CENT);

/** Cards know whole cents only. */
function centsOf(text: string, field: string): bigint {
  const nano = notNegative(BigInt(text), field);
  if (nano % NANO_PER_CENT === 0n) return nano / NANO_PER_CENT;
  throw new DomainError('invalid', 'not-whole-cents', 'Cards are charged whole cents.', {
    field,
    fix: 'Send a multiple of 10000000 nano-dollars.',
  });
}

function notNegative(value: bigint, field: string): bigint {
  if (value >= 0n) return value;
  throw new DomainError('invalid', 'amount-negative', 'The amount must not be negative.', { field });
}

// Rows carry ids of their own kind; the type of a column is text.
const idIn = <K extends 'setup' | 'payment' | 'refund'>(id: string) => id as z.infer<ReturnType<typeof idOf<K>>>;

function showSetup(row: SetupRow) {
  const { state, url, message } = row;
  return { id: idIn<'setup'>(row.id), state, url, message, createdAt: timeText(row.createdAt) };
}

function showPayment(row: PaymentRow) {
  return {
    id: idIn<'payment'>(row.id),
    kind: row.kind,
    state: row.state,
    amount: nanoText(row.amountCents),
    captured: nanoText(row.capturedCents),
    refunded: nanoText(row.refundedCents),
    invoiceId: row.invoiceId,
    code: row.code,
    message: row.message,
    createdAt: timeText(row.createdAt),
    settledAt: row.settledAt === null ? null : timeText(row.settledAt),
  };
}

function showDispute(row: DisputeRow) {
  return {
    state: row.state,
    reason: row.reason,
    amount: nanoText(row.amountCents),
    withdrawn: nanoText(row.withdrawnCents),
    evidenceDueAt: timeText(row.evidenceDueAt),
    createdAt: timeText(row.createdAt),
    endedAt: timeText(row.endedAt),
  };
}

function showRefund(row: RefundRow) {
  return {
    id: idIn<'refund'>(row.id),
    paymentId: idIn<'payment'>(row.paymentId),
    state: row.state,
    amount: nanoText(row.amountCents),
    message: row.message,
    createdAt: timeText(row.createdAt),
  };
}

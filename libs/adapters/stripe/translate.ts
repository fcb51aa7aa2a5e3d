import type { Stripe } from 'stripe';
import type {
  Dispute,
  PayeeAccount,
  Payment,
  PaymentMethod,
  PushedInvoice,
  Refund,
  SetupSession,
  Transfer,
} from '#contracts';

/** The metadata field that holds our id on everything of ours. */
export const REFERENCE = 'berth_reference';

export const referenceOf = (object: { metadata?: Stripe.Metadata | null }): string | null =>
  object.metadata?.[REFERENCE] ?? null;

export const idOf = (held: string | { id: string } | null | undefined): string | null =>
  typeof held === 'string' ? held : (held?.id ?? null);

/** Stripe counts cents in doubles; every amount there is far below the limit of exact ones. */
export const centsOf = (amount: number): bigint => BigInt(amount);

export function amountOf(cents: bigint): number {
  if (cents <= 0n || cents > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError(`${cents} cents cannot be moved`);
  return Number(cents);
}

/** One of the words that we know; the SDK's types allow for words of the future. */
function known<T extends string>(word: string | null, words: readonly T[], otherwise: T): T {
  return words.find((w) => w === word) ?? otherwise;
}

export function paymentOf(intent: Stripe.PaymentIntent): Payment {
  const charge = typeof intent.latest_charge === 'object' ? intent.latest_charge : null;
  const booked = typeof charge?.balance_transaction === 'object' ? charge.balance_transaction : null;
  const error = intent.last_payment_error;
  return {
    id: intent.id,
    state: stateOf(intent.status),
    capturedCents: intent.status === 'succeeded' ? centsOf(intent.amount_received) : 0n,
    feeCents: booked ? centsOf(booked.fee) : null,
    failure:
      stateOf(intent.status) === 'declined'
        ? {
            code: error?.decline_code ?? error?.code ?? intent.status,
            message: error?.message ?? `The payment stopped at ${intent.status}.`,
          }
        : null,
  };
}

function stateOf(status: Stripe.PaymentIntent['status']): Payment['state'] {
  switch (status) {
    case 'succeeded':
      return 'succeeded';
    case 'processing':
      return 'processing';
    case 'canceled':
      return 'canceled';
    default:
      // It waits for a person who is not there: for us the card has said no.
      return 'declined';
  }
}

export function refundOf(refund: Stripe.Refund): Refund {
  const state =
    refund.status === 'succeeded'
      ? 'succeeded'
      : refund.status === 'failed' || refund.status === 'canceled'
        ? 'failed'
        : 'pending';
  return { id: refund.id, state, amountCents: centsOf(refund.amount) };
}

export function disputeOf(dispute: Stripe.Dispute): Dispute {
  // Money leaves and comes back by movements of the balance; the dispute's amount alone does not say which.
  const moved = dispute.balance_transactions.reduce((sum, t) => sum + centsOf(t.amount), 0n);
  const due = dispute.evidence_details.due_by;
  return {
    id: dispute.id,
    state: disputeStateOf(dispute.status),
    reason: dispute.reason,
    amountCents: centsOf(dispute.amount),
    withdrawnCents: moved < 0n ? -moved : 0n,
    feeCents: dispute.balance_transactions.reduce((sum, t) => sum + centsOf(t.fee), 0n),
    evidenceDueAtMs: due === null ? null : due * 1_000,
  };
}

function disputeStateOf(status: Stripe.Dispute['status']): Dispute['state'] {
  switch (status) {
    case 'won':
      return 'won';
    case 'lost':
      return 'lost';
    case 'warning_needs_response':
    case 'warning_under_review':
      return 'inquiry';
    case 'warning_closed':
    case 'prevented':
      return 'closed';
    default:
      return 'open';
  }
}

export function methodOf(method: string | Stripe.PaymentMethod | null | undefined): PaymentMethod | null {
  if (typeof method !== 'object' || method === null) return null;
  const { card } = method;
  return {
    id: method.id,
    brand: card?.brand ?? method.type,
    last4: card?.last4 ?? '',
    expMonth: card?.exp_month ?? 0,
    expYear: card?.exp_year ?? 0,
  };
}

export function sessionOf(session: Stripe.Checkout.Session): SetupSession {
  const intent = typeof session.setup_intent === 'object' ? session.setup_intent : null;
  return {
    id: session.id,
    state: known(session.status, ['open', 'complete', 'expired'] as const, 'open'),
    url: session.url,
    method: session.status === 'complete' ? methodOf(intent?.payment_method) : null,
  };
}

export function invoiceOf(invoice: Stripe.Invoice, payment: Payment | null): PushedInvoice {
  return {
    id: invoice.id,
    state: known(invoice.status, ['draft', 'open', 'paid', 'void', 'uncollectible'] as const, 'draft'),
    totalCents: centsOf(invoice.total),
    paidCents: centsOf(invoice.amount_paid),
    payment,
  };
}

export function accountOf(account: Stripe.Account): PayeeAccount {
  return {
    id: account.id,
    transfersEnabled: account.capabilities?.transfers === 'active',
    payoutsEnabled: account.payouts_enabled,
    requirementsDue: account.requirements?.currently_due ?? [],
  };
}

export function transferOf(transfer: Stripe.Transfer): Transfer {
  return {
    id: transfer.id,
    accountId: idOf(transfer.destination) ?? '',
    amountCents: centsOf(transfer.amount),
    reversedCents: centsOf(transfer.amount_reversed),
  };
}

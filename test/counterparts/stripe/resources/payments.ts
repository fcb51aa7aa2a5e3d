import { DAY } from '#kernel';
import type { Obj, Params } from '../shelf.js';
import { invalid, StripeFailure } from '../stripe-error.js';
import { given, metadataOf, readers, type Handlers, type World } from '../world.js';
import { cardOf } from './customers.js';

/** 2.9 % and 30 cents, as Stripe takes for cards. */
export const feeOf = (amount: number): number => Math.round(amount * 0.029) + 30;

/** A movement of Stripe's balance. `availableNow`: without the usual wait of two days. */
export function bookBalance(
  world: World,
  of: { amount: number; fee: number; type: string; source: string; availableNow: boolean },
): string {
  const { amount, fee, type, source, availableNow } = of;
  return world.make('BalanceTransactions.BalanceTransaction', {
    id: world.newId('txn'),
    object: 'balance_transaction',
    amount,
    fee,
    net: amount - fee,
    type,
    source,
    currency: 'usd',
    reporting_category: type,
    available_on: world.now() + (availableNow ? 0 : (2 * DAY) / 1_000),
    status: availableNow ? 'available' : 'pending',
  }).id;
}

/** What may be paid out at this time. */
export function availableCents(world: World): number {
  return world.shelf
    .all('balance_transaction')
    .filter((t) => Number(t['available_on']) <= world.now())
    .reduce((sum, t) => sum + Number(t['net']), 0);
}

/** Takes the money, or throws the refusal of the card as Stripe answers it. */
export function confirm(world: World, intent: Obj, params: Params): Obj {
  const card = world.shelf.get('payment_method', intent['payment_method']);
  if (intent['customer'] !== null && card['customer'] !== null && card['customer'] !== intent['customer']) {
    throw invalid('The provided PaymentMethod does not belong to the Customer.');
  }
  const behaviour = world.cards.get(card.id) ?? 'pays';
  const authenticates = behaviour === 'needs-authentication' && params['off_session'] === true;
  if (behaviour === 'declines' || authenticates) throw refusal(world, intent, card, authenticates);
  if (behaviour === 'needs-authentication') {
    intent['status'] = 'requires_action';
    intent['next_action'] = { type: 'use_stripe_sdk', use_stripe_sdk: {} };
    world.emit('payment_intent.requires_action', intent);
    return intent;
  }
  if (behaviour === 'processes') {
    intent['status'] = 'processing';
    world.emit('payment_intent.processing', intent);
    return intent;
  }
  return capture(world, intent);
}

/** The money is there. */
export function capture(world: World, intent: Obj): Obj {
  const amount = Number(intent['amount']);
  const charge = newCharge(world, intent, { status: 'succeeded', paid: true, captured: true, amount_captured: amount });
  charge['balance_transaction'] = bookBalance(world, {
    amount,
    fee: feeOf(amount),
    type: 'charge',
    source: charge.id,
    availableNow: world.availableAtOnce,
  });
  Object.assign(intent, {
    status: 'succeeded',
    amount_received: amount,
    latest_charge: charge.id,
    last_payment_error: null,
  });
  world.emit('charge.succeeded', charge);
  world.emit('payment_intent.succeeded', intent);
  return intent;
}

function newCharge(world: World, intent: Obj, fields: Record<string, unknown>): Obj {
  return world.make('Charges.Charge', {
    id: world.newId('ch'),
    object: 'charge',
    amount: intent['amount'],
    currency: intent['currency'],
    customer: intent['customer'],
    description: intent['description'],
    payment_intent: intent.id,
    payment_method: intent['payment_method'],
    metadata: structuredClone(intent['metadata']),
    transfer_group: intent['transfer_group'],
    ...fields,
  });
}

function refusal(world: World, intent: Obj, card: Obj, authentication: boolean): StripeFailure {
  const code = authentication ? 'authentication_required' : 'card_declined';
  const decline = authentication ? 'authentication_required' : 'insufficient_funds';
  const message = authentication ? 'This transaction requires authentication.' : 'Your card has insufficient funds.';
  const charge = newCharge(world, intent, { status: 'failed', failure_code: code, failure_message: message });
  const error = { type: 'card_error', code, decline_code: decline, message, charge: charge.id };
  Object.assign(intent, {
    status: 'requires_payment_method',
    payment_method: null,
    latest_charge: charge.id,
    last_payment_error: { ...error, payment_method: structuredClone(card) },
  });
  world.emit('charge.failed', charge);
  world.emit('payment_intent.payment_failed', intent);
  return new StripeFailure(402, { ...error, payment_intent: structuredClone(intent) });
}

/** The bank sends a refund back: the money is Stripe's to hold again. */
export function failRefund(world: World, refundId: string): void {
  const refund = world.shelf.get('refund', refundId);
  const charge = world.shelf.get('charge', refund['charge']);
  const amount = Number(refund['amount']);
  refund['status'] = 'failed';
  charge['amount_refunded'] = Number(charge['amount_refunded']) - amount;
  charge['refunded'] = false;
  const of = { amount, fee: 0, type: 'refund_failure', source: refund.id, availableNow: true };
  refund['failure_balance_transaction'] = bookBalance(world, of);
  world.emit('refund.failed', refund);
}

export function newIntent(world: World, params: Params): Obj {
  if (Number(params['amount']) < 50) throw invalid('Amount must be at least $0.50 usd', { code: 'amount_too_small' });
  const intent = world.make('PaymentIntents.PaymentIntent', {
    ...given(params, 'customer', 'description', 'payment_method_types', 'transfer_group', 'receipt_email'),
    id: world.newId('pi'),
    object: 'payment_intent',
    amount: params['amount'],
    currency: params['currency'],
    capture_method: 'automatic',
    client_secret: world.newId('secret'),
    status: 'requires_payment_method',
    metadata: metadataOf({}, params['metadata']),
  });
  world.emit('payment_intent.created', intent);
  return intent;
}

function useCard(world: World, intent: Obj, params: Params): void {
  if (params['payment_method'] === undefined) return;
  intent['payment_method'] = cardOf(world, String(params['payment_method'])).id;
  intent['status'] = 'requires_confirmation';
}

export const payments: Handlers = {
  ...readers('/v1/payment_intents', 'payment_intent'),
  ...readers('/v1/charges', 'charge'),
  ...readers('/v1/balance_transactions', 'balance_transaction'),
  'POST /v1/payment_intents': (world, params) => {
    if (params['customer'] !== undefined) world.shelf.get('customer', params['customer']);
    const intent = newIntent(world, params);
    useCard(world, intent, params);
    return params['confirm'] === true ? confirm(world, intent, params) : intent;
  },
  'POST /v1/payment_intents/{}/confirm': (world, params, [id]) => {
    const intent = world.shelf.get('payment_intent', id);
    if (intent['status'] === 'succeeded' || intent['status'] === 'canceled') {
      throw invalid(`You cannot confirm this PaymentIntent because it has a status of ${String(intent['status'])}.`, {
        code: 'payment_intent_unexpected_state',
      });
    }
    useCard(world, intent, params);
    return confirm(world, intent, params);
  },
  'POST /v1/payment_intents/{}/cancel': (world, params, [id]) => {
    const intent = world.shelf.get('payment_intent', id);
    if (['succeeded', 'canceled', 'processing'].includes(String(intent['status']))) {
      throw invalid(`You cannot cancel this PaymentIntent because it has a status of ${String(intent['status'])}.`, {
        code: 'payment_intent_unexpected_state',
      });
    }
    Object.assign(intent, { status: 'canceled', canceled_at: world.now(), ...given(params, 'cancellation_reason') });
    world.emit('payment_intent.canceled', intent);
    return intent;
  },
  'GET /v1/balance': (world) => {
    const { shelf } = world;
    const all = shelf.all('balance_transaction').reduce((sum, t) => sum + Number(t['net']), 0);
    const available = availableCents(world);
    const balance = world.checker.plainest('Balance.Balance');
    return {
      ...balance,
      available: [{ amount: available, currency: 'usd' }],
      pending: [{ amount: all - available, currency: 'usd' }],
    };
  },

  ...readers('/v1/refunds', 'refund'),
  'POST /v1/refunds': (world, params) => {
    const intent =
      params['payment_intent'] === undefined ? null : world.shelf.get('payment_intent', params['payment_intent']);
    const charge = world.shelf.get('charge', params['charge'] ?? intent?.['latest_charge']);
    if (charge['disputed'] === true) throw invalid('The charge is disputed.', { code: 'charge_disputed' });
    const left = Number(charge['amount_captured']) - Number(charge['amount_refunded']);
    const amount = Number(params['amount'] ?? left);
    if (left === 0) throw invalid('Charge has already been refunded.', { code: 'charge_already_refunded' });
    if (amount <= 0 || amount > left) {
      throw invalid(`Refund amount (${amount}) is greater than unrefunded amount on charge (${left})`);
    }
    const refund = world.make('Refunds.Refund', {
      ...given(params, 'reason'),
      id: world.newId('re'),
      object: 'refund',
      amount,
      charge: charge.id,
      currency: charge['currency'],
      payment_intent: charge['payment_intent'],
      status: 'succeeded',
      metadata: metadataOf({}, params['metadata']),
    });
    refund['balance_transaction'] = bookBalance(world, {
      amount: -amount,
      fee: 0,
      type: 'refund',
      source: refund.id,
      availableNow: true,
    });
    charge['amount_refunded'] = Number(charge['amount_refunded']) + amount;
    charge['refunded'] = charge['amount_refunded'] === charge['amount_captured'];
    world.emit('refund.created', refund);
    world.emit('charge.refunded', charge);
    return refund;
  },
};

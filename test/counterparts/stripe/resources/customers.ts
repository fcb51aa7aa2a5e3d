import { MINUTE } from '#kernel';
import type { Obj, Params } from '../shelf.js';
import { invalid } from '../stripe-error.js';
import { given, metadataOf, readers, type CardBehaviour, type Handlers, type World } from '../world.js';

/** What is found by searching lags behind by a minute. */
const SEARCH_LAG_MS = MINUTE;

const TEST_CARDS: Readonly<Record<string, CardBehaviour>> = {
  pm_card_visa: 'pays',
  pm_card_bypassPending: 'pays',
  pm_card_chargeDeclined: 'declines',
  pm_card_chargeCustomerFail: 'declines',
  pm_card_authenticationRequired: 'needs-authentication',
  tok_visa: 'pays',
  tok_chargeDeclined: 'declines',
};

/** A card of its own: test cards are patterns, and each use makes a new one. */
export function cardOf(world: World, id: string): Obj {
  const behaviour = TEST_CARDS[id];
  return behaviour === undefined ? world.shelf.get('payment_method', id) : newCard(world, behaviour);
}

export function newCard(world: World, behaviour: CardBehaviour, params: Params = {}): Obj {
  const card = world.checker.plainest('PaymentMethods.PaymentMethod.Card');
  const made = world.make('PaymentMethods.PaymentMethod', {
    id: world.newId('pm'),
    object: 'payment_method',
    type: 'card',
    card: { ...card, brand: 'visa', last4: '4242', exp_month: 12, exp_year: 2030, country: 'US', funding: 'credit' },
    metadata: metadataOf({}, params['metadata']),
  });
  world.cards.set(made.id, behaviour);
  return made;
}

export function attach(world: World, card: Obj, customer: unknown): Obj {
  world.shelf.get('customer', customer);
  if (card['customer'] !== null && card['customer'] !== customer) {
    throw invalid('The payment method you provided has already been attached to a customer.');
  }
  card['customer'] = customer;
  world.emit('payment_method.attached', card);
  return card;
}

const fields = ['description', 'email', 'name', 'phone', 'invoice_settings'];

function settingsOf(world: World, before: unknown, params: Params): Record<string, unknown> {
  const settings = before ?? world.checker.plainest('Customers.Customer.InvoiceSettings');
  return { ...(settings as object), ...(params['invoice_settings'] as object | undefined) };
}

export const customers: Handlers = {
  ...readers('/v1/customers', 'customer'),
  'POST /v1/customers': (world, params) => {
    const made = world.make('Customers.Customer', {
      ...given(params, ...fields),
      id: world.newId('cus'),
      object: 'customer',
      created: world.now(),
      balance: 0,
      metadata: metadataOf({}, params['metadata']),
      invoice_settings: settingsOf(world, undefined, params),
    });
    if (params['payment_method'] !== undefined) {
      attach(world, cardOf(world, String(params['payment_method'])), made.id);
    }
    world.emit('customer.created', made);
    return made;
  },
  'POST /v1/customers/{}': (world, params, [id]) => {
    const customer = world.shelf.get('customer', id);
    Object.assign(customer, given(params, ...fields), {
      metadata: metadataOf(customer['metadata'], params['metadata']),
      invoice_settings: settingsOf(world, customer['invoice_settings'], params),
    });
    world.emit('customer.updated', customer);
    return customer;
  },
  'DELETE /v1/customers/{}': (world, _, [id]) => {
    const customer = world.shelf.get('customer', id);
    world.shelf.remove(customer.id);
    world.emit('customer.deleted', customer);
    return { id: customer.id, object: 'customer', deleted: true };
  },
  'GET /v1/customers/search': (world, params) => {
    const [, key = '', value = ''] = /^metadata\['(\w+)'\]:'([^']*)'$/.exec(String(params['query'])) ?? [];
    if (key === '') throw invalid('The stand-in searches metadata only.');
    const before = world.now() - SEARCH_LAG_MS / 1_000;
    const data = world.shelf
      .all('customer')
      .filter((c) => (c['metadata'] as Record<string, string>)[key] === value && Number(c['created']) <= before);
    return { object: 'search_result', data, has_more: false, url: '/v1/customers/search', next_page: null };
  },

  ...readers('/v1/payment_methods', 'payment_method'),
  'GET /v1/payment_methods/{}': (world, _, [id = '']) => cardOf(world, id),
  'GET /v1/customers/{}/payment_methods': ({ shelf }, params, [customer]) =>
    shelf.page(
      shelf.all('payment_method'),
      { ...params, customer },
      `/v1/customers/${String(customer)}/payment_methods`,
    ),
  'GET /v1/customers/{}/payment_methods/{}': ({ shelf }, _, [, id]) => shelf.get('payment_method', id),
  'POST /v1/payment_methods': (world, params) => {
    const { token = 'tok_visa' } = (params['card'] ?? {}) as { token?: string };
    return newCard(world, TEST_CARDS[token] ?? 'pays', params);
  },
  'POST /v1/payment_methods/{}/attach': (world, params, [id = '']) =>
    attach(world, cardOf(world, id), params['customer']),
  'POST /v1/payment_methods/{}/detach': (world, _, [id]) => {
    const card = world.shelf.get('payment_method', id);
    card['customer'] = null;
    world.emit('payment_method.detached', card);
    return card;
  },

  ...readers('/v1/setup_intents', 'setup_intent'),
  'POST /v1/setup_intents': (world, params) => {
    const made = world.make('SetupIntents.SetupIntent', {
      ...given(params, 'customer', 'description', 'payment_method_types', 'usage'),
      id: world.newId('seti'),
      object: 'setup_intent',
      client_secret: world.newId('secret'),
      status: 'requires_payment_method',
      metadata: metadataOf({}, params['metadata']),
    });
    world.emit('setup_intent.created', made);
    if (params['payment_method'] !== undefined)
      made['payment_method'] = cardOf(world, String(params['payment_method'])).id;
    if (params['confirm'] === true) confirmSetup(world, made);
    return made;
  },
  'POST /v1/setup_intents/{}/confirm': (world, params, [id]) => {
    const intent = world.shelf.get('setup_intent', id);
    if (params['payment_method'] !== undefined)
      intent['payment_method'] = cardOf(world, String(params['payment_method'])).id;
    return confirmSetup(world, intent);
  },
};

/** The card is good; it belongs to the customer from now on. */
export function confirmSetup(world: World, intent: Obj): Obj {
  const card = world.shelf.get('payment_method', intent['payment_method']);
  if (intent['customer'] !== null) attach(world, card, intent['customer']);
  intent['status'] = 'succeeded';
  world.emit('setup_intent.succeeded', intent);
  return intent;
}

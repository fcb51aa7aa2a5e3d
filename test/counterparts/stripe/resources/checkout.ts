import { DAY } from '#kernel';
import type { Obj } from '../shelf.js';
import { invalid } from '../stripe-error.js';
import { given, metadataOf, readers, type CardBehaviour, type Handlers, type World } from '../world.js';
import { confirmSetup, newCard } from './customers.js';

export const checkout: Handlers = {
  ...readers('/v1/checkout/sessions', 'checkout.session'),
  'POST /v1/checkout/sessions': (world, params) => {
    if (params['mode'] !== 'setup') throw invalid('The stand-in knows checkout sessions in setup mode only.');
    if (params['currency'] === undefined && params['payment_method_types'] === undefined) {
      throw invalid('You must provide `currency` or `payment_method_types` in setup mode.');
    }
    const setupData = (params['setup_intent_data'] ?? {}) as { metadata?: unknown };
    const intent = world.make('SetupIntents.SetupIntent', {
      ...given(params, 'customer'),
      id: world.newId('seti'),
      object: 'setup_intent',
      client_secret: world.newId('secret'),
      status: 'requires_payment_method',
      metadata: metadataOf({}, setupData.metadata),
    });
    const id = world.newId('cs_test');
    return world.make('Checkout.Sessions.Session', {
      ...given(params, 'customer', 'client_reference_id', 'success_url', 'cancel_url', 'mode'),
      id,
      object: 'checkout.session',
      status: 'open',
      payment_status: 'no_payment_required',
      setup_intent: intent.id,
      url: `https://checkout.stripe.com/c/pay/${id}`,
      expires_at: world.now() + DAY / 1_000,
      metadata: metadataOf({}, params['metadata']),
    });
  },
  'POST /v1/checkout/sessions/{}/expire': (world, _, [id]) => expire(world, world.shelf.get('checkout.session', id)),
};

function expire(world: World, session: Obj): Obj {
  if (session['status'] !== 'open') throw invalid('Only Checkout Sessions with a status in ["open"] can be expired.');
  Object.assign(session, { status: 'expired', url: null });
  world.emit('checkout.session.expired', session);
  return session;
}

/** What a person does on Stripe's page: leaves a card. */
export function leaveCard(world: World, sessionId: string, behaviour: CardBehaviour): Obj {
  const session = world.shelf.get('checkout.session', sessionId);
  if (session['status'] !== 'open') throw new Error('nobody can open this page any more');
  const intent = world.shelf.get('setup_intent', session['setup_intent']);
  const card = newCard(world, behaviour);
  intent['payment_method'] = card.id;
  confirmSetup(world, intent);
  Object.assign(session, { status: 'complete', url: null });
  world.emit('checkout.session.completed', session);
  return card;
}

/** The page's day is over. */
export function expireSession(world: World, sessionId: string): void {
  expire(world, world.shelf.get('checkout.session', sessionId));
}

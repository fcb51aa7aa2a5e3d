import { MINUTE } from '#kernel';
import type { Obj, Params } from '../shelf.js';
import { invalid } from '../stripe-error.js';
import { given, metadataOf, readers, type Handlers, type World } from '../world.js';
import { availableCents, bookBalance } from './payments.js';

function reversalsOf(world: World, transferId: string): Obj[] {
  return world.shelf.all('transfer_reversal').filter((r) => r['transfer'] === transferId);
}

/** What a provider does on Stripe's page: tells who it is. */
export function completeAccount(world: World, accountId: string): void {
  const account = world.shelf.get('account', accountId);
  const capabilities = account['capabilities'] as Record<string, string>;
  for (const name of Object.keys(capabilities)) capabilities[name] = 'active';
  Object.assign(account, { payouts_enabled: true, charges_enabled: true, details_submitted: true });
  Object.assign(account['requirements'] as object, { currently_due: [], eventually_due: [], past_due: [] });
  world.emit('account.updated', account);
}

export const connect: Handlers = {
  ...readers('/v1/accounts', 'account'),
  'POST /v1/accounts': (world, params) => {
    const wanted = (params['capabilities'] ?? {}) as Record<string, { requested?: boolean }>;
    const due = ['business_type', 'external_account', 'tos_acceptance.date'];
    const account = world.make('Accounts.Account', {
      ...given(params, 'email', 'country', 'business_type'),
      id: world.newId('acct'),
      object: 'account',
      type: (params['type'] as string | undefined) ?? (params['controller'] ? 'none' : 'standard'),
      created: world.now(),
      default_currency: 'usd',
      metadata: metadataOf({}, params['metadata']),
      capabilities: Object.fromEntries(
        Object.entries(wanted).flatMap(([name, of]) => (of.requested ? [[name, 'inactive']] : [])),
      ),
      requirements: {
        ...world.checker.plainest('Accounts.Account.Requirements'),
        currently_due: due,
        eventually_due: due,
        past_due: [],
      },
    });
    // Accounts belong to themselves and take no creation time of the platform's list.
    world.emit('account.updated', account);
    return account;
  },
  'POST /v1/accounts/{}': (world, params, [id]) => {
    const account = world.shelf.get('account', id);
    Object.assign(account, given(params, 'email', 'business_type'), {
      metadata: metadataOf(account['metadata'], params['metadata']),
    });
    world.emit('account.updated', account);
    return account;
  },
  'POST /v1/account_links': (world, params) => {
    world.shelf.get('account', params['account']);
    for (const field of ['return_url', 'refresh_url']) {
      if (params[field] === undefined) throw invalid(`Missing required param: ${field}.`);
    }
    return {
      object: 'account_link',
      created: world.now(),
      expires_at: world.now() + (5 * MINUTE) / 1_000,
      url: `https://connect.stripe.com/setup/e/${String(params['account'])}/${world.newId('link')}`,
    };
  },

  ...readers('/v1/transfers', 'transfer'),
  'POST /v1/transfers': (world, params) => {
    const account = world.shelf.get('account', params['destination']);
    const capabilities = account['capabilities'] as Record<string, string>;
    if ((capabilities['transfers'] ?? 'active') !== 'active') {
      throw invalid(
        'Your destination account needs to have at least one of the following capabilities enabled: transfers',
        {
          code: 'insufficient_capabilities_for_transfer',
        },
      );
    }
    const amount = Number(params['amount']);
    if (!(amount > 0)) throw invalid('This value must be greater than or equal to 1.', { param: 'amount' });
    if (amount > availableCents(world)) {
      throw invalid('You have insufficient available funds in your Stripe account.', { code: 'balance_insufficient' });
    }
    const transfer = world.make('Transfers.Transfer', {
      ...given(params, 'description', 'transfer_group'),
      id: world.newId('tr'),
      object: 'transfer',
      amount,
      currency: params['currency'],
      destination: account.id,
      metadata: metadataOf({}, params['metadata']),
    });
    transfer['balance_transaction'] = book(world, -amount, 'transfer', transfer);
    transfer['reversals'] = {
      object: 'list',
      data: [],
      has_more: false,
      url: `/v1/transfers/${transfer.id}/reversals`,
    };
    world.emit('transfer.created', transfer);
    return transfer;
  },
  'GET /v1/transfers/{}/reversals': (world, params, [id = '']) =>
    world.shelf.page(reversalsOf(world, id), params, `/v1/transfers/${id}/reversals`),
  'GET /v1/transfers/{}/reversals/{}': ({ shelf }, _, [, id]) => shelf.get('transfer_reversal', id),
  'POST /v1/transfers/{}/reversals': (world, params, [id = '']) => reverse(world, params, id),
};

function reverse(world: World, params: Params, transferId: string): Obj {
  const transfer = world.shelf.get('transfer', transferId);
  const left = Number(transfer['amount']) - Number(transfer['amount_reversed']);
  const amount = Number(params['amount'] ?? left);
  if (amount <= 0 || amount > left) {
    throw invalid(`Reversal amount (${amount}) is greater than unreversed amount on transfer (${left})`);
  }
  const reversal = world.make('TransferReversals.TransferReversal', {
    id: world.newId('trr'),
    object: 'transfer_reversal',
    amount,
    currency: transfer['currency'],
    transfer: transfer.id,
    metadata: metadataOf({}, params['metadata']),
  });
  reversal['balance_transaction'] = book(world, amount, 'transfer_refund', reversal);
  transfer['amount_reversed'] = Number(transfer['amount_reversed']) + amount;
  transfer['reversed'] = transfer['amount_reversed'] === transfer['amount'];
  const data = reversalsOf(world, transfer.id).slice(0, 10);
  transfer['reversals'] = {
    object: 'list',
    data: structuredClone(data),
    has_more: false,
    url: `/v1/transfers/${transfer.id}/reversals`,
  };
  world.emit('transfer.reversed', transfer);
  return reversal;
}

const book = (world: World, amount: number, type: string, of: Obj): string =>
  bookBalance(world, { amount, fee: 0, type, source: of.id, availableNow: true });

import { DAY } from '#kernel';
import type { Obj } from '../shelf.js';
import { invalid } from '../stripe-error.js';
import { readers, type Handlers, type World } from '../world.js';
import { bookBalance } from './payments.js';

/** Stripe's fee for each dispute; it stays with Stripe however it ends. */
export const DISPUTE_FEE_CENTS = 1_500;

/** A movement of the balance, kept in the dispute as a whole object, as Stripe sends it. */
function move(world: World, dispute: Obj, amount: number, fee: number): void {
  const id = bookBalance(world, { amount, fee, type: 'adjustment', source: dispute.id, availableNow: true });
  const moves = dispute['balance_transactions'] as unknown[];
  moves.push(structuredClone(world.shelf.get('balance_transaction', id)));
}

const withdrawnOf = (dispute: Obj): number =>
  -(dispute['balance_transactions'] as { amount: number }[]).reduce((sum, t) => sum + t.amount, 0);

/** The cardholder's bank takes a charge back. `inquiry`: it only asks, and takes nothing yet. */
export function openDispute(
  world: World,
  intentId: string,
  of: { cents?: number; reason?: string; inquiry?: boolean } = {},
): Obj {
  const intent = world.shelf.get('payment_intent', intentId);
  const charge = world.shelf.get('charge', intent['latest_charge']);
  const left = Number(charge['amount_captured']) - Number(charge['amount_refunded']);
  const dispute = world.make('Disputes.Dispute', {
    id: world.newId('dp'),
    object: 'dispute',
    amount: of.cents ?? left,
    balance_transactions: [],
    charge: charge.id,
    payment_intent: intent.id,
    currency: 'usd',
    reason: of.reason ?? 'fraudulent',
    status: of.inquiry ? 'warning_needs_response' : 'needs_response',
  });
  const details = dispute['evidence_details'] as Record<string, unknown>;
  details['due_by'] = world.now() + (7 * DAY) / 1_000;
  charge['disputed'] = true;
  world.emit('charge.dispute.created', dispute);
  if (!of.inquiry) withdraw(world, dispute);
  return dispute;
}

function withdraw(world: World, dispute: Obj): void {
  move(world, dispute, -Number(dispute['amount']), DISPUTE_FEE_CENTS);
  world.emit('charge.dispute.funds_withdrawn', dispute);
}

/** An inquiry becomes a dispute. */
export function escalateDispute(world: World, disputeId: string): void {
  const dispute = world.shelf.get('dispute', disputeId);
  dispute['status'] = 'needs_response';
  world.emit('charge.dispute.updated', dispute);
  withdraw(world, dispute);
}

/** The bank has decided; an inquiry is closed without anything. */
export function closeDispute(world: World, disputeId: string, as: 'won' | 'lost' | 'warning_closed'): void {
  const dispute = world.shelf.get('dispute', disputeId);
  if (dispute['status'] === as) throw invalid(`The dispute is ${as} already.`);
  dispute['status'] = as;
  world.emit('charge.dispute.closed', dispute);
  const withdrawn = withdrawnOf(dispute);
  if (as !== 'won' || withdrawn === 0) return;
  move(world, dispute, withdrawn, 0);
  world.emit('charge.dispute.funds_reinstated', dispute);
}

/** Cents that banks have taken back and not given again. */
export const disputedCents = (world: World): number =>
  world.shelf.all('dispute').reduce((sum, dispute) => sum + withdrawnOf(dispute), 0);

export const disputes: Handlers = readers('/v1/disputes', 'dispute');

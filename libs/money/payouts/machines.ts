import { StateMachine } from '#kernel';

export const payoutStates = [
  'proposed',
  'awaiting',
  'intended',
  'calling',
  'unknown',
  'retrying',
  'paid',
  'failed',
  'reversed',
  'canceled',
] as const;
export type PayoutState = (typeof payoutStates)[number];

/**
 * proposed: set aside by a statement, waits for an administrator. awaiting: approved, to be paid by hand. intended to retrying: on its
 * way through the payment processor, as every effect. failed: it surely did not happen; tried again it is looked up first.
 * Should a transfer be found all the same, failed still becomes paid. reversed: all of it came back; after a part it stays paid.
 */
export const payoutMachine = new StateMachine<PayoutState>('payout', 'proposed', {
  proposed: ['awaiting', 'intended', 'canceled'],
  awaiting: ['paid', 'intended', 'canceled'],
  intended: ['calling', 'failed'],
  calling: ['paid', 'failed', 'retrying', 'unknown'],
  unknown: ['paid', 'failed', 'retrying', 'calling'],
  retrying: ['calling', 'paid', 'failed'],
  failed: ['unknown', 'awaiting', 'paid', 'canceled'],
  paid: ['reversed'],
  reversed: [],
  canceled: [],
});

export const reversalStates = ['intended', 'calling', 'unknown', 'retrying', 'done', 'failed'] as const;
export type ReversalState = (typeof reversalStates)[number];

/** A transfer on its way back, or a part of it. */
export const reversalMachine = new StateMachine<ReversalState>('payout-reversal', 'intended', {
  intended: ['calling', 'failed', 'done'],
  calling: ['done', 'failed', 'retrying', 'unknown'],
  unknown: ['done', 'failed', 'retrying', 'calling'],
  retrying: ['calling', 'done', 'failed'],
  done: [],
  failed: [],
});

export const payoutAccountStates = [
  'intended',
  'calling',
  'unknown',
  'retrying',
  'incomplete',
  'ready',
  'refused',
] as const;
export type PayoutAccountState = (typeof payoutAccountStates)[number];

/** A provider's account at the processor. incomplete: the processor wants to know more before it pays. */
export const payoutAccountMachine = new StateMachine<PayoutAccountState>('payout-account', 'intended', {
  intended: ['calling', 'refused'],
  calling: ['incomplete', 'ready', 'refused', 'retrying', 'unknown'],
  unknown: ['incomplete', 'ready', 'refused', 'retrying', 'calling'],
  retrying: ['calling', 'incomplete', 'ready', 'refused'],
  incomplete: ['ready'],
  ready: ['incomplete'],
  refused: ['unknown'],
});

export const disputeStates = ['noticed', 'open', 'upheld', 'dismissed'] as const;
export type DisputeState = (typeof disputeStates)[number];

/** noticed: written down where it happened, nothing moved yet. upheld: the provider is not owed it. */
export const disputeMachine = new StateMachine<DisputeState>('payout-dispute', 'noticed', {
  noticed: ['open', 'dismissed'],
  open: ['upheld', 'dismissed'],
  upheld: [],
  dismissed: [],
});

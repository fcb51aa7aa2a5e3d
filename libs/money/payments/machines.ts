import { StateMachine } from '#kernel';

export const paymentStates = [
  'intended',
  'calling',
  'unknown',
  'retrying',
  'processing',
  'settled',
  'declined',
  'refused',
  'disputed',
  'charged_back',
] as const;
export type PaymentState = (typeof paymentStates)[number];

/**
 * intended: nothing was sent. calling: a request is out, or its sender died. unknown: it may have happened, look it up.
 * retrying: it surely did not happen and will be tried again. processing: the processor has it and the bank takes its time.
 * Declined and refused are the end as far as we know; should money have come all the same, they still become settled.
 * disputed: the payer's bank has taken it back and hears both sides. charged_back: it is gone.
 */
export const paymentMachine = new StateMachine<PaymentState>('payment', 'intended', {
  intended: ['calling', 'refused'],
  calling: ['settled', 'processing', 'declined', 'refused', 'retrying', 'unknown'],
  unknown: ['settled', 'processing', 'declined', 'refused', 'retrying', 'calling'],
  retrying: ['calling', 'settled', 'processing', 'declined', 'refused'],
  processing: ['settled', 'declined'],
  declined: ['settled'],
  refused: ['settled'],
  settled: ['disputed', 'charged_back'],
  disputed: ['settled', 'charged_back'],
  charged_back: ['settled', 'disputed'],
});

export const refundStates = ['intended', 'calling', 'unknown', 'retrying', 'processing', 'settled', 'failed'] as const;
export type RefundState = (typeof refundStates)[number];

/** A bank may send a refund back days after it was made, so settled is not its end; failed is: the money is in the credit again. */
export const refundMachine = new StateMachine<RefundState>('refund', 'intended', {
  intended: ['calling', 'failed'],
  calling: ['settled', 'processing', 'failed', 'retrying', 'unknown'],
  unknown: ['settled', 'processing', 'failed', 'retrying', 'calling'],
  retrying: ['calling', 'settled', 'processing', 'failed'],
  processing: ['settled', 'failed'],
  settled: ['failed'],
  failed: [],
});

export const disputeStates = ['inquiry', 'open', 'won', 'lost', 'closed'] as const;
export type DisputeState = (typeof disputeStates)[number];

/** A bank may come back to what it has decided. */
export const disputeMachine = new StateMachine<DisputeState>('dispute', 'open', {
  inquiry: ['open', 'won', 'lost', 'closed'],
  open: ['won', 'lost', 'closed', 'inquiry'],
  won: ['open', 'lost'],
  lost: ['open', 'won'],
  closed: ['open', 'won', 'lost'],
});

export const closingStates = ['intended', 'calling', 'unknown', 'retrying', 'closed', 'refused'] as const;
export type ClosingState = (typeof closingStates)[number];

/** The end of an invoice's document at the processor, when the invoice is not to be paid there any more. */
export const closingMachine = new StateMachine<ClosingState>('invoice-closing', 'intended', {
  intended: ['calling', 'refused'],
  calling: ['closed', 'retrying', 'unknown', 'refused'],
  unknown: ['closed', 'retrying', 'calling', 'refused'],
  retrying: ['calling', 'closed', 'refused'],
  closed: [],
  // By an administrator, who has mended what was wrong.
  refused: ['unknown'],
});

export const setupStates = [
  'intended',
  'calling',
  'unknown',
  'retrying',
  'open',
  'complete',
  'expired',
  'refused',
] as const;
export type SetupState = (typeof setupStates)[number];

/** A page for leaving a card. */
export const setupMachine = new StateMachine<SetupState>('payment-setup', 'intended', {
  intended: ['calling', 'refused'],
  calling: ['open', 'complete', 'expired', 'retrying', 'unknown', 'refused'],
  unknown: ['open', 'complete', 'expired', 'retrying', 'calling', 'refused'],
  retrying: ['calling', 'open', 'complete', 'expired', 'refused'],
  open: ['complete', 'expired'],
  complete: [],
  expired: [],
  refused: [],
});

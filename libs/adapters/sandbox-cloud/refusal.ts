import type { FaultRule } from './fault.js';
import type { Answer, Refusal, RefusalCode } from './wire.js';

export type NoAnswer = Exclude<Answer<never>, { kind: 'done' }>;

export function done<T>(value: T): Answer<T> {
  return { kind: 'done', value };
}

export function refused(code: RefusalCode, message: string, more: Partial<Refusal> = {}): NoAnswer {
  return { kind: 'refused', refusal: { message, retryAfterMs: null, resourceId: null, ...more, code } };
}

export function lostBy(fault: FaultRule): NoAnswer {
  return { kind: 'lost', how: fault.how ?? 'hang' };
}

/** The answer of a fault that has no effect on the cloud; undefined for faults that have one. */
export function refusalOf(fault: FaultRule): NoAnswer | undefined {
  switch (fault.kind) {
    case 'no-capacity':
      return refused('insufficient_capacity', 'No such machine is free.');
    case 'quota-exceeded':
      return refused('quota_exceeded', 'The account has as many machines as it may.');
    case 'rate-limited':
      return refused('rate_limited', 'Too many requests.', { retryAfterMs: fault.arg ?? 1_000 });
    case 'unauthorized':
      return refused('unauthorized', 'The key is not valid.');
    case 'payment-required':
      return refused('payment_required', 'The account has no money left.');
    case 'invalid-request':
      return refused('invalid_request', 'The request is not understood.');
    case 'conflict':
      return refused('conflict', 'The machine is busy with something else.');
    case 'server-error':
      return refused('internal', 'Something broke here.');
    case 'unavailable':
      return refused('unavailable', 'Down for maintenance; nothing was done.', { retryAfterMs: fault.arg ?? null });
    case 'answer-lost-before-effect':
      return lostBy(fault);
    default:
      return undefined;
  }
}

import { Stripe } from 'stripe';
import { PaymentLookupError, type PaymentOutcome } from '#contracts';
import { neverConnected } from './single-try.js';

export type Failure = Exclude<PaymentOutcome<never>, { kind: 'done' }>;

/** What a failed call means for the money; null when it is no failure of Stripe's but a bug of ours. */
export function failureOf(error: unknown): Failure | null {
  if (!(error instanceof Stripe.errors.StripeError)) return null;
  const { statusCode = 0, message, headers } = error;
  const code = error.code ?? error.type;
  if (error instanceof Stripe.errors.StripeCardError) {
    return { kind: 'declined', code: error.decline_code ?? code, message };
  }
  if (error instanceof Stripe.errors.StripeIdempotencyError) {
    return { kind: 'refused', code: 'idempotency-key-reused', message };
  }
  if (statusCode === 0) {
    const why = `Stripe did not answer: ${message}`;
    return neverConnected(error.detail)
      ? { kind: 'retry', message: why, retryAfterMs: null }
      : { kind: 'unknown', message: why, spent: false };
  }
  if (statusCode === 429) return { kind: 'retry', message, retryAfterMs: retryAfterOf(headers) };
  // An earlier try with this key is still being worked on.
  if (statusCode === 409) return { kind: 'unknown', message, spent: false };
  if (statusCode >= 500) {
    // Only a replayed failure is surely the end of the work that was done under the key.
    return { kind: 'unknown', message, spent: headers?.['idempotent-replayed'] === 'true' };
  }
  return { kind: 'refused', code: statusCode === 401 || statusCode === 403 ? 'unauthorized' : code, message };
}

/** Does something that moves money, and says what came of it. */
export async function outcomeOf<T>(work: () => Promise<T>): Promise<PaymentOutcome<T>> {
  try {
    return { kind: 'done', value: await work() };
  } catch (error) {
    const failure = failureOf(error);
    if (failure) return failure;
    if (error instanceof OutcomeError) return error.outcome;
    throw error;
  }
}

/** Ends `outcomeOf` from within, for what Stripe does not call an error. */
export class OutcomeError extends Error {
  constructor(readonly outcome: Failure) {
    super(outcome.message);
    this.name = 'OutcomeError';
  }
}

/** Reads something; what Stripe has no such object of is null. */
export async function lookUp<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    const permanent = failure.kind === 'refused' || failure.kind === 'declined';
    throw new PaymentLookupError(
      permanent ? 'refused' : 'retry',
      failure.message,
      failure.kind === 'retry' ? failure.retryAfterMs : null,
    );
  }
}

function retryAfterOf(headers: Readonly<Record<string, string>> | undefined): number | null {
  const seconds = Number(headers?.['retry-after'] ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds, 3_600) * 1_000 : null;
}

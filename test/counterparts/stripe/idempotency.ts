import { createHash } from 'node:crypto';
import { DAY, type Clock } from '#kernel';
import { StripeFailure } from './stripe-error.js';

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

interface Kept {
  readonly digest: string;
  readonly at: number;
  /** Null while the first request with this key is still being worked on. */
  answer: Answer | null;
}

/** Stripe's memory for idempotency keys: 24 hours, errors of started work included, the same parameters only. */
export class IdempotencyStore {
  private readonly kept = new Map<string, Kept>();

  constructor(private readonly clock: Clock) {}

  /** The answer of before, or null when this is the first request with the key and the work may start. */
  begin(key: string, line: string, body: string): Answer | null {
    const digest = createHash('sha256').update(`${line}\0${body}`).digest('hex');
    const found = this.kept.get(key);
    if (!found || this.clock.now() - found.at >= DAY) {
      this.kept.set(key, { digest, at: this.clock.now(), answer: null });
      return null;
    }
    if (found.digest !== digest) {
      throw new StripeFailure(400, {
        type: 'idempotency_error',
        message: `Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '${key}' if you meant to execute a different request.`,
      });
    }
    if (!found.answer) {
      throw new StripeFailure(409, {
        type: 'invalid_request_error',
        code: 'idempotency_key_in_use',
        message: `There is currently another in-progress request using this Idempotent Key ('${key}').`,
      });
    }
    return found.answer;
  }

  finish(key: string, answer: Answer): void {
    const found = this.kept.get(key);
    if (found) found.answer = answer;
  }

  /** For what ended before work had started: a wrong parameter, a rate limit. */
  forget(key: string): void {
    this.kept.delete(key);
  }
}

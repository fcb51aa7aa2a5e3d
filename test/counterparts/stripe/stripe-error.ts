/** A refusal as Stripe words it. */
export class StripeFailure extends Error {
  constructor(
    readonly status: number,
    readonly error: Readonly<Record<string, unknown>>,
  ) {
    super(String(error['message']));
    this.name = 'StripeFailure';
  }
}

export const invalid = (message: string, more: Record<string, unknown> = {}): StripeFailure =>
  new StripeFailure(400, { type: 'invalid_request_error', message, ...more });

export const missing = (what: string, id: string): StripeFailure =>
  new StripeFailure(404, {
    type: 'invalid_request_error',
    code: 'resource_missing',
    message: `No such ${what}: '${id}'`,
  });

export const serverFailure = (): StripeFailure =>
  new StripeFailure(500, { type: 'api_error', message: 'An unknown error occurred' });

export const rateLimited = (): StripeFailure =>
  new StripeFailure(429, { type: 'invalid_request_error', code: 'rate_limit', message: 'Too many requests' });

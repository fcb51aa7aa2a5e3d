import { Stripe } from 'stripe';

type HttpClient = ReturnType<typeof Stripe.createNodeHttpClient>;

/**
 * The SDK repeats a request once when its connection breaks, even with retries switched off. Whether to repeat is decided by whoever
 * holds the intent, so what broke here looks to the SDK like something it does not repeat.
 */
export function singleTryClient(): HttpClient {
  const client = Stripe.createNodeHttpClient();
  return {
    getClientName: () => client.getClientName(),
    makeRequest: async (...request) => {
      try {
        return await client.makeRequest(...request);
      } catch (error) {
        throw Object.assign(new Error('the connection failed', { cause: error }), { code: `BERTH_${codeOf(error)}` });
      }
    },
  };
}

/** Whether a broken connection was never made: then nothing can have happened. */
export function neverConnected(error: unknown): boolean {
  return /^BERTH_(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/.test(codeOf(error));
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown';
}

import { Stripe } from 'stripe';
import type { PaymentPort } from '#contracts';
import { collection } from './collection.js';
import { disbursement } from './disbursement.js';
import { readEvent } from './events.js';
import { singleTryClient } from './single-try.js';

export { singleTryClient } from './single-try.js';

export interface StripeOptions {
  readonly secretKey: string;
  /** One or several, separated by commas. */
  readonly webhookSecret: string;
  /** Another address than Stripe's own, for a stand-in. */
  readonly apiBase: string | null;
  readonly timeoutMs?: number;
}

/** Stripe behind the port. One try for each call, no telemetry, keys from whoever calls. */
export function stripePort(options: StripeOptions): PaymentPort {
  const base = options.apiBase === null ? null : new URL(options.apiBase);
  const stripe = new Stripe(options.secretKey, {
    maxNetworkRetries: 0,
    telemetry: false,
    timeout: options.timeoutMs ?? 20_000,
    httpClient: singleTryClient(),
    ...(base
      ? {
          host: base.hostname,
          port: base.port === '' ? (base.protocol === 'https:' ? 443 : 80) : Number(base.port),
          protocol: base.protocol === 'https:' ? ('https' as const) : ('http' as const),
        }
      : {}),
  });
  const secrets = options.webhookSecret.split(',').map((secret) => secret.trim());
  return {
    ...collection(stripe),
    ...disbursement(stripe),
    readEvent: (body, signature, nowMs) => readEvent(stripe, secrets, body, signature, nowMs),
  };
}

import type { Stripe } from 'stripe';
import { z } from 'zod';
import type { PaymentEvent } from '#contracts';
import { REFERENCE } from './translate.js';

/** Older or newer than this and a message is taken for a recorded one. */
const MOST_APART_S = 300;

const eventSchema = z.object({
  id: z.string().min(1).max(255),
  object: z.literal('event'),
  type: z.string().min(1).max(255),
  created: z.int().nonnegative(),
  data: z.object({
    object: z.looseObject({
      id: z.string().optional(),
      metadata: z.record(z.string(), z.string()).nullish(),
      payment_intent: z.unknown().optional(),
    }),
  }),
});

/**
 * Checks the signature over the bytes as they came, then their age, then reads the little that is believed: which event it is and
 * what it is about. `secrets`: more than one while the endpoint's secret is being changed.
 */
export function readEvent(
  stripe: Stripe,
  secrets: readonly string[],
  body: Uint8Array,
  signature: string,
  nowMs: number,
): PaymentEvent | null {
  const t = Number(/(?:^|,)t=(\d{1,12})(?:,|$)/.exec(signature)?.[1] ?? Number.NaN);
  // The SDK refuses what is too old by its own clock, and takes anything that is dated in the future.
  if (!(Math.abs(nowMs / 1_000 - t) <= MOST_APART_S)) return null;
  if (!secrets.some((secret) => isSigned(stripe, body, signature, secret))) return null;
  const text = Buffer.from(body).toString('utf8');
  const event = eventSchema.safeParse(parsed(text)).data;
  if (!event) return null;
  const { id, metadata, payment_intent: payment } = event.data.object;
  return {
    id: event.id,
    type: event.type,
    createdAtMs: event.created * 1_000,
    objectId: id ?? null,
    reference: metadata?.[REFERENCE] ?? null,
    paymentId: typeof payment === 'string' && payment.length <= 255 ? payment : null,
  };
}

/** With tolerance 0 the SDK checks no age: that is done above, by the given clock. */
function isSigned(stripe: Stripe, body: Uint8Array, signature: string, secret: string): boolean {
  try {
    return stripe.webhooks.signature?.verifyHeader(body, signature, secret, 0) === true;
  } catch {
    return false;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

import { z } from 'zod';
import { providerKinds } from '#contracts';
import { skuSchema } from './sku.js';

/** Codes of the fake vendor's errors with their HTTP status. */
export const refusalStatus = {
  insufficient_capacity: 409,
  allocation_failed: 409,
  conflict: 409,
  quota_exceeded: 403,
  unauthorized: 401,
  payment_required: 402,
  invalid_request: 400,
  not_found: 404,
  rate_limited: 429,
  internal: 500,
  unavailable: 503,
} as const;
export type RefusalCode = keyof typeof refusalStatus;

/** The vendor's "no", as it stands in an error body. */
export const refusalSchema = z.object({
  code: z.string(),
  message: z.string(),
  retryAfterMs: z.number().nonnegative().nullable().default(null),
  /** A machine that exists in spite of the error. */
  resourceId: z.string().nullable().default(null),
});
export type Refusal = z.infer<typeof refusalSchema>;

/** What a call to the fake cloud comes to; `lost` means that the caller never learns it. */
export type Answer<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'refused'; readonly refusal: Refusal & { readonly code: RefusalCode } }
  | { readonly kind: 'lost'; readonly how: 'reset' | 'hang' };

export const createSchema = z.strictObject({
  sku: z.string().min(1).max(80),
  region: z.string().min(1).max(60),
  name: z.string().min(1).max(200),
  clientToken: z.string().min(1).max(200).nullable().default(null),
  tags: z.record(z.string().min(1).max(100), z.string().max(200)).default({}),
  bootstrap: z
    .strictObject({ brokerUrl: z.url({ protocol: /^https?$/ }), enrolToken: z.string().min(1).max(500) })
    .nullable()
    .default(null),
});
export type CloudCreate = z.infer<typeof createSchema>;

/** A machine as the API shows it. `status` is open: vendors add words. */
export const machineSchema = z.object({
  id: z.string().min(1),
  name: z.string(),
  status: z.string(),
  sku: z.string(),
  region: z.string(),
  tags: z.record(z.string(), z.string()),
  createdAtMs: z.number(),
  billedFromMs: z.number().nullable(),
  address: z.string().nullable(),
  interruptAtMs: z.number().nullable(),
});
export type CloudMachineView = z.infer<typeof machineSchema>;

export const pageSchema = z.object({ items: z.array(machineSchema), nextCursor: z.string().nullable() });
export type CloudPage = z.infer<typeof pageSchema>;

/** An offer is a SKU with what is left of it; how long it boots and how often it is taken the vendor does not say. */
export const cloudOfferSchema = skuSchema
  .omit({ bootMs: true, preemptionsPerHour: true })
  .extend({ kind: z.enum(providerKinds), billing: z.object({ minimumS: z.number(), incrementS: z.number() }) })
  .strip();
export type CloudOffer = z.infer<typeof cloudOfferSchema>;

export const offersSchema = z.object({ offers: z.array(cloudOfferSchema) });

export const accountSchema = z.object({ account: z.string() });

import { z } from 'zod';
import { providerKinds } from './offer.js';
import { nanoUsdText } from './wire.js';

const bps = (most: number) => z.int().min(0).max(most);
const notNegativeNano = nanoUsdText.refine((t) => !t.startsWith('-'), 'must not be negative');
const wholeGb = z
  .string()
  .regex(/^\d{1,9}$/, 'must be a whole number as text')
  .default('0');
const count = z.string().regex(/^\d{1,18}$/, 'must be a whole number as text');

/** Whose capacity it is, for the margin: the kind of the provider, or `own` for machines of the broker itself. */
export const priceClasses = [...providerKinds, 'own'] as const;
export type PriceClass = (typeof priceClasses)[number];

export const tokenKinds = ['input', 'cached', 'output'] as const;
export type TokenKind = (typeof tokenKinds)[number];

/** What one version of the price book says. Whatever it leaves out is zero, or, for margins, the provider's own margin. */
export const priceTermsSchema = z
  .strictObject({
    marginBps: z
      .partialRecord(z.enum(priceClasses), bps(100_000))
      .default({})
      .describe(
        'Added to what the provider asks, in basis points; a kind that is missing keeps the margin of its provider',
      ),
    plans: z
      .record(z.string().min(1).max(64), z.strictObject({ discountBps: bps(10_000) }))
      .default({})
      .describe('Taken off the price for organizations on that plan'),
    leaseMinimumS: z
      .int()
      .min(0)
      .max(600)
      .default(0)
      .describe('A lease that its tenant lets go earlier is charged for so many seconds'),
    slaCreditBps: bps(10_000)
      .default(0)
      .describe('Part of its charge that a lease brings back when its machine is lost'),
    tokens: z
      .record(
        z.string().min(1).max(200),
        z.strictObject({ input: notNegativeNano, cached: notNegativeNano, output: notNegativeNano }),
      )
      .default({})
      .describe('Per model: nano-dollars per million tokens'),
    requestMinimumNano: notNegativeNano.default('0').describe('The least that a request which is not free costs'),
    free: z
      .partialRecord(z.enum(tokenKinds), count)
      .default({})
      .describe('Tokens that an organization has free in each calendar month'),
    storage: z
      .strictObject({
        gbHour: notNegativeNano.default('0').describe('Nano-dollars per GB (10^9 bytes) kept for an hour'),
        egressGb: notNegativeNano.default('0').describe('Nano-dollars per GB of files read through the API'),
        freeGbHours: wholeGb.describe('GB-hours that an organization has free in each calendar month'),
        freeEgressGb: wholeGb.describe('GB that an organization reads free in each calendar month'),
      })
      .optional()
      .describe('Files that tenants keep with us; left out, they cost nothing'),
  })
  .meta({ id: 'PriceTerms' });

export type PriceTerms = z.output<typeof priceTermsSchema>;

import { z } from 'zod';
import { offerView } from './offer.js';
import { placementView } from './placement.js';
import { idOf, isoTime, nanoUsdText } from './wire.js';
import { workloadSchema } from './workload.js';

export const quoteStates = ['open', 'used', 'expired'] as const;
export type QuoteState = (typeof quoteStates)[number];

const fields = {
  id: idOf('quote'),
  projectId: idOf('project'),
  state: z.enum(quoteStates),
  createdAt: isoTime,
  expiresAt: isoTime,
  pricePerHour: nanoUsdText.meta({ description: 'What the tenant pays per hour of the machine, nano-dollars' }),
  expectedS: z.number().meta({ description: 'Expected seconds from start to finished work' }),
  expectedCharge: nanoUsdText.meta({
    description: 'The price for that time, or for the least time that is charged, nano-dollars',
  }),
  terms: z.object({
    bookVersion: z.int().nullable().meta({ description: 'Version of the price book; null = there was none' }),
    marginBps: z.int(),
    discountBps: z.int().meta({ description: 'Of the plan or of a commitment, whichever is more' }),
    leaseMinimumS: z.number(),
  }),
  offer: offerView.meta({ description: 'The offer as it was when it was quoted' }),
  workload: workloadSchema,
  placementId: idOf('placement'),
  jobId: idOf('job').nullable().meta({ description: 'The job that uses it' }),
  usedAt: isoTime.nullable(),
};

/** A tenant's price on one offer, locked for a while. */
export const quoteView = z.object(fields).meta({ id: 'Quote' });
export type QuoteView = z.infer<typeof quoteView>;

/** The same with the stored decision that it rests on. */
export const quoteWithDecision = z.object({ ...fields, decision: placementView }).meta({ id: 'QuoteWithDecision' });
export type QuoteWithDecision = z.infer<typeof quoteWithDecision>;

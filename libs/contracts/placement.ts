import { z } from 'zod';
import { idOf, isoTime, nanoUsdText } from './wire.js';
import { offerView, providerKinds } from './offer.js';
import { objectives, workloadSchema } from './workload.js';

/** Why an offer cannot take the work; one offer counts under its first failing dimension in this order. */
export const rejectionDimensions = [
  'not-rentable',
  'accelerator',
  'count',
  'isolation',
  'vram',
  'interconnect',
  'compatibility',
  'cpu',
  'memory',
  'nodes',
  'region',
  'country',
  'provider',
  'provider-kind',
  'pricing',
  'certification',
  'doubtful',
  'stale',
  'no-stock',
  'cooling-down',
  'price-cap',
  'budget',
  'deadline',
] as const;
export type RejectionDimension = (typeof rejectionDimensions)[number];

/** Every term of the expected cost of the finished work, nano-dollars; they add up to `total`. */
export const costTermsSchema = z.object({
  compute: nanoUsdText,
  restarts: nanoUsdText,
  failedStarts: nanoUsdText,
  coldStart: nanoUsdText,
  billingWaste: nanoUsdText,
  egress: nanoUsdText,
  storage: nanoUsdText,
  timeValue: nanoUsdText,
  risk: nanoUsdText,
  total: nanoUsdText,
});
export type CostTerms = z.infer<typeof costTermsSchema>;

/** 0..100 each; views of the same terms, higher is better. */
export const headlineScoresSchema = z.object({
  gpuFit: z.number(),
  interconnect: z.number(),
  reliability: z.number(),
  price: z.number(),
});

export const candidateSchema = z.object({
  rank: z.int(),
  offer: offerView,
  expectedS: z
    .number()
    .meta({ description: 'Expected seconds from start to finished work, restarts and boots included' }),
  usefulS: z.number().meta({ description: 'Seconds of useful work on this offer' }),
  checkpointS: z.number().optional().meta({
    description: 'Seconds of work between checkpoints; chosen by Young and Daly where the workload gives their cost',
  }),
  cost: costTermsSchema,
  scores: headlineScoresSchema,
  reasons: z.array(z.string()).meta({ description: 'Sentences a person can read' }),
});
export type Candidate = z.infer<typeof candidateSchema>;

/** The same terms as differences from the first candidate; they add up to `total`, and may be negative. */
export const costDifferenceSchema = costTermsSchema.meta({
  description: 'Term by term, what this offer costs more than the first candidate; negative = less',
});

export const comparedOfferSchema = z.object({
  rank: z
    .int()
    .nullable()
    .meta({ description: 'Place among all that fit; null = behind the candidates that were kept' }),
  offer: offerView,
  expectedS: z.number(),
  cost: costTermsSchema,
  difference: costDifferenceSchema,
  because: z.string().meta({ description: 'One sentence for a person' }),
});
export type ComparedOffer = z.infer<typeof comparedOfferSchema>;

export const nearMissSchema = z.object({
  dimension: z.enum(rejectionDimensions),
  offers: z.int().meta({ description: 'Offers that this dimension alone keeps out' }),
  nearest: z
    .object({
      offer: offerView,
      expectedS: z.number(),
      cost: costTermsSchema,
      wouldRank: z.int().nullable().meta({ description: 'Null = behind the candidates that were kept' }),
    })
    .nullable()
    .meta({ description: 'The one that would cost least; null where the work has no known time on any' }),
  change: z.string().meta({ description: 'What would let it in' }),
});
export type NearMissView = z.infer<typeof nearMissSchema>;

/** Why the first candidate won, and what was close. */
export const explanationSchema = z
  .object({
    runnerUp: comparedOfferSchema.nullable(),
    cheaperListed: comparedOfferSchema.nullable().meta({
      description: 'The first offer in the order of cost that fits and has a lower price per hour than the winner',
    }),
    nearMisses: z.array(nearMissSchema).meta({ description: 'Cheapest first' }),
  })
  .meta({ id: 'PlacementExplanation' });
export type Explanation = z.infer<typeof explanationSchema>;

/** The candidates in the order to try them. */
export const planSchema = z
  .object({
    premium: z.number().meta({ description: 'How much more another failure domain may count, as a share' }),
    tries: z.array(
      z.object({
        rank: z.int(),
        offerId: z.string(),
        domain: z.string().meta({ description: 'What tends to fail together: provider and region' }),
        providerKind: z.enum(providerKinds),
        startFails: z.number().meta({ description: 'Probability that a start fails' }),
        ready: z.object({ p50S: z.number(), p90S: z.number() }),
        hedge: z
          .object({
            with: z.string().meta({ description: 'The next offer to try' }),
            afterS: z
              .int()
              .nullable()
              .meta({ description: 'Seconds without an answer after which a second start pays; null = it never does' }),
            likely: z.number().meta({ description: 'Probability that there is no answer by then' }),
            savesS: z.int(),
            worthNano: nanoUsdText.meta({ description: 'What the saved waiting is worth under the objective' }),
            costNano: nanoUsdText.meta({ description: 'What the start that is not needed is expected to cost' }),
          })
          .nullable(),
      }),
    ),
    fallback: z
      .array(z.object({ providerKind: z.enum(providerKinds), rank: z.int().nullable() }))
      .meta({ description: 'Kinds of providers to ask when the first kind has nothing; rank null = none was kept' }),
  })
  .meta({ id: 'PlacementPlan' });
export type Plan = z.infer<typeof planSchema>;

/** Why the cost of an offer changed between two decisions: differences that add up to the change, term by term. */
export const replayCausesSchema = z.object({
  price: costDifferenceSchema,
  belief: costDifferenceSchema.meta({ description: 'Reliability, speed, age of the price, terms of billing' }),
  question: costDifferenceSchema.meta({ description: 'Another objective or scope' }),
});
export type ReplayCauses = z.infer<typeof replayCausesSchema>;

/** What changed since an earlier decision about the same workload. */
export const replaySchema = z
  .object({
    of: idOf('placement'),
    at: isoTime,
    question: z.array(z.object({ field: z.string(), then: z.string(), now: z.string() })),
    sameWinner: z.boolean(),
    winnerThen: z
      .object({
        offer: offerView,
        cost: costTermsSchema,
        now: z.object({
          fate: z.enum(['first', 'ranked', 'rejected', 'gone']),
          rank: z.int().nullable(),
          rejectedBy: z.enum(rejectionDimensions).nullable(),
          offer: offerView.nullable(),
          cost: costTermsSchema.nullable(),
          because: replayCausesSchema.nullable(),
        }),
      })
      .nullable(),
    winnerNow: z
      .object({
        offer: offerView,
        cost: costTermsSchema,
        then: z
          .object({ rank: z.int(), cost: costTermsSchema })
          .nullable()
          .meta({ description: 'Null where it was not among the candidates kept then' }),
      })
      .nullable(),
    summary: z.array(z.string()),
  })
  .meta({ id: 'PlacementReplay' });
export type Replay = z.infer<typeof replaySchema>;

export const placementView = z
  .object({
    id: idOf('placement'),
    createdAt: isoTime,
    workload: workloadSchema,
    objective: z.enum(objectives),
    scope: z.enum(['market', 'rentable']),
    considered: z.int(),
    fitting: z.int(),
    candidates: z.array(candidateSchema),
    rejections: z.partialRecord(z.enum(rejectionDimensions), z.int()),
    /** What would have to change when nothing fits, nearest first. */
    hints: z.array(z.string()),
    contradictions: z
      .array(z.string())
      .optional()
      .meta({ description: 'Where nothing fits: what cannot be had together, with the figure that would do' }),
    explanation: explanationSchema.optional(),
    replay: replaySchema.optional(),
    plan: planSchema.optional(),
  })
  .meta({ id: 'Placement' });
export type PlacementView = z.infer<typeof placementView>;

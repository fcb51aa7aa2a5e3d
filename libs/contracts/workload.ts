import { z } from 'zod';
import { isAccelerator, nearestAccelerators } from '#hardware';
import { nanoUsdText } from './wire.js';
import { pricingModels, providerKinds } from './offer.js';

export const objectives = ['cheapest', 'balanced', 'reliable', 'fastest'] as const;
export type Objective = (typeof objectives)[number];

/** Dotted numbers: "12.4", "550.54.14". */
const versionText = z
  .string()
  .max(30)
  .regex(/^\d+(\.\d+){0,3}$/, 'a version like 12.4');

/**
 * The name of an accelerator as a tenant writes it: canonical ("H100-SXM") or what is common ("H100", every form of it). One that
 * nobody knows is refused with the names that it is most like.
 */
export const acceleratorName = z
  .string()
  .min(1)
  .max(60)
  .superRefine((name, context) => {
    if (name === '' || name.length > 60 || isAccelerator(name)) return;
    const near = nearestAccelerators(name);
    const hint = near.length > 0 ? `did you mean ${near.join(', ')}?` : '`berth offers` lists what there is';
    context.addIssue({ code: 'custom', message: `is no accelerator that Berth knows: ${hint}` });
  });

/** How much there is to do. */
export const workSchema = z.discriminatedUnion('kind', [
  /** Hours that the work takes on `accelerator count` units of the reference accelerator. */
  z.strictObject({
    kind: z.literal('gpu-hours'),
    hours: z.number().positive().max(1e7),
    reference: acceleratorName,
  }),
  /** Wall-clock hours on whatever is rented. */
  z.strictObject({ kind: z.literal('wall-hours'), hours: z.number().positive().max(1e6) }),
  /** Tokens through a model of `parametersB` billion parameters at `bytesPerParameter`. */
  z.strictObject({
    kind: z.literal('tokens'),
    inputTokens: z.number().nonnegative().max(1e15),
    outputTokens: z.number().nonnegative().max(1e15),
    parametersB: z.number().positive().max(10_000),
    bytesPerParameter: z.number().positive().max(4).default(2),
  }),
]);

/**
 * What some work needs, as plain data; never an entity. Absent = no wish.
 * `work` is how much there is to do, so that cost can be compared per finished work and not per hour.
 */
export const workloadSchema = z
  .strictObject({
    /** Accelerators wanted; absent or count 0 = a CPU is enough. */
    accelerator: z
      .strictObject({
        /** Canonical or common names; any of them will do. Absent = any model that fits. */
        models: z.array(acceleratorName).min(1).max(20).optional(),
        /** Per machine. */
        count: z.int().min(0).max(64),
        /** Least memory per accelerator, GiB. */
        minVramGiB: z.number().positive().max(2_000).optional(),
        /** Least link between the accelerators of one machine. */
        interconnect: z.enum(['any', 'nvlink', 'nvswitch']).optional(),
        /**
         * Least isolation from the work of others; absent = whole accelerators only. With `mig` or `time-slice` a part of one will do
         * too, for a count of 1: say with `minVramGiB` how much of it.
         */
        isolation: z.enum(['whole-gpu', 'mig', 'time-slice']).optional(),
      })
      .optional(),
    /** Machines that must start together; more than 1 is a gang (not rentable yet). */
    nodes: z.int().min(1).max(128).default(1),
    minVcpus: z.number().positive().max(4_096).optional(),
    minRamGiB: z.number().positive().max(100_000).optional(),
    work: workSchema.default({ kind: 'wall-hours', hours: 1 }),
    /** Seconds of work that are lost at most when a machine is lost (checkpoint or shard length). */
    checkpointS: z.number().positive().max(604_800).default(600),
    /**
     * What one checkpoint costs, seconds of machine time. Where it is given, the interval is chosen for each offer by
     * Young and Daly's rule, unless `intervalS` says it; `checkpointS` is not used then.
     */
    checkpoint: z
      .strictObject({
        costS: z.number().positive().max(86_400),
        intervalS: z.number().positive().max(604_800).optional(),
      })
      .optional(),
    /** Data kept beside the machine until the work is finished, GB. */
    storageGB: z.number().nonnegative().max(1e7).default(0),
    /** Least versions that the image or engine needs. */
    needs: z
      .strictObject({
        cuda: versionText.optional(),
        rocm: versionText.optional(),
        driver: versionText.optional(),
        computeCapability: versionText.optional(),
      })
      .optional(),
    /** What being late costs: dollars for each hour after `afterS`, besides what the objective says waiting is worth. */
    lateness: z
      .strictObject({
        afterS: z.number().nonnegative().max(1e9),
        dollarsPerHour: z.number().positive().max(1e6),
      })
      .optional(),
    /** Data to bring in and take out, GB. */
    egressGB: z.number().nonnegative().max(1e6).default(0),
    objective: z.enum(objectives).default('balanced'),
    constraints: z
      .strictObject({
        regions: z.array(z.string().min(1).max(60)).min(1).max(100).optional(),
        countries: z.array(z.string().length(2)).min(1).max(250).optional(),
        providers: z.array(z.string().min(1).max(60)).min(1).max(100).optional(),
        excludeProviders: z.array(z.string().min(1).max(60)).max(100).optional(),
        providerKinds: z.array(z.enum(providerKinds)).min(1).optional(),
        pricing: z.array(z.enum(pricingModels)).min(1).optional(),
        certifications: z.array(z.string().min(1).max(40)).max(20).optional(),
        maxPricePerHour: nanoUsdText.optional(),
        maxTotal: nanoUsdText.optional(),
        deadlineS: z.number().positive().max(1e9).optional(),
      })
      .default({}),
  })
  .meta({ id: 'Workload' });
export type Workload = z.infer<typeof workloadSchema>;
export type WorkloadInput = z.input<typeof workloadSchema>;

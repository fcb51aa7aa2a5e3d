import { z } from 'zod';
import { acceleratorVendors, interconnectSchema, offerSoftwareSchema, pricingModels, providerKinds } from '#contracts';

/** What the fake cloud sells: one machine type in one region. `name` and `region` together are unique. */
export const skuSchema = z.strictObject({
  name: z.string().min(1).max(80),
  region: z.string().min(1).max(60),
  zone: z.string().max(60).nullable(),
  country: z.string().length(2).nullable(),
  /** Canonical accelerator name, "CPU" for none. */
  accelerator: z.string().min(1).max(60),
  acceleratorVendor: z.enum(acceleratorVendors),
  count: z.number().nonnegative(),
  vramGiB: z.number().nonnegative(),
  interconnect: interconnectSchema,
  vcpus: z.number().positive(),
  ramGiB: z.number().positive(),
  /** What is installed, as the vendor states it. */
  software: offerSoftwareSchema.optional(),
  pricing: z.enum(pricingModels),
  /** Dollars per hour for the whole machine, decimal text. */
  priceUsdPerHour: z.string().regex(/^\d+(\.\d{1,9})?$/),
  /** Machines that exist at all; null = never runs out. */
  stock: z.int().nonnegative().nullable(),
  /** Time from request to running is drawn from this range, milliseconds. */
  bootMs: z
    .tuple([z.int().nonnegative(), z.int().nonnegative()])
    .refine(([low, high]) => low <= high, 'lower end first'),
  /** Mean number of times an hour at which the vendor takes a running machine away; 0 = never. */
  preemptionsPerHour: z.number().nonnegative(),
});
export type Sku = z.infer<typeof skuSchema>;

/** How the fake cloud behaves as a whole. */
export const settingsSchema = z.strictObject({
  kind: z.enum(providerKinds),
  /** True: a create with a known client token answers the machine made before. False: it makes a second machine. */
  clientTokens: z.boolean(),
  /** `get` and `list` show the world of up to this long ago; each read draws its own lag. */
  windowMs: z.int().nonnegative(),
  billing: z.strictObject({ minimumS: z.int().nonnegative(), incrementS: z.int().positive() }),
  /** From which state on a machine costs; it costs until it is terminated, failed or preempted. */
  billedFrom: z.enum(['provisioning', 'running']),
  /** From terminate to terminated. */
  stopMs: z.int().nonnegative(),
  /** Machines alive at once; null = no quota. */
  quotaMachines: z.int().nonnegative().nullable(),
  pageSize: z.int().positive().max(1_000),
  /** Ended machines stay visible this long. */
  retentionMs: z.int().nonnegative(),
  /** Notice before a machine of a preemptible SKU is taken; 0 = none. */
  preemptionNoticeMs: z.int().nonnegative(),
});
export type CloudSettings = z.infer<typeof settingsSchema>;

export const defaultSettings: CloudSettings = {
  kind: 'hyperscaler',
  clientTokens: false,
  windowMs: 0,
  billing: { minimumS: 60, incrementS: 1 },
  billedFrom: 'running',
  stopMs: 2_000,
  quotaMachines: null,
  pageSize: 100,
  retentionMs: 3_600_000,
  preemptionNoticeMs: 120_000,
};

const alone = { intraNode: 'none', intraNodeGBps: null, interNode: 'ethernet', interNodeGbps: 25 } as const;
const switched = { intraNode: 'nvswitch', intraNodeGBps: 900, interNode: 'infiniband', interNodeGbps: 3_200 } as const;
const nvidia = { zone: null, acceleratorVendor: 'nvidia', pricing: 'on-demand', preemptionsPerHour: 0 } as const;

/** A small price list for demos and specs; prices are made up, in the range of the market of 2026. */
export const defaultSkus: readonly Sku[] = [
  {
    ...nvidia,
    name: 'h100-8x',
    region: 'eu-north-1',
    country: 'FI',
    accelerator: 'H100-SXM',
    count: 8,
    vramGiB: 80,
    interconnect: switched,
    vcpus: 192,
    ramGiB: 1_800,
    priceUsdPerHour: '23.92',
    stock: 2,
    bootMs: [60_000, 180_000],
  },
  {
    ...nvidia,
    name: 'h100-1x',
    region: 'eu-north-1',
    country: 'FI',
    accelerator: 'H100-SXM',
    count: 1,
    vramGiB: 80,
    interconnect: alone,
    vcpus: 24,
    ramGiB: 220,
    priceUsdPerHour: '2.99',
    stock: 6,
    bootMs: [40_000, 120_000],
  },
  {
    ...nvidia,
    name: 'h100-1x-spot',
    region: 'eu-north-1',
    country: 'FI',
    accelerator: 'H100-SXM',
    count: 1,
    vramGiB: 80,
    interconnect: alone,
    vcpus: 24,
    ramGiB: 220,
    pricing: 'spot',
    preemptionsPerHour: 0.1,
    priceUsdPerHour: '1.49',
    stock: 4,
    bootMs: [40_000, 120_000],
  },
  {
    ...nvidia,
    name: 'a100-1x',
    region: 'us-east-1',
    country: 'US',
    accelerator: 'A100-80GB-SXM',
    count: 1,
    vramGiB: 80,
    interconnect: alone,
    vcpus: 16,
    ramGiB: 120,
    priceUsdPerHour: '1.59',
    stock: 8,
    bootMs: [40_000, 120_000],
  },
  {
    ...nvidia,
    name: 'l4-1x',
    region: 'us-east-1',
    country: 'US',
    accelerator: 'L4',
    count: 1,
    vramGiB: 24,
    interconnect: alone,
    vcpus: 8,
    ramGiB: 32,
    priceUsdPerHour: '0.71',
    stock: 16,
    bootMs: [30_000, 90_000],
  },
  {
    ...nvidia,
    name: 'cpu-8',
    region: 'us-east-1',
    country: 'US',
    accelerator: 'CPU',
    acceleratorVendor: 'cpu',
    count: 0,
    vramGiB: 0,
    interconnect: alone,
    vcpus: 8,
    ramGiB: 32,
    priceUsdPerHour: '0.34',
    stock: 32,
    bootMs: [15_000, 45_000],
  },
];

/** Key of a SKU in stock keeping. */
export function skuKey(sku: Pick<Sku, 'name' | 'region'>): string {
  return `${sku.name}@${sku.region}`;
}

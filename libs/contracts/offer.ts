import { z } from 'zod';
import { computeCapability } from '#hardware';

/** How GPUs of one machine talk to each other. `nvswitch` means every pair at full NVLink speed. */
export const intraNodeLinks = [
  'none',
  'pcie3',
  'pcie4',
  'pcie5',
  'nvlink',
  'nvswitch',
  'xgmi',
  'ici',
  'neuronlink',
  'roce-on-chip',
  'unknown',
] as const;
export type IntraNodeLink = (typeof intraNodeLinks)[number];

/** How machines talk to each other. */
export const interNodeFabrics = ['unknown', 'ethernet', 'roce', 'infiniband', 'efa'] as const;

export const interconnectSchema = z.object({
  intraNode: z.enum(intraNodeLinks),
  /** GB/s per GPU, both directions together; null = unknown or one GPU. */
  intraNodeGBps: z.number().nonnegative().nullable(),
  interNode: z.enum(interNodeFabrics),
  /** Gbit/s per machine; null = unknown. */
  interNodeGbps: z.number().nonnegative().nullable(),
});
export type Interconnect = z.infer<typeof interconnectSchema>;

export const pricingModels = ['on-demand', 'spot', 'reserved-1y', 'reserved-3y'] as const;
export type PricingModel = (typeof pricingModels)[number];

export const providerKinds = ['hyperscaler', 'bare-metal', 'decentralized', 'serverless'] as const;
export type ProviderKind = (typeof providerKinds)[number];

/**
 * What keeps the work of one tenant on an accelerator apart from that of others, the most first. `mig`: a partition in hardware, with
 * memory, caches and compute of its own; the board's power, clocks and a fault of the whole GPU are shared. `time-slice`: turns on one
 * GPU; nothing keeps memory or faults apart. `unknown`: a part of which nobody says how it is cut; counts as a time slice.
 */
export const isolations = ['whole-gpu', 'mig', 'time-slice', 'unknown'] as const;
export type Isolation = (typeof isolations)[number];

export const acceleratorVendors = ['nvidia', 'amd', 'google', 'aws', 'intel', 'qualcomm', 'cpu'] as const;
export type AcceleratorVendor = (typeof acceleratorVendors)[number];

/** Versions as dotted numbers ("550.54.14"), as the source of the offer states them; absent = not known. */
export const offerSoftwareSchema = z.object({
  driver: z.string().optional().describe('As the source of the offer states it; absent = not known'),
  cuda: z.string().optional().describe('The newest CUDA version that the driver runs, as stated'),
  rocm: z.string().optional().describe('As stated'),
  /** In an offer only where it differs from what the accelerator's name says. */
  computeCapability: z.string().optional().describe('Of the accelerator; known for all of NVIDIA’s'),
});
export type OfferSoftware = Readonly<z.infer<typeof offerSoftwareSchema>>;

/**
 * Something that can be rented now: one machine of one SKU at one place and price.
 * `listed` offers are visible and comparable but have no adapter; only `rentable` ones are ever leased.
 */
export interface Offer {
  /** Stable across observations of the same thing: `<source>:<provider>/<sku>/<region>/<pricing>`; for hosts and warm leases their own id. */
  readonly id: string;
  /** Connected provider (`prv_...`) for rentable offers, else the market name ("aws", "runpod"). */
  readonly providerId: string;
  readonly providerKind: ProviderKind;
  readonly sku: string;
  readonly region: string;
  readonly zone: string | null;
  readonly country: string | null;
  /** Canonical accelerator name from `#hardware` ("H100-SXM", "A100-80GB-SXM", "T4", "TPU-v5e", "CPU"). */
  readonly accelerator: string;
  readonly acceleratorVendor: AcceleratorVendor;
  /** Accelerators per machine; 0 for CPU machines; below 1 for a fraction. */
  readonly count: number;
  /** Per accelerator; of a part of one what it has, or of a time slice what it may use. */
  readonly vramGiB: number;
  /** Absent: accelerators as a whole, or parts of which nothing is known; see `isolationOf`. */
  readonly isolation?: 'mig' | 'time-slice';
  readonly interconnect: Interconnect;
  readonly vcpus: number | null;
  readonly ramGiB: number | null;
  /** What is installed, as far as it is known; absent = nothing is. */
  readonly software?: OfferSoftware;
  readonly pricing: PricingModel;
  /** Nano-dollars per hour for the whole machine. */
  readonly pricePerHour: bigint;
  /** Vendor's least billed time and step, seconds. */
  readonly billing: { readonly minimumS: number; readonly incrementS: number };
  /** Machines that can be had now; null = unknown. */
  readonly stock: number | null;
  readonly status: 'listed' | 'rentable';
  readonly source: string;
  readonly observedAtMs: number;
  /** 0..1: how far the numbers can be believed (age, source kind, known contradictions). */
  readonly confidence: number;
  /** Reasons why this offer must not win although it is listed ("spot price below any plausible GPU price: region has no such GPU"). Empty = none. */
  readonly doubts: readonly string[];
  /** Certificates of the operator ("soc2", "hipaa", "iso27001"), lower case. */
  readonly certifications: readonly string[];
  /** A warm lease or a registered host publishes itself; placement never looks up. */
  readonly via:
    | { readonly kind: 'market' }
    | { readonly kind: 'host'; readonly hostId: string }
    | { readonly kind: 'warm-lease'; readonly leaseId: string; readonly projectId: string };
}

const price = z.string().meta({ description: 'Nano-dollars per hour, whole machine' });

/** An offer as the API shows it. */
export const offerView = z
  .object({
    id: z.string(),
    providerId: z.string(),
    providerKind: z.enum(providerKinds),
    sku: z.string(),
    region: z.string(),
    zone: z.string().nullable(),
    country: z.string().nullable(),
    accelerator: z.string(),
    acceleratorVendor: z.enum(acceleratorVendors),
    count: z.number(),
    vramGiB: z.number(),
    isolation: z.enum(isolations).nullable().meta({
      description:
        'What keeps your work apart from that of others on an accelerator: `mig` has memory and compute of its own in hardware and shares power and faults of the whole GPU; `time-slice` takes turns, with no isolation of memory or faults; null = no accelerator',
    }),
    interconnect: interconnectSchema,
    vcpus: z.number().nullable(),
    ramGiB: z.number().nullable(),
    software: offerSoftwareSchema.optional(),
    pricing: z.enum(pricingModels),
    pricePerHour: price,
    pricePerGpuHour: price.nullable(),
    stock: z.number().nullable(),
    status: z.enum(['listed', 'rentable']),
    source: z.string(),
    observedAt: z.iso.datetime(),
    confidence: z.number(),
    doubts: z.array(z.string()),
    certifications: z.array(z.string()),
  })
  .meta({ id: 'Offer' });
export type OfferView = z.infer<typeof offerView>;

/** One change of what an offer costs, as the API shows it. */
export const priceEventView = z
  .object({
    at: z.iso.datetime(),
    kind: z
      .enum(['listed', 'changed', 'gone'])
      .describe('`listed`: there from now on; `changed`: another price or availability; `gone`: out of the catalog'),
    pricePerHour: price,
    stock: z.number().nullable().describe('Machines at that moment; null = unknown'),
    available: z.boolean().describe('In stock and without a doubt'),
    source: z.string(),
    why: z.string().nullable().describe('Why it is gone or not available, where that is known'),
  })
  .meta({ id: 'PriceEvent' });
export type PriceEventView = z.infer<typeof priceEventView>;

/** What keeps work on an offer apart from that of others; null = it has no accelerator. */
export function isolationOf(offer: Pick<Offer, 'count' | 'isolation'>): Isolation | null {
  if (offer.count <= 0) return null;
  return offer.isolation ?? (offer.count < 1 ? 'unknown' : 'whole-gpu');
}

/** Price per accelerator-hour (per whole accelerator for fractions); null for CPU machines. */
export function pricePerGpuHour(offer: Pick<Offer, 'pricePerHour' | 'count'>): bigint | null {
  if (offer.count <= 0) return null;
  return (offer.pricePerHour * 1_000n) / BigInt(Math.round(offer.count * 1_000));
}

/** What is stated, and what the accelerator's name says by itself. */
function softwareView({ accelerator, software }: Offer): Pick<OfferView, 'software'> {
  const capability = software?.computeCapability ?? computeCapability(accelerator);
  if (!software && capability === null) return {};
  return { software: { ...software, ...(capability === null ? {} : { computeCapability: capability }) } };
}

export function toOfferView(o: Offer): OfferView {
  return {
    id: o.id,
    providerId: o.providerId,
    providerKind: o.providerKind,
    sku: o.sku,
    region: o.region,
    zone: o.zone,
    country: o.country,
    accelerator: o.accelerator,
    acceleratorVendor: o.acceleratorVendor,
    count: o.count,
    vramGiB: o.vramGiB,
    isolation: isolationOf(o),
    interconnect: o.interconnect,
    vcpus: o.vcpus,
    ramGiB: o.ramGiB,
    ...softwareView(o),
    pricing: o.pricing,
    pricePerHour: o.pricePerHour.toString(),
    pricePerGpuHour: pricePerGpuHour(o)?.toString() ?? null,
    stock: o.stock,
    status: o.status,
    source: o.source,
    observedAt: new Date(o.observedAtMs).toISOString(),
    confidence: o.confidence,
    doubts: [...o.doubts],
    certifications: [...o.certifications],
  };
}

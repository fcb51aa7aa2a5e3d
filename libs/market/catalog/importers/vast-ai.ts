import type { Interconnect, OfferSoftware } from '#contracts';
import { accelerator, computeCapability, normalizeAccelerator } from '#hardware';
import { usdFromNumber } from '#kernel';
import { z } from 'zod';
import { isVersion } from './csv.js';
import { elements } from './json.js';
import { interconnectOf, OfferList, unknownGpu, type ImportResult } from './offer-list.js';

const price = z.number().gt(-1e9).lt(1e9);
const version = z.union([z.number().nonnegative(), z.string()]);

/** The fields that are read; prices are for the whole offer, memory is in MB, of one GPU and of the share of the machine. */
const ask = z.object({
  id: z.union([z.int().nonnegative(), z.string().regex(/^\d{1,20}$/)]),
  gpu_name: z.string().max(100),
  num_gpus: z.int().positive().max(1_024),
  gpu_ram: z.number().positive(),
  dph_total: price,
});
const told = z.object({
  min_bid: price.nullish().catch(null),
  cpu_cores_effective: z.number().positive().nullish().catch(null),
  cpu_ram: z.number().positive().nullish().catch(null),
  geolocation: z.string().max(100).nullish().catch(null),
  bw_nvlink: z.number().nullish().catch(null),
  pci_gen: z.number().nullish().catch(null),
  cuda_max_good: version.nullish().catch(null),
  driver_version: z.string().nullish().catch(null),
  compute_cap: z.number().nullish().catch(null),
  verification: z.string().nullish().catch(null),
  rentable: z.boolean().nullish().catch(null),
});
type Told = z.infer<typeof told>;

export const VAST_AI_FIELDS: readonly string[] = Object.keys(ask.shape);
export const VAST_AI_OPTIONAL: readonly string[] = Object.keys(told.shape);

/** Of a host that the marketplace has checked, and of any other. */
const CHECKED = 0.7;
const UNCHECKED = 0.4;
const MIB_PER_GIB = 1_024;

/**
 * Asks of the marketplace, as its search answers them. Hosts state their driver and the newest CUDA version that it runs: of few other
 * lists is that known.
 */
export function importVastAi(json: string, observedAtMs: number): ImportResult {
  const list = new OfferList('vast-ai', observedAtMs);
  elements(json, 'offers', 'offers').forEach((item, index) => {
    // Elements of the array count as lines.
    const line = index + 1;
    const { data: o, error } = ask.safeParse(item);
    if (!o) {
      const [issue] = error.issues;
      return list.skip(line, `${issue?.path.join('.') || 'the element'}: ${issue?.message ?? 'cannot be read'}`);
    }
    const more = told.parse(item);
    const sku = `ask-${o.id}`;
    if (more.rentable === false) return list.skip(line, `${sku}: cannot be rented now`);
    const vramGiB = o.gpu_ram / MIB_PER_GIB;
    const canonical = normalizeAccelerator(o.gpu_name.replaceAll('_', ' '), { vramGiB });
    if (canonical === null) return list.skip(line, `${sku}: ${unknownGpu(o.gpu_name)}`);
    const place = placeOf(more.geolocation ?? '');
    const machine = {
      provider: 'vast-ai',
      providerKind: 'decentralized',
      sku,
      ...place,
      accelerator: canonical,
      count: o.num_gpus,
      statedVramGiB: vramGiB,
      interconnect: linksOf(canonical, o.num_gpus, more),
      vcpus: more.cpu_cores_effective ?? null,
      ramGiB: more.cpu_ram == null ? null : more.cpu_ram / MIB_PER_GIB,
      software: softwareOf(canonical, more),
      billing: { minimumS: 1, incrementS: 1 },
      confidence: more.verification === 'verified' ? CHECKED : UNCHECKED,
    } as const;
    list.add(line, { ...machine, pricing: 'on-demand', pricePerHour: usdFromNumber(o.dph_total) });
    // The least bid is what an interruptible machine costs until somebody bids more.
    if (more.min_bid != null && more.min_bid > 0)
      list.add(line, { ...machine, pricing: 'spot', pricePerHour: usdFromNumber(more.min_bid) });
  });
  return list.result();
}

/** "Sweden, SE", ", US" or "US". */
function placeOf(text: string): { region: string; country: string | null } {
  const country = /(?:^|,\s*)([A-Z]{2})$/.exec(text.trim())?.[1] ?? null;
  const region = text.split(',')[0]?.trim() ?? '';
  return { region: region === '' ? (country ?? 'unknown') : region, country };
}

/** Speeds between GPUs are measured there: where NVLink was found, it is that; else the bus, by its generation. */
function linksOf(canonical: string, count: number, o: Told): Interconnect {
  const fabric = { interNode: 'unknown', interNodeGbps: null } as const;
  const own = accelerator(canonical)?.link;
  if (count <= 1 || own === 'nvswitch' || own === 'xgmi') return interconnectOf(canonical, count, fabric);
  if ((o.bw_nvlink ?? 0) > 0)
    return own === 'nvlink'
      ? interconnectOf(canonical, count, fabric)
      : { intraNode: 'nvlink', intraNodeGBps: null, ...fabric };
  const bus = ([3, 4, 5] as const).find((generation) => generation === Math.floor(o.pci_gen ?? 0));
  return bus === undefined
    ? interconnectOf(canonical, count, fabric, 'unknown')
    : { intraNode: `pcie${bus}`, intraNodeGBps: null, ...fabric };
}

/** What a host says is installed; of other makers' cards the figures mean something else. */
function softwareOf(canonical: string, o: Told): OfferSoftware {
  if (accelerator(canonical)?.vendor !== 'nvidia') return {};
  const driver = o.driver_version?.trim() ?? '';
  // 13 and 12.4 are told as numbers; a capability of 8.6 as 860, and only one that the card's name does not tell is kept.
  const cuda = typeof o.cuda_max_good === 'number' ? o.cuda_max_good.toFixed(1) : (o.cuda_max_good?.trim() ?? '');
  const capability = o.compute_cap == null ? '' : (o.compute_cap / 100).toFixed(1);
  return {
    ...(isVersion(driver) ? { driver } : {}),
    ...(isVersion(cuda) && Number(cuda) > 0 ? { cuda } : {}),
    ...(Number(capability) > 0 && capability !== computeCapability(canonical) ? { computeCapability: capability } : {}),
  };
}

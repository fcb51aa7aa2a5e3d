import type { CatalogFormat, CatalogFormatView, Offer } from '#contracts';
import { AWS_COLUMNS, AWS_TYPE_COLUMNS, importAws } from './aws.js';
import { AZURE_COLUMNS, importAzure } from './azure.js';
import { BERTH_CSV_COLUMNS, BERTH_CSV_OPTIONAL, importBerthCsv } from './berth-csv.js';
import { FSDL_COLUMNS, FSDL_SERVERLESS_COLUMNS, importFsdlCloud, importFsdlServerless } from './fsdl.js';
import { GCP_COLUMNS, GCP_ZONE_COLUMNS, importGcp } from './gcp.js';
import { GPU_PRICING_FIELDS, importGpuPricing } from './gpu-pricing.js';
import type { ImportResult } from './offer-list.js';
import { snapshotText } from './snapshot.js';
import { importVastAi, VAST_AI_FIELDS, VAST_AI_OPTIONAL } from './vast-ai.js';

interface Format extends Omit<CatalogFormatView, 'name' | 'companion' | 'optionalColumns'> {
  readonly optionalColumns?: string[];
  readonly companion?: NonNullable<CatalogFormatView['companion']> & {
    /** The file of the snapshot that stands in for it. */
    readonly shipped: string;
  };
  readonly read: (text: string, companion: string, observedAtMs: number) => ImportResult;
}

const formats: Readonly<Record<CatalogFormat, Format>> = {
  'berth-csv': {
    file: 'Berth’s own CSV, for any vendor: one machine type at one price per line',
    columns: [...BERTH_CSV_COLUMNS],
    optionalColumns: [...BERTH_CSV_OPTIONAL],
    read: (text, _, at) => importBerthCsv(text, at),
  },
  aws: {
    file: 'CSV of EC2 on-demand prices, as in the price table of aws/karpenter-provider-aws',
    columns: [...AWS_COLUMNS],
    companion: {
      file: 'CSV of EC2 instance types with their GPUs (labels of the same project)',
      columns: [...AWS_TYPE_COLUMNS],
      shipped: 'aws_gpu_instance_types.csv',
    },
    read: (text, types, at) => importAws(types, text, at),
  },
  azure: {
    file: 'CSV of on-demand prices of Azure’s N sizes, as in the price table of Azure/karpenter-provider-azure',
    columns: [...AZURE_COLUMNS],
    read: (text, _, at) => importAzure(text, at),
  },
  gcp: {
    file: 'CSV of Compute Engine’s GPU machine types, from pricing.yml of Cyclenerd/google-cloud-pricing-cost-calculator',
    columns: [...GCP_COLUMNS],
    companion: {
      file: 'CSV, with semicolons, of the zones in which an accelerator exists',
      columns: [...GCP_ZONE_COLUMNS],
      shipped: 'gcp_accelerator_zones.csv',
    },
    read: (text, zones, at) => importGcp(text, zones, at),
  },
  'gpu-pricing': {
    file: 'offerings.json of tardellirs/gpu-pricing: an array; each element tells its day',
    columns: [...GPU_PRICING_FIELDS],
    companion: {
      file: 'providers.json of the same project: an array',
      columns: ['id'],
      shipped: 'tardellirs_providers.json',
    },
    read: (text, providers) => importGpuPricing(text, providers),
  },
  'vast-ai': {
    file: 'JSON of the search of vast.ai (`vastai search offers --raw`): an array, or an object that has it as `offers`',
    columns: [...VAST_AI_FIELDS],
    optionalColumns: [...VAST_AI_OPTIONAL],
    read: (text, _, at) => importVastAi(text, at),
  },
  fsdl: {
    file: 'cloud-gpus.csv of the-full-stack/website',
    columns: [...FSDL_COLUMNS],
    read: (text, _, at) => importFsdlCloud(text, at),
  },
  'fsdl-serverless': {
    file: 'serverless-gpus.csv of the-full-stack/website',
    columns: [...FSDL_SERVERLESS_COLUMNS],
    read: (text, _, at) => importFsdlServerless(text, at),
  },
};

/** What each format is and must hold. */
export function formatList(): CatalogFormatView[] {
  return Object.entries(formats).map(([name, { file, columns, optionalColumns = [], companion }]) => ({
    // The keys of the table are the names.
    name: name as CatalogFormat,
    file,
    columns,
    optionalColumns,
    companion: companion ? { file: companion.file, columns: companion.columns } : null,
  }));
}

/** The lines of a list: what they offer, and which became no offer. */
export interface PriceList {
  /** Also those without a price above zero, for the quarantine. */
  readonly offers: readonly Offer[];
  readonly rejections: readonly { readonly line: number; readonly reason: string }[];
}

/** Reads a file of a format; without its companion with the one that ships. Throws a DomainError for a file of another format. */
export async function readPriceList(
  format: CatalogFormat,
  file: { readonly text: string; readonly companion: string | null; readonly observedAtMs: number },
): Promise<PriceList> {
  const { companion, read } = formats[format];
  const beside = companion ? (file.companion ?? (await snapshotText(companion.shipped))) : '';
  const { offers, skipped, unpriced = [] } = read(file.text, beside, file.observedAtMs);
  const priced = new Set(offers.map(({ id }) => id));
  const alone = unpriced.filter(({ offer }) => !priced.has(offer.id));
  const aside = new Set(alone.map(({ line }) => line));
  return {
    offers: doubtDearSpot([...offers, ...alone.map(({ offer }) => offer)]),
    rejections: skipped
      .filter(({ line, reason }) => !(aside.has(line) && reason.endsWith('price is not above zero')))
      .map(({ line, reason }) => ({ line, reason: reason.slice(0, REASON_MOST) })),
  };
}

/** A cell may hold anything: of a reason so many characters are shown. */
const REASON_MOST = 300;
const DEAR = 'spot costs more than on-demand';

/** Spot that costs more than the same machine on demand in the same list gets a doubt: nobody would take it, so something is wrong. */
export function doubtDearSpot(list: readonly Offer[]): readonly Offer[] {
  const firm = new Map<string, bigint>();
  for (const offer of list) {
    const before = firm.get(machineOf(offer));
    if (
      offer.pricing === 'on-demand' &&
      offer.pricePerHour > 0n &&
      (before === undefined || offer.pricePerHour < before)
    )
      firm.set(machineOf(offer), offer.pricePerHour);
  }
  return list.map((offer) => {
    const onDemand = firm.get(machineOf(offer));
    const dear = offer.pricing === 'spot' && onDemand !== undefined && offer.pricePerHour > onDemand;
    if (!dear || offer.doubts.some((doubt) => doubt.startsWith(DEAR))) return offer;
    return { ...offer, doubts: [...offer.doubts, `${DEAR} of the same machine`] };
  });
}

const machineOf = (o: Offer): string =>
  [o.providerId, o.sku, o.region, o.zone ?? '', o.accelerator, o.count, o.vcpus ?? '', o.ramGiB ?? ''].join('\n');

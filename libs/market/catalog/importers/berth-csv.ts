import {
  intraNodeLinks,
  pricingModels,
  providerKinds,
  type Interconnect,
  type OfferSoftware,
  type ProviderKind,
} from '#contracts';
import { accelerator, normalizeAccelerator } from '#hardware';
import { amount, isVersion, rows, stated } from './csv.js';
import { interconnectOf, OfferList, unknownGpu, type ImportResult, type Listing } from './offer-list.js';

type Cell = (name: string) => string;

export const BERTH_CSV_COLUMNS = ['provider', 'sku', 'region', 'gpu', 'count', 'pricePerHourUsd'] as const;
export const BERTH_CSV_OPTIONAL = [
  'zone',
  'country',
  'vramGiB',
  'interconnect',
  'vcpus',
  'ramGiB',
  'driver',
  'cuda',
  'rocm',
  'pricing',
  'observedAt',
  'providerKind',
] as const;

const hyperscalers: ReadonlySet<string> = new Set([
  'aws',
  'azure',
  'gcp',
  'oracle-cloud',
  'alibaba-cloud',
  'ibm-cloud',
]);
/** What somebody wrote into a table: above lists of uncertain age, below a cloud's own. */
const CONFIDENCE = 0.8;

/** One machine type at one price per line, in columns of our own: for any vendor that has no format. */
export function importBerthCsv(csv: string, observedAtMs: number): ImportResult {
  const list = new OfferList('berth-csv', observedAtMs);
  const names = new Map<string, string | null>();
  // Long lists name few GPUs, and a name costs more to read than its line.
  const nameOf = (gpu: string, vramGiB: number | null): string | null => {
    const key = `${gpu}\n${vramGiB ?? ''}`;
    const known = names.get(key);
    if (known !== undefined) return known;
    const name = normalizeAccelerator(gpu, vramGiB === null ? {} : { vramGiB });
    names.set(key, name);
    return name;
  };
  for (const { line, cell } of rows(csv, ',', BERTH_CSV_COLUMNS)) {
    const listing = listingOf(cell, nameOf);
    if (typeof listing === 'string') list.skip(line, listing);
    else list.add(line, listing);
  }
  return list.result();
}

/** A line as it is to be listed, or what is wrong with it. */
function listingOf(cell: Cell, nameOf: (gpu: string, vramGiB: number | null) => string | null): Listing | string {
  const [provider, sku, region, gpu] = [cell('provider'), cell('sku'), cell('region'), cell('gpu')];
  if (sku === '' || region === '') return `the ${sku === '' ? 'sku' : 'region'} is not given`;
  const vram = stated(cell('vramGiB'));
  const canonical = nameOf(gpu, vram);
  if (canonical === null) return `${sku}: ${unknownGpu(gpu)}`;
  const count = Number(cell('count') || 'none');
  if (!(count > 0 && count <= 1_024)) return `${sku}: "${cell('count')}" is no count of GPUs`;
  const pricePerHour = amount(cell('pricePerHourUsd'));
  if (pricePerHour === null) return `${sku}: "${cell('pricePerHourUsd')}" is no price`;
  const pricing = pricingModels.find((model) => model === (cell('pricing') || 'on-demand'));
  if (pricing === undefined) return `${sku}: the pricing "${cell('pricing')}" is none of ${pricingModels.join(', ')}`;
  const kind = kindOf(provider, cell('providerKind'));
  if (kind === null) return `${sku}: "${cell('providerKind')}" is none of ${providerKinds.join(', ')}`;
  const country = cell('country').toUpperCase();
  if (!/^([A-Z]{2})?$/.test(country)) return `${sku}: "${cell('country')}" is no country of two letters`;
  const interconnect = linksOf(canonical, count, cell('interconnect'));
  if (interconnect === null)
    return `${sku}: the link "${cell('interconnect')}" is none of ${intraNodeLinks.join(', ')}`;
  const software = softwareOf(cell);
  if (typeof software === 'string') return `${sku}: ${software}`;
  const observedAtMs = cell('observedAt') === '' ? undefined : Date.parse(cell('observedAt'));
  if (Number.isNaN(observedAtMs)) return `${sku}: "${cell('observedAt')}" is no time such as 2026-11-21T10:00:00Z`;
  return {
    provider,
    providerKind: kind,
    sku,
    region,
    zone: cell('zone') || null,
    country: country || null,
    accelerator: canonical,
    count,
    statedVramGiB: vram,
    interconnect,
    vcpus: stated(cell('vcpus')),
    ramGiB: stated(cell('ramGiB')),
    software,
    pricing,
    pricePerHour,
    billing: { minimumS: 60, incrementS: 60 },
    confidence: CONFIDENCE,
    ...(observedAtMs === undefined ? {} : { observedAtMs }),
  };
}

/** The versions that a line states, or what is wrong with one. */
function softwareOf(cell: Cell): OfferSoftware | string {
  const stated: Record<string, string> = {};
  for (const what of ['driver', 'cuda', 'rocm'] as const) {
    const version = cell(what);
    if (version === '') continue;
    if (!isVersion(version)) return `the ${what} "${version}" is no version such as 550.54.14`;
    stated[what] = version;
  }
  return stated;
}

function kindOf(provider: string, text: string): ProviderKind | null {
  if (text === '') return hyperscalers.has(provider) ? 'hyperscaler' : 'bare-metal';
  return providerKinds.find((kind) => kind === text) ?? null;
}

/** The link by its name; its speed where it is the card's own. Not given = not known. */
function linksOf(canonical: string, count: number, text: string): Interconnect | null {
  const fabric = { interNode: 'unknown', interNodeGbps: null } as const;
  const link = intraNodeLinks.find((name) => name === (text || 'unknown'));
  if (link === undefined) return null;
  if (link === 'unknown') return interconnectOf(canonical, count, fabric, 'unknown');
  const own = interconnectOf(canonical, count, fabric);
  return accelerator(canonical)?.link === link || count <= 1
    ? own
    : { ...fabric, intraNode: link, intraNodeGBps: null };
}

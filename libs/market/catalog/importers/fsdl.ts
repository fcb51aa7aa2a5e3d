import type { PricingModel, ProviderKind } from '#contracts';
import { accelerator, normalizeAccelerator } from '#hardware';
import { amount, rows, stated } from './csv.js';
import { interconnectOf, OfferList, unknownGpu, type ImportResult } from './offer-list.js';

type Cell = (name: string) => string;

const hyperscalers: ReadonlySet<string> = new Set(['AWS', 'GCP', 'Oracle Cloud', 'Azure']);
/** Hand-kept lists, many rows years old: visible for comparison, hardly believed. */
const CONFIDENCE = 0.35;

interface Machine {
  readonly canonical: string;
  readonly count: number;
  readonly statedVramGiB: number | null;
  readonly formKnown: boolean;
}

/** "A100 (80 GB)" with GPUs and the memory of all of them. Older clouds put V100 into PCIe slots, so their link is unknown. */
function machineOf(cell: Cell, name: string): Machine | string {
  const raw = cell('GPU Type');
  const count = stated(cell('GPUs'));
  if (count === null) return 'no GPU count';
  // GPU RAM is the total of the instance; the name's own figure goes first where there is one.
  const total = stated(cell('GPU RAM'));
  const perGpu = total === null ? undefined : total / count;
  const hints = { vramGiB: perGpu, instance: name };
  const canonical = normalizeAccelerator(raw, hints);
  if (canonical === null) return unknownGpu(raw);
  const named = /\((\d+)\s*GB\)/.exec(raw)?.[1];
  const contradicts = perGpu !== undefined && named !== undefined && Math.abs(perGpu - Number(named)) > 1;
  const asSxm = normalizeAccelerator(raw, { ...hints, form: 'SXM' });
  const isV100 = accelerator(canonical)?.family === 'V100';
  return {
    canonical,
    count,
    statedVramGiB: contradicts ? Number(named) : (perGpu ?? null),
    formKnown: asSxm === canonical && (!isV100 || hyperscalers.has(cell('Cloud'))),
  };
}

function add(
  list: OfferList,
  line: number,
  cell: Cell,
  provider: string,
  kind: ProviderKind,
  prices: readonly (readonly [PricingModel, string])[],
): void {
  const name = cell('Name');
  const machine = machineOf(cell, name);
  if (typeof machine === 'string') return list.skip(line, `${provider} ${cell('GPU Type')}: ${machine}`);
  const priced = prices.flatMap(([pricing, text]) => {
    const pricePerHour = amount(text);
    return pricePerHour === null ? [] : [{ pricing, pricePerHour }];
  });
  if (priced.length === 0) return list.skip(line, `${provider} ${name || cell('GPU Type')}: no price for the instance`);
  const firm = priced.find((p) => p.pricing === 'on-demand' && p.pricePerHour > 0n)?.pricePerHour;
  const vcpus = stated(cell('vCPUs'));
  // One machine type carries several GPUs at Google, and some clouds name nothing.
  const sku = [name, `${machine.canonical}x${machine.count}`, name === '' ? `${vcpus ?? 0}cpu` : '']
    .filter((s) => s !== '')
    .join('+');
  for (const { pricing, pricePerHour } of priced) {
    const dearSpot = pricing === 'spot' && firm !== undefined && pricePerHour > firm;
    list.add(line, {
      provider: provider.toLowerCase().replace(/[^a-z0-9]+/g, '-'),
      providerKind: kind,
      sku,
      region: 'unknown',
      country: null,
      accelerator: machine.canonical,
      count: machine.count,
      statedVramGiB: machine.statedVramGiB,
      interconnect: interconnectOf(
        machine.canonical,
        machine.count,
        { interNode: 'unknown', interNodeGbps: null },
        machine.formKnown ? undefined : 'unknown',
      ),
      vcpus,
      ramGiB: stated(cell('RAM')),
      pricing,
      pricePerHour,
      billing: kind === 'serverless' ? { minimumS: 1, incrementS: 1 } : { minimumS: 60, incrementS: 60 },
      confidence: CONFIDENCE,
      doubts: dearSpot ? ['spot costs more than on-demand of the same machine'] : [],
    });
  }
}

export const FSDL_COLUMNS = [
  'Cloud',
  'GPU Type',
  'GPUs',
  'GPU RAM',
  'vCPUs',
  'RAM',
  'On-demand',
  'Spot',
  'Name',
] as const;
export const FSDL_SERVERLESS_COLUMNS = ['Vendor', 'GPU Type', 'GPUs', 'GPU RAM', 'vCPUs', 'RAM', 'Per-Hour'] as const;

/** Cloud GPU comparison of Full Stack Deep Learning: on-demand and, where given, spot. */
export function importFsdlCloud(csv: string, observedAtMs: number): ImportResult {
  const list = new OfferList('fsdl-cloud', observedAtMs);
  for (const { line, cell } of rows(csv, ',', FSDL_COLUMNS)) {
    const cloud = cell('Cloud');
    add(list, line, cell, cloud, hyperscalers.has(cloud) ? 'hyperscaler' : 'bare-metal', [
      ['on-demand', cell('On-demand')],
      ['spot', cell('Spot')],
    ]);
  }
  return list.result();
}

/** The same for serverless vendors: price per hour of running time. */
export function importFsdlServerless(csv: string, observedAtMs: number): ImportResult {
  const list = new OfferList('fsdl-serverless', observedAtMs);
  for (const { line, cell } of rows(csv, ',', FSDL_SERVERLESS_COLUMNS)) {
    add(list, line, cell, cell('Vendor'), 'serverless', [['on-demand', cell('Per-Hour')]]);
  }
  return list.result();
}

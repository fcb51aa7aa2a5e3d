import { decodeAzureSize } from './azure-sku.js';
import { amount, rows } from './csv.js';
import { interconnectOf, OfferList, type ImportResult } from './offer-list.js';
import { countryOf } from './regions.js';

export const AZURE_COLUMNS = ['region', 'sku', 'on_demand_usd_per_hour'] as const;

/** Azure on-demand prices; the hardware is read from the size's name, memory of the host is not told. Billed by the second. */
export function importAzure(onDemandCsv: string, observedAtMs: number): ImportResult {
  const list = new OfferList('azure-vm', observedAtMs);
  for (const { line, cell } of rows(onDemandCsv, ',', AZURE_COLUMNS)) {
    const sku = cell('sku');
    const size = decodeAzureSize(sku);
    if (typeof size === 'string') {
      list.skip(line, `${sku}: ${size}`);
      continue;
    }
    const price = cell('on_demand_usd_per_hour');
    const pricePerHour = amount(price);
    if (pricePerHour === null) {
      list.skip(line, `${sku}: "${price}" is no price`);
      continue;
    }
    const link = size.pcieOnly ? ({ intraNode: 'pcie3', intraNodeGBps: 32 } as const) : undefined;
    list.add(line, {
      provider: 'azure',
      providerKind: 'hyperscaler',
      sku,
      region: cell('region'),
      country: countryOf('azure', cell('region')),
      accelerator: size.accelerator,
      count: size.count,
      statedVramGiB: null,
      interconnect: interconnectOf(size.accelerator, size.count, size.fabric, link),
      vcpus: size.vcpus,
      ramGiB: null,
      pricing: 'on-demand',
      pricePerHour,
      billing: { minimumS: 1, incrementS: 1 },
      confidence: 0.9,
    });
  }
  return list.result();
}

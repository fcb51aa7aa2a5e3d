import type { Interconnect } from '#contracts';
import { accelerator, normalizeAccelerator } from '#hardware';
import { amount, rows } from './csv.js';
import { interconnectOf, OfferList, unknownGpu, type ImportResult } from './offer-list.js';
import { countryOf } from './regions.js';

interface InstanceType {
  readonly accelerator: string;
  readonly count: number;
  readonly statedVramGiB: number | null;
  readonly vcpus: number;
  readonly ramGiB: number;
  readonly fabric: Pick<Interconnect, 'interNode' | 'interNodeGbps'>;
}

/** [accelerator, count, vcpus, ramGiB, network Gbit/s, EFA]: types that are priced but missing in the list of types (EC2 documentation). */
const olderTypes: Readonly<Record<string, readonly [string, number, number, number, number, boolean]>> = {
  'dl1.24xlarge': ['Gaudi1', 8, 96, 768, 400, true],
  'g2.2xlarge': ['K520', 1, 8, 15, 1, false],
  'g2.8xlarge': ['K520', 4, 32, 60, 10, false],
  'g3s.xlarge': ['M60', 1, 4, 30.5, 10, false],
  'g3.4xlarge': ['M60', 1, 16, 122, 10, false],
  'g3.8xlarge': ['M60', 2, 32, 244, 10, false],
  'g3.16xlarge': ['M60', 4, 64, 488, 25, false],
  'p2.xlarge': ['K80', 1, 4, 61, 1, false],
  'p2.8xlarge': ['K80', 8, 32, 488, 10, false],
  'p2.16xlarge': ['K80', 16, 64, 732, 25, false],
  'p3.2xlarge': ['V100-16GB', 1, 8, 61, 10, false],
  'p3.8xlarge': ['V100-16GB', 4, 32, 244, 10, false],
  'p3.16xlarge': ['V100-16GB', 8, 64, 488, 25, false],
};

const fabricOf = (gbps: number, efa: boolean): InstanceType['fabric'] => ({
  interNode: efa ? 'efa' : 'ethernet',
  interNodeGbps: gbps > 0 ? gbps : null,
});

/** Slices of a GPU are listed with count 0 and their own memory; AWS cuts in powers of two. */
function sliceOf(nominalGiB: number, sliceGiB: number): number {
  return 2 ** Math.round(Math.log2(sliceGiB / nominalGiB));
}

/** Instance types by name, or the reason why a type cannot be read. */
function readTypes(csv: string): Map<string, InstanceType | string> {
  const types = new Map<string, InstanceType | string>();
  for (const [name, [acc, count, vcpus, ramGiB, gbps, efa]] of Object.entries(olderTypes)) {
    types.set(name, { accelerator: acc, count, statedVramGiB: null, vcpus, ramGiB, fabric: fabricOf(gbps, efa) });
  }
  for (const { cell } of rows(csv, ',', AWS_TYPE_COLUMNS)) {
    const name = cell('instance_type');
    const raw = cell('gpu_name') || cell('accelerator_name');
    // gpu_memory_mib is per GPU, not the sum of the instance.
    const vram = cell('gpu_memory_mib') === '' ? null : Number(cell('gpu_memory_mib')) / 1024;
    const listed = Number(cell('gpu_count') || cell('accelerator_count') || '0');
    const canonical = normalizeAccelerator(raw, {
      instance: name,
      ...(vram !== null && listed > 0 ? { vramGiB: vram } : {}),
    });
    if (canonical === null) {
      types.set(name, unknownGpu(raw));
      continue;
    }
    const nominal = accelerator(canonical)?.vramGiB ?? 0;
    const count = listed > 0 ? listed : vram === null ? 0 : sliceOf(nominal, vram);
    if (!(count > 0)) {
      types.set(name, `count of "${raw}" is not stated`);
      continue;
    }
    types.set(name, {
      accelerator: canonical,
      count,
      statedVramGiB: vram,
      vcpus: Number(cell('cpu')),
      ramGiB: Number(cell('memory_mib')) / 1024,
      fabric: fabricOf(Number(cell('network_bandwidth_mbps') || '0') / 1_000, Number(cell('efa') || '0') > 0),
    });
  }
  return types;
}

export const AWS_COLUMNS = ['region', 'instance_type', 'on_demand_usd_per_hour'] as const;
export const AWS_TYPE_COLUMNS = [
  'instance_type',
  'cpu',
  'memory_mib',
  'gpu_name',
  'gpu_count',
  'gpu_memory_mib',
] as const;

/** EC2 on-demand prices joined with the instance types. Linux is billed by the second, one minute at least. */
export function importAws(instanceTypesCsv: string, onDemandCsv: string, observedAtMs: number): ImportResult {
  const list = new OfferList('aws-ec2', observedAtMs);
  const types = readTypes(instanceTypesCsv);
  for (const { line, cell } of rows(onDemandCsv, ',', AWS_COLUMNS)) {
    const sku = cell('instance_type');
    const type = types.get(sku) ?? 'instance type is in no list: accelerator unknown';
    if (typeof type === 'string') {
      list.skip(line, `${sku}: ${type}`);
      continue;
    }
    const price = cell('on_demand_usd_per_hour');
    const pricePerHour = amount(price);
    if (pricePerHour === null) {
      list.skip(line, `${sku}: "${price}" is no price`);
      continue;
    }
    list.add(line, {
      provider: 'aws',
      providerKind: 'hyperscaler',
      sku,
      region: cell('region'),
      country: countryOf('aws', cell('region')),
      accelerator: type.accelerator,
      count: type.count,
      statedVramGiB: type.statedVramGiB,
      interconnect: interconnectOf(type.accelerator, type.count, type.fabric),
      vcpus: type.vcpus,
      ramGiB: type.ramGiB,
      pricing: 'on-demand',
      pricePerHour,
      billing: { minimumS: 60, incrementS: 1 },
      confidence: 0.95,
    });
  }
  return list.result();
}

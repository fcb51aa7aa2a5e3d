import { fromRow, type Accelerator } from './accelerator.js';
import { nvidiaDatacenter } from './tables/nvidia-datacenter.js';
import { nvidiaWorkstation } from './tables/nvidia-workstation.js';
import { amd, aws, cpu, google, intel, qualcomm } from './tables/other-makers.js';

/** Every accelerator Berth knows. Within a family the weaker form comes first: that is what an unclear name counts as. */
export const accelerators: readonly Accelerator[] = [
  ...nvidiaDatacenter.map((r) => fromRow('nvidia', r)),
  ...nvidiaWorkstation.map((r) => fromRow('nvidia', r)),
  ...amd.map((r) => fromRow('amd', r)),
  ...google.map((r) => fromRow('google', r)),
  ...aws.map((r) => fromRow('aws', r)),
  ...intel.map((r) => fromRow('intel', r)),
  ...qualcomm.map((r) => fromRow('qualcomm', r)),
  ...cpu.map((r) => fromRow('cpu', r)),
];

const byName = new Map(accelerators.map((a) => [a.name, a]));

/** The accelerator of that canonical name. */
export function accelerator(name: string): Accelerator | undefined {
  return byName.get(name);
}

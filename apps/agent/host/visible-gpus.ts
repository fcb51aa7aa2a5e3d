import type { WorkItem } from '#contracts';

/**
 * The variables by which the makers' runtimes show a process some GPUs of a machine and no others; none when the work may see all.
 * CUDA numbers GPUs by speed unless told to number them as nvidia-smi does, by their place on the bus.
 * A MIG instance is named by its UUID: it has no index that CUDA would count.
 */
export function visibleGpus(gpus: WorkItem['gpus']): Record<string, string> {
  if (!gpus) return {};
  if (gpus.mig !== undefined) return { CUDA_VISIBLE_DEVICES: gpus.mig };
  const indices = gpus.indices.join(',');
  return gpus.vendor === 'nvidia'
    ? { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: indices }
    : { HIP_VISIBLE_DEVICES: indices };
}

/** Dotted numbers compared part by part; missing parts count as 0. Null where either is no version. */
export function compareVersions(a: string, b: string): number | null {
  const [x, y] = [parts(a), parts(b)];
  if (!x || !y) return null;
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function parts(version: string): number[] | null {
  const found = /^\d+(\.\d+)*/.exec(version.trim());
  return found ? found[0].split('.').map(Number) : null;
}

/**
 * Least Linux driver that came with each CUDA toolkit: NVIDIA, "CUDA Toolkit Release Notes", table "CUDA Toolkit and
 * Corresponding Driver Versions" (docs.nvidia.com/cuda/cuda-toolkit-release-notes), as of 13.3; 13.4 comes without a driver.
 * An older driver of the same major version may run parts of it ("minor version compatibility": 525 for 12.x, 580 for 13.x);
 * images check for this one.
 */
const LEAST_DRIVER: readonly (readonly [cuda: string, driver: string])[] = [
  ['13.3', '610.43.02'],
  ['13.2', '595.45.04'],
  ['13.1', '590.44.01'],
  ['13.0', '580.65.06'],
  ['12.9', '575.51.03'],
  ['12.8', '570.26'],
  ['12.6', '560.28.03'],
  ['12.5', '555.42.02'],
  ['12.4', '550.54.14'],
  ['12.3', '545.23.06'],
  ['12.2', '535.54.03'],
  ['12.1', '530.30.02'],
  ['12.0', '525.60.13'],
  ['11.8', '520.61.05'],
  ['11.7', '515.43.04'],
  ['11.6', '510.39.01'],
  ['11.5', '495.29.05'],
  ['11.4', '470.42.01'],
  ['11.3', '465.19.01'],
  ['11.2', '460.27.03'],
  ['11.1', '455.23'],
  ['11.0', '450.36.06'],
  ['10.2', '440.33'],
  ['10.1', '418.39'],
  ['10.0', '410.48'],
  ['9.2', '396.26'],
  ['9.1', '390.46'],
  ['9.0', '384.81'],
  ['8.0', '375.26'],
];

/** The least NVIDIA driver that runs that CUDA version; null where the version is not known (newer than the table). */
export function leastDriverFor(cuda: string): string | null {
  const row = LEAST_DRIVER.find(([known]) => (compareVersions(cuda, known) ?? -1) >= 0);
  if (!row) return null;
  // 12.7 was never a toolkit of its own: it needs what 12.6 needs. What is newer than the table is not known.
  const newest = LEAST_DRIVER[0]?.[0] ?? '';
  return (compareVersions(majorMinor(cuda), newest) ?? 1) > 0 ? null : row[1];
}

const majorMinor = (version: string): string => version.split('.').slice(0, 2).join('.');

/** By canonical name, first match: NVIDIA, "CUDA GPU Compute Capability" (developer.nvidia.com/cuda-gpus). */
const CAPABILITY: readonly (readonly [name: RegExp, capability: string])[] = [
  [/^G?B300/, '10.3'],
  [/^G?B200/, '10.0'],
  [/^(RTX-PRO-|RTX-50)/, '12.0'],
  [/^(GH200|H200|H100|H800|H20)/, '9.0'],
  [/^(L40S?|L4|RTX-\d000-Ada|RTX-40\d0.*)$/, '8.9'],
  [/^(A100|A800|A30$)/, '8.0'],
  [/^(A40|A16|A10G?|A2|RTX-A\d+|RTX-30.*)$/, '8.6'],
  [/^(T4G?|Quadro-RTX-\d+|RTX-20.*|Titan-RTX)$/, '7.5'],
  [/^V100/, '7.0'],
  [/^P100/, '6.0'],
  [/^(P40|P4|GTX-10.*)$/, '6.1'],
  [/^M60$/, '5.2'],
  [/^K80$/, '3.7'],
  [/^K520$/, '3.0'],
];

/** Compute capability of an NVIDIA accelerator by its canonical name; null = not known, or another maker's. */
export function computeCapability(name: string): string | null {
  return CAPABILITY.find(([pattern]) => pattern.test(name))?.[1] ?? null;
}

/** Which CUDA versions a card runs, whatever is installed. */
export interface CudaWindow {
  /** The first driver that knows the card, and the CUDA version that it runs: nobody who rents the card out has less. */
  readonly leastDriver: string;
  readonly leastCuda: string;
  /** The last toolkit that makes code for it; null = the newest does. */
  readonly lastCuda: string | null;
}

/**
 * By compute capability. Toolkits: NVIDIA, "CUDA Toolkit Release Notes", "Deprecated Architectures" (13.0 leaves out Maxwell, Pascal and
 * Volta), and "CUDA Toolkit, Driver and Architecture Matrix" (docs.nvidia.com/datacenter/tesla/drivers: 12.0 leaves out the last Kepler,
 * 11.0 the first). First drivers by their branch, the older one where a card was known before the toolkit for it came.
 */
const WINDOWS: Readonly<Record<string, CudaWindow>> = {
  '10.3': { leastDriver: '570', leastCuda: '12.8', lastCuda: null },
  '12.0': { leastDriver: '570', leastCuda: '12.8', lastCuda: null },
  '10.0': { leastDriver: '570', leastCuda: '12.8', lastCuda: null },
  '9.0': { leastDriver: '515', leastCuda: '11.7', lastCuda: null },
  '8.9': { leastDriver: '520', leastCuda: '11.8', lastCuda: null },
  '8.6': { leastDriver: '455', leastCuda: '11.1', lastCuda: null },
  '8.0': { leastDriver: '450', leastCuda: '11.0', lastCuda: null },
  '7.5': { leastDriver: '410', leastCuda: '10.0', lastCuda: null },
  '7.0': { leastDriver: '384', leastCuda: '9.0', lastCuda: '12.9' },
  '6.1': { leastDriver: '367', leastCuda: '8.0', lastCuda: '12.9' },
  '6.0': { leastDriver: '367', leastCuda: '8.0', lastCuda: '12.9' },
  '5.2': { leastDriver: '340', leastCuda: '6.5', lastCuda: '12.9' },
  '3.7': { leastDriver: '340', leastCuda: '6.5', lastCuda: '11.8' },
  '3.0': { leastDriver: '304', leastCuda: '5.0', lastCuda: '10.2' },
};

/** What CUDA a card of that compute capability runs; null where the capability is not known. */
export function cudaWindow(capability: string): CudaWindow | null {
  return Object.hasOwn(WINDOWS, capability) ? (WINDOWS[capability] ?? null) : null;
}

/**
 * The first ROCm release that supports a card, by its canonical name: AMD, release notes of ROCm 6.0 (gfx942) and 7.0 (gfx950). Older
 * cards are older than any release that is asked for.
 */
const LEAST_ROCM: Readonly<Record<string, string>> = { MI355X: '7.0', MI350X: '7.0', MI325X: '6.0', MI300X: '6.0' };

/** The ROCm version that every machine with that accelerator has at least; null = not known. */
export function leastRocm(name: string): string | null {
  return Object.hasOwn(LEAST_ROCM, name) ? (LEAST_ROCM[name] ?? null) : null;
}

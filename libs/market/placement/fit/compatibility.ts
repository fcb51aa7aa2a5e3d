import type { Workload } from '#contracts';
import { compareVersions, computeCapability, cudaWindow, leastDriverFor, leastRocm } from '#hardware';
import type { Machine } from '../columns/catalog-index.js';

/** One thing that is needed and known to be too old, too new or another maker's. */
export interface Shortfall {
  readonly what: 'driver' | 'CUDA' | 'ROCm' | 'compute capability';
  /** The version that is needed; with `leastDriver` the CUDA version that takes that driver. */
  readonly needed: string;
  readonly leastDriver?: string;
  /** What the machine has; null = it is another maker's. */
  readonly has: string | null;
}

export interface Compatibility {
  /** Known to be too old, or of a maker whose software it is not. */
  readonly fails: boolean;
  readonly shortfalls: readonly Shortfall[];
  /** What is needed and not known there ("driver"): no reason to refuse, but one to believe less. */
  readonly unknown: readonly string[];
}

const FITS: Compatibility = { fails: false, shortfalls: [], unknown: [] };
/** Belief that is left in a machine of which something that is needed is not known. */
const UNKNOWN_SOFTWARE = 0.9;

/** How far what is not known of a machine's software lets its figures be believed. */
export function softwareTrust(needs: Workload['needs'], machine: Machine): number {
  return compatibility(needs, machine).unknown.length > 0 ? UNKNOWN_SOFTWARE : 1;
}

/**
 * Driver, CUDA, ROCm and compute capability of a machine against what an image or engine needs. Where nobody says what is installed, the
 * card does in part: it runs with no driver older than itself, and the newest toolkits make no code for the oldest cards.
 */
export function compatibility(needs: Workload['needs'], machine: Machine): Compatibility {
  if (!needs) return FITS;
  const { software, acceleratorVendor: vendor, accelerator } = machine;
  const shortfalls: Shortfall[] = [];
  const unknown: string[] = [];
  const foreign = (what: Shortfall['what'], needed: string | undefined, maker: string): boolean => {
    if (needed === undefined || vendor === maker) return false;
    shortfalls.push({ what, needed, has: null });
    return true;
  };
  /** False where neither a statement nor the floor, below which no such machine is, decides. */
  const decided = (asked: Omit<Shortfall, 'has'>, has: string | undefined, floor?: string | null): boolean => {
    const least = asked.leastDriver ?? asked.needed;
    const order = has === undefined ? null : compareVersions(has, least);
    if (has === undefined || order === null) return (compareVersions(floor ?? '', least) ?? -1) >= 0;
    if (order < 0) shortfalls.push({ ...asked, has });
    return true;
  };

  const capability = software?.computeCapability ?? computeCapability(accelerator) ?? undefined;
  const window = capability === undefined ? null : cudaWindow(capability);
  const { driver, cuda, rocm, computeCapability: wanted } = needs;
  if (driver !== undefined && !decided({ what: 'driver', needed: driver }, software?.driver, window?.leastDriver))
    unknown.push('driver');
  if (rocm !== undefined && !foreign('ROCm', rocm, 'amd')) {
    if (!decided({ what: 'ROCm', needed: rocm }, software?.rocm, leastRocm(accelerator))) unknown.push('ROCm');
  }
  if (wanted !== undefined && !foreign('compute capability', wanted, 'nvidia')) {
    if (!decided({ what: 'compute capability', needed: wanted }, capability)) unknown.push('compute capability');
  }
  if (cuda !== undefined && !foreign('CUDA', cuda, 'nvidia')) {
    const release = majorMinor(cuda);
    const last = window?.lastCuda ?? null;
    const leastDriver = leastDriverFor(cuda);
    const byCard = (compareVersions(window?.leastCuda ?? '', release) ?? -1) >= 0;
    if (last !== null && (compareVersions(release, last) ?? 0) > 0)
      shortfalls.push({ what: 'CUDA', needed: cuda, has: last });
    // Either figure decides: the driver says which CUDA it runs, or the table says which driver that takes.
    else if (software?.cuda !== undefined) {
      if (!decided({ what: 'CUDA', needed: cuda }, software.cuda, window?.leastCuda)) unknown.push('CUDA');
    } else if (software?.driver !== undefined && leastDriver !== null) {
      if (!decided({ what: 'driver', needed: cuda, leastDriver }, software.driver) && !byCard) unknown.push('driver');
    } else if (!byCard) unknown.push('driver');
  }
  const fails = shortfalls.length > 0;
  return { fails, shortfalls, unknown: fails ? [] : [...new Set(unknown)] };
}

/** Updates of a CUDA release run on the drivers of that release. */
const majorMinor = (version: string): string => version.split('.').slice(0, 2).join('.');

import type { Workload } from '#contracts';
import { compareVersions, computeCapability, leastDriverFor } from '#hardware';
import type { Machine } from '../columns/catalog-index.js';

export interface Compatibility {
  /** Known to be too old, or of a maker whose software it is not. */
  readonly fails: boolean;
  /** What is needed and not known there ("driver"): no reason to refuse, but one to believe less. */
  readonly unknown: readonly string[];
}

const FITS: Compatibility = { fails: false, unknown: [] };
/** Belief that is left in a machine of which something that is needed is not known. */
const UNKNOWN_SOFTWARE = 0.9;

/** How far what is not known of a machine's software lets its figures be believed. */
export function softwareTrust(needs: Workload['needs'], machine: Machine): number {
  return compatibility(needs, machine).unknown.length > 0 ? UNKNOWN_SOFTWARE : 1;
}

/** Driver, CUDA, ROCm and compute capability of a machine against what an image or engine needs. */
export function compatibility(needs: Workload['needs'], machine: Machine): Compatibility {
  if (!needs) return FITS;
  const { software, acceleratorVendor: vendor } = machine;
  const unknown: string[] = [];
  let fails = false;
  const least = (what: string, needed: string | undefined, has: string | null | undefined): void => {
    if (needed === undefined) return;
    const order = has === undefined || has === null ? null : compareVersions(has, needed);
    if (order === null) unknown.push(what);
    else if (order < 0) fails = true;
  };
  if ((needs.cuda !== undefined || needs.computeCapability !== undefined) && vendor !== 'nvidia') fails = true;
  if (needs.rocm !== undefined && vendor !== 'amd') fails = true;
  least('driver', needs.driver, software?.driver);
  least('ROCm', needs.rocm, software?.rocm);
  least(
    'compute capability',
    needs.computeCapability,
    software?.computeCapability ?? computeCapability(machine.accelerator),
  );
  if (needs.cuda !== undefined) {
    // Either figure decides: the driver says which CUDA it runs, or the table says which driver that takes.
    if (software?.cuda !== undefined) least('CUDA', needs.cuda, software.cuda);
    else least('driver', leastDriverFor(needs.cuda) ?? 'unknown', software?.driver);
  }
  return { fails, unknown: fails ? [] : [...new Set(unknown)] };
}

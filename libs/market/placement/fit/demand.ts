import type { Workload } from '#contracts';
import type { Machine } from '../columns/catalog-index.js';
import type { Speeds } from '../cost/speeds.js';
import { fabricShare, usualShare, type FabricShare } from './fabric.js';

/** A workload made ready for testing many offers: texts parsed once, lists as sets, names in one case. */
export interface Demand {
  readonly workload: Workload;
  /** Accelerators wanted per machine; 0 = a CPU is enough. */
  readonly count: number;
  readonly models: readonly string[] | null;
  readonly regions: ReadonlySet<string> | null;
  readonly countries: ReadonlySet<string> | null;
  readonly providers: ReadonlySet<string> | null;
  readonly excludeProviders: ReadonlySet<string>;
  readonly certifications: readonly string[];
  /** Nano-dollars per hour, all machines together, and for the whole work. */
  readonly maxPricePerHour: number;
  readonly maxTotal: number;
  readonly deadlineS: number;
}

const lower = (list: readonly string[]): Set<string> => new Set(list.map((x) => x.toLowerCase()));

export function demandOf(workload: Workload): Demand {
  const c = workload.constraints;
  return {
    workload,
    count: workload.accelerator?.count ?? 0,
    models: workload.accelerator?.models ?? null,
    regions: c.regions ? lower(c.regions) : null,
    countries: c.countries ? lower(c.countries) : null,
    providers: c.providers ? lower(c.providers) : null,
    excludeProviders: lower(c.excludeProviders ?? []),
    certifications: [...lower(c.certifications ?? [])],
    maxPricePerHour: c.maxPricePerHour === undefined ? Infinity : Number(c.maxPricePerHour),
    maxTotal: c.maxTotal === undefined ? Infinity : Number(c.maxTotal),
    deadlineS: c.deadlineS ?? Infinity,
  };
}

/** Accelerators the work uses on that machine: what was asked, not what happens to be there; all of them where nothing was asked. */
export function unitsUsed(demand: Demand, machine: Machine): number {
  return demand.count > 0 ? Math.min(demand.count, machine.count) : machine.count;
}

/**
 * The share of their summed speed that the accelerators of the demand keep on that machine. Work by tokens runs as replicas
 * that need nobody: only where the weights do not fit one accelerator does the link between them count.
 */
export function fabricOf(speeds: Speeds, demand: Demand, machine: Machine): FabricShare {
  const { work, nodes } = demand.workload;
  const units = unitsUsed(demand, machine);
  if (work.kind === 'wall-hours') return { efficiency: 1, assumed: [] };
  if (work.kind === 'gpu-hours') return fabricShare(speeds, machine, units, nodes);
  const weightsGiB = (work.parametersB * 1e9 * work.bytesPerParameter) / 2 ** 30;
  return weightsGiB > machine.vramGiB ? fabricShare(speeds, machine, units, 1) : { efficiency: 1, assumed: [] };
}

/** Times longer than over the usual link of that accelerator, which the speed of the whole machine counts already. */
function slowdown(speeds: Speeds, demand: Demand, machine: Machine): number {
  const { efficiency } = fabricOf(speeds, demand, machine);
  if (efficiency === 1) return 1;
  return usualShare(speeds, machine.accelerator, unitsUsed(demand, machine)) / efficiency;
}

/**
 * Seconds of useful work on that machine, or null where the work cannot be done or its speed is not known.
 * `gpu-hours` are hours on `count` units of the reference, so the time is scaled by how both machines compare at the
 * units used; tokens are shared by the machines of a gang.
 */
export function usefulTime(speeds: Speeds, demand: Demand, machine: Machine): number | null {
  const { work, nodes } = demand.workload;
  if (work.kind === 'wall-hours') return work.hours * 3_600;
  const units = unitsUsed(demand, machine);
  const here = speeds.usefulSeconds(work, machine.accelerator, units, machine.vcpus);
  if (here === null) return null;
  const slower = slowdown(speeds, demand, machine);
  if (work.kind === 'tokens') return (here * slower) / nodes;
  const onReference = speeds.usefulSeconds(work, work.reference, Math.max(1, demand.count), null);
  if (onReference === null || onReference <= 0) return null;
  return work.hours * 3_600 * (here / onReference) * slower;
}

import { migGeometry, migLayout, migProfile, normalizeAccelerator } from '#hardware';
import type { HostFacts } from '#contracts';
import { gpusTogether } from '#market/packing';
import { domainsOf, idleGpus, soldGpus } from './host-gpus.js';
import type { SlotRow } from './hosts.table.js';

/**
 * What a GPU is counted in, so that whole ones, MIG instances (eighths or quarters of the memory) and up to eight time slices all
 * are whole numbers of it.
 */
export const GPU_SHARES = 840;
/** Time slices that a GPU is offered in at most. */
export const MOST_TIME_SLICES = 8;

/** A part of one GPU, as a range of its shares; no two that are taken overlap. */
export interface GpuPart {
  readonly gpuIndex: number;
  readonly shareFrom: number;
  readonly shareTo: number;
  /** A MIG instance by its UUID; null for a time slice, which is the GPU itself. */
  readonly device: string | null;
}

/** Parts that are the same to whoever asks: one offer. */
export interface PartKind {
  /** "1g.10gb" or "1of4". */
  readonly name: string;
  readonly isolation: 'mig' | 'time-slice';
  /** GPUs that it is worth to work: the lesser of its compute and its memory. */
  readonly count: number;
  /** Shares that nobody else can use because of it: the larger of its compute and its memory. Its price. */
  readonly takes: number;
  readonly vramGiB: number;
  readonly parts: readonly GpuPart[];
}

/** The parts that a host's GPUs are offered in: the MIG instances that its agent found, and time slices of the GPUs without MIG. */
export function partKinds(facts: HostFacts, timeSlices: number): PartKind[] {
  return [...migKinds(facts), ...(timeSlices > 1 ? [sliceKind(facts, timeSlices)] : [])].filter(
    ({ parts }) => parts.length > 0,
  );
}

function migKinds(facts: HostFacts): PartKind[] {
  const kinds = new Map<string, PartKind & { parts: GpuPart[] }>();
  for (const gpu of soldGpus(facts)) {
    const geometry = migGeometry(normalizeAccelerator(gpu.name, { vramGiB: gpu.vramGiB }) ?? '');
    const layout = geometry && gpu.mig ? migLayout(geometry, gpu.mig) : null;
    // Instances that cannot be on one GPU together are no measurement: none of them is sold.
    if (!geometry || !gpu.mig || !layout) continue;
    const memorySlice = GPU_SHARES / geometry.memorySlices;
    gpu.mig.forEach((instance, i) => {
      const profile = migProfile(geometry, instance.profile);
      const at = layout[i];
      if (!profile || !at) return;
      const compute = profile.computeSlices / geometry.computeSlices;
      const memory = profile.memorySlices / geometry.memorySlices;
      const kind = kinds.get(profile.name) ?? {
        name: profile.name,
        isolation: 'mig',
        count: thousandths(Math.min(compute, memory)),
        takes: Math.round(GPU_SHARES * Math.max(compute, memory)),
        vramGiB: tenths(gpu.vramGiB * memory),
        parts: [],
      };
      kinds.set(profile.name, kind);
      kind.parts.push({
        gpuIndex: gpu.index,
        shareFrom: at.start * memorySlice,
        shareTo: (at.start + at.size) * memorySlice,
        device: instance.uuid,
      });
    });
  }
  return [...kinds.values()].toSorted((a, b) => a.takes - b.takes || (a.name < b.name ? -1 : 1));
}

function sliceKind(facts: HostFacts, slices: number): PartKind {
  const whole = soldGpus(facts).filter((gpu) => gpu.mig === undefined);
  const size = GPU_SHARES / slices;
  return {
    name: `1of${slices}`,
    isolation: 'time-slice',
    count: thousandths(1 / slices),
    takes: Math.round(size),
    vramGiB: tenths((whole[0]?.vramGiB ?? 0) / slices),
    parts: whole.flatMap(({ index: gpuIndex }) =>
      Array.from({ length: slices }, (_, k) => ({
        gpuIndex,
        shareFrom: Math.round(k * size),
        shareTo: Math.round((k + 1) * size),
        device: null,
      })),
    ),
  };
}

/** Parts of a kind that nobody has any of, as far as the host may start further GPUs for them. */
export function freeParts(kind: PartKind, taken: readonly SlotRow[], slotCount: number): GpuPart[] {
  const started = startedGpus(taken);
  const devices = new Set(taken.flatMap(({ device }) => device ?? []));
  const free = kind.parts.filter(
    (part) => (part.device === null || !devices.has(part.device)) && !taken.some((slot) => overlaps(part, slot)),
  );
  const on = free.filter((part) => started.has(part.gpuIndex));
  const further = [...new Set(free.map((part) => part.gpuIndex))].filter((gpu) => !started.has(gpu));
  const may = new Set(further.slice(0, Math.max(0, slotCount - started.size)));
  return [...on, ...free.filter((part) => may.has(part.gpuIndex))];
}

/**
 * The part that the next lease gets: on the GPU with the least left, so that the others stay whole; of GPUs that nobody uses
 * one of the fullest NVLink domain. Null: none is free.
 */
export function partFor(
  kind: PartKind,
  facts: HostFacts,
  taken: readonly SlotRow[],
  slotCount: number,
): GpuPart | null {
  const started = startedGpus(taken);
  const sharesTaken = (gpu: number): number =>
    taken.reduce((sum, s) => sum + (s.gpuIndex === gpu ? s.shareTo - s.shareFrom : 0), 0);
  const open = freeParts(kind, taken, slotCount);
  const [best] = open
    .filter((part) => started.has(part.gpuIndex))
    .toSorted(
      (a, b) =>
        sharesTaken(b.gpuIndex) - sharesTaken(a.gpuIndex) || a.gpuIndex - b.gpuIndex || a.shareFrom - b.shareFrom,
    );
  if (best || started.size >= slotCount) return best ?? null;
  const gpu = gpusTogether(domainsOf(facts), idleGpus(facts, taken), 1)?.[0];
  const fresh = open.filter((part) => !started.has(part.gpuIndex));
  return fresh.find((part) => part.gpuIndex === gpu) ?? fresh[0] ?? null;
}

/** GPUs of which somebody has something. */
export function startedGpus(taken: readonly SlotRow[]): Set<number> {
  return new Set(taken.flatMap(({ gpuIndex }) => gpuIndex ?? []));
}

const overlaps = (part: GpuPart, slot: SlotRow): boolean =>
  slot.gpuIndex === part.gpuIndex && slot.shareFrom < part.shareTo && part.shareFrom < slot.shareTo;

const thousandths = (x: number): number => Math.round(x * 1_000) / 1_000;
const tenths = (x: number): number => Math.round(x * 10) / 10;

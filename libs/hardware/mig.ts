import { accelerator } from './accelerators.js';

/** A hardware partition of a GPU (NVIDIA Multi-Instance GPU): compute and memory of its own. */
export interface MigProfile {
  /** As the driver prints it: compute slices, then memory ("1g.10gb"). */
  readonly name: string;
  /** Of the GPU's compute slices and memory slices. */
  readonly computeSlices: number;
  readonly memorySlices: number;
  /** Memory slices that an instance may begin at. */
  readonly starts: readonly number[];
}

/** How a GPU that can be partitioned is cut. */
export interface MigGeometry {
  readonly computeSlices: number;
  readonly memorySlices: number;
  readonly profiles: readonly MigProfile[];
}

/** Where an instance lies: memory slices [start, start + size). */
export interface MigPlacement {
  readonly start: number;
  readonly size: number;
}

/** [compute slices, memory slices, starts]: the same for every GPU of that cut, whatever its memory. */
type Shape = readonly [number, number, readonly number[]];
interface Cut {
  readonly compute: number;
  readonly memory: number;
  readonly shapes: readonly Shape[];
}

/** Shapes and placements as the NVIDIA MIG User Guide lists them under "Supported MIG Profiles" (`nvidia-smi mig -lgipp`). */
const SEVEN: Cut = {
  compute: 7,
  memory: 8,
  shapes: [
    [1, 1, [0, 1, 2, 3, 4, 5, 6]],
    [1, 2, [0, 2, 4, 6]],
    [2, 2, [0, 2, 4]],
    [3, 4, [0, 4]],
    [4, 4, [0]],
    [7, 8, [0]],
  ],
};
const FOUR: Cut = {
  compute: 4,
  memory: 4,
  shapes: [
    [1, 1, [0, 1, 2, 3]],
    [2, 2, [0, 2]],
    [4, 4, [0]],
  ],
};

/** Gigabytes in the profiles' names, in the order of the shapes: the driver rounds each figure in its own way. */
const GIGABYTES: Readonly<Record<string, readonly [Cut, readonly number[]]>> = {
  A30: [FOUR, [6, 12, 24]],
  'A100-40GB-PCIe': [SEVEN, [5, 10, 10, 20, 20, 40]],
  'A100-40GB-SXM': [SEVEN, [5, 10, 10, 20, 20, 40]],
  'A100-80GB-PCIe': [SEVEN, [10, 20, 20, 40, 40, 80]],
  'A100-80GB-SXM': [SEVEN, [10, 20, 20, 40, 40, 80]],
  'H100-PCIe': [SEVEN, [10, 20, 20, 40, 40, 80]],
  'H100-SXM': [SEVEN, [10, 20, 20, 40, 40, 80]],
  'H100-NVL': [SEVEN, [12, 24, 24, 47, 47, 94]],
  GH200: [SEVEN, [12, 24, 24, 48, 48, 96]],
  H200: [SEVEN, [18, 35, 35, 71, 71, 141]],
  'H200-NVL': [SEVEN, [18, 35, 35, 71, 71, 141]],
  B200: [SEVEN, [23, 45, 45, 90, 90, 180]],
};

/** How an accelerator is cut; null where it cannot be, or where its profiles are not known here. */
export function migGeometry(acceleratorName: string): MigGeometry | null {
  const name = accelerator(acceleratorName)?.name ?? acceleratorName;
  const found = Object.hasOwn(GIGABYTES, name) ? GIGABYTES[name] : undefined;
  if (!found) return null;
  const [cut, gigabytes] = found;
  const profiles = cut.shapes.map(([computeSlices, memorySlices, starts], i) => ({
    name: `${computeSlices}g.${gigabytes[i] ?? 0}gb`,
    computeSlices,
    memorySlices,
    starts,
  }));
  return { computeSlices: cut.compute, memorySlices: cut.memory, profiles };
}

/** Every profile's name, of whatever accelerator. */
export function migProfileNames(): string[] {
  return [...new Set(Object.keys(GIGABYTES).flatMap((name) => migGeometry(name)?.profiles.map((p) => p.name) ?? []))];
}

/** A profile by its name. Media extensions ("1g.10gb+me") change nothing of where it may lie. */
export function migProfile(geometry: MigGeometry, name: string): MigProfile | null {
  const plain = name.replace(/\+me$/, '');
  return geometry.profiles.find((p) => p.name === plain) ?? null;
}

/**
 * Where the named instances can lie on one GPU together, in their order; null where they cannot, or one is no profile of it. What
 * exists already is given with its place, and keeps it.
 */
export function migLayout(
  geometry: MigGeometry,
  instances: readonly { readonly profile: string; readonly start?: number | undefined }[],
): MigPlacement[] | null {
  if (instances.length > geometry.memorySlices) return null;
  const wanted = instances.map(({ profile, start }, i) => ({ i, start, profile: migProfile(geometry, profile) }));
  if (wanted.some(({ profile }) => profile === null)) return null;
  const slicesOf = (of: 'computeSlices' | 'memorySlices'): number =>
    wanted.reduce((sum, { profile }) => sum + (profile?.[of] ?? 0), 0);
  if (slicesOf('computeSlices') > geometry.computeSlices || slicesOf('memorySlices') > geometry.memorySlices)
    return null;
  const taken = new Array<boolean>(geometry.memorySlices).fill(false);
  const placed = new Array<MigPlacement>(instances.length);
  // What has the fewest places goes first; the rest finds room or sends it elsewhere.
  const order = wanted.toSorted(
    (a, b) =>
      Number(a.start === undefined) - Number(b.start === undefined) ||
      (b.profile?.memorySlices ?? 0) - (a.profile?.memorySlices ?? 0) ||
      (b.profile?.computeSlices ?? 0) - (a.profile?.computeSlices ?? 0),
  );
  const place = (n: number): boolean => {
    const next = order[n];
    if (!next?.profile) return true;
    const { memorySlices: size, starts } = next.profile;
    const before = order[n - 1];
    // Instances of one kind are alike: each lies before the last one, or every order of them would be tried.
    const end = before?.start === undefined && before?.profile === next.profile ? placed[before.i]?.start : undefined;
    const tries = starts.filter((start) =>
      next.start === undefined ? end === undefined || start < end : start === next.start,
    );
    // From the end: the large profiles lie at the beginning.
    for (const start of tries.toReversed()) {
      if (taken.slice(start, start + size).some(Boolean)) continue;
      taken.fill(true, start, start + size);
      placed[next.i] = { start, size };
      if (place(n + 1)) return true;
      taken.fill(false, start, start + size);
    }
    return false;
  };
  return place(0) ? placed : null;
}

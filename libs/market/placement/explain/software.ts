import { compareVersions } from '#hardware';
import type { Shortfall } from '../fit/compatibility.js';

/** What offers lack of the software that is needed: for each thing the newest that any of them has. */
export interface SoftwareFigures {
  readonly offers: number;
  readonly newest: readonly Shortfall[];
}

/** Of shortfalls in the same thing the one that is nearest to what is needed; another maker's is the farthest. */
export function newestOf(shortfalls: readonly Shortfall[]): Shortfall[] {
  const best = new Map<string, Shortfall>();
  for (const found of shortfalls) {
    const key = `${found.what} ${found.needed} ${found.leastDriver ?? ''}`;
    const before = best.get(key);
    if (!before || isNewer(found.has, before.has)) best.set(key, found);
  }
  return [...best.values()];
}

const isNewer = (a: string | null, b: string | null): boolean =>
  a !== null && (b === null || (compareVersions(a, b) ?? -1) > 0);

const makers: Readonly<Record<Shortfall['what'], string>> = {
  driver: 'NVIDIA',
  CUDA: 'NVIDIA',
  'compute capability': 'NVIDIA',
  ROCm: 'AMD',
};

/** "CUDA 12.8 (driver 570.26)" and "the newest driver among 41 offers that match otherwise is 550.54". */
export function softwareWish(
  { what, needed, leastDriver, has }: Shortfall,
  offers: number,
): { asked: string; found: string } {
  const asked =
    leastDriver === undefined ? `${what} ${needed}` : `CUDA ${needed}, which needs driver ${leastDriver} or newer`;
  const among = offers === 1 ? 'the only offer that matches otherwise' : `the ${offers} offers that match otherwise`;
  if (has === null) {
    const none = offers === 1 ? `${among} is not of` : `none of ${among} is of`;
    return { asked, found: `${none} ${makers[what]}` };
  }
  const most = what === 'compute capability' ? 'highest' : 'newest';
  const found = offers === 1 ? `${among} has ${what} ${has}` : `the ${most} ${what} among ${among} is ${has}`;
  return { asked, found };
}

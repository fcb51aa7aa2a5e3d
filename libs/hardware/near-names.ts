import { editDistance } from '#kernel';
import { accelerators } from './accelerators.js';
import { acceleratorMatches, bareKey, formIn, spellings } from './names.js';

/** Whether a name that somebody wrote is that of an accelerator of the table, or of several. */
export function isAccelerator(wanted: string): boolean {
  return accelerators.some((a) => acceleratorMatches(wanted, a.name));
}

/** Another form of the right family is nearer than another family. */
const OTHER_FORM = 0.25;
/** Letters that are taken for figures. */
const ALIKE = new Set(['0o', 'o0', '1l', 'l1', '1i', 'i1', '5s', 's5', '8b', 'b8']);

/**
 * Canonical names that somebody may have meant, nearest first: by the edits between the bare names ("H10O" to "H100"; also in the
 * spellings of price lists), a form or memory that was said apart. None where nothing is near.
 */
export function nearestAccelerators(wanted: string, most = 4): string[] {
  const key = bareKey(wanted);
  const form = formIn(wanted);
  // One wrong letter in a short name, a third of a long one.
  const limit = Math.max(1, Math.floor(key.length / 3));
  const distances = new Map<string, number>();
  for (const [spelling, family] of spellings()) {
    const d = editDistance(key, spelling, wrongLetter);
    if (d <= limit && d < (distances.get(family) ?? Infinity)) distances.set(family, d);
  }
  return accelerators
    .flatMap((a) => {
      const distance = distances.get(a.family);
      if (distance === undefined) return [];
      const other = form !== null && a.form !== null && a.form !== form;
      return [{ name: a.name, distance: distance + (other ? OTHER_FORM : 0) }];
    })
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, most)
    .map(({ name }) => name);
}

const wrongLetter = (x: string, y: string): number => (ALIKE.has(x + y) ? 0.5 : 1);

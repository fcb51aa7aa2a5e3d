import { CATALOG_IMPORT_LINES } from '#contracts';
import { DomainError } from '#kernel';

/** The refusal of a list that is larger than one import may be. */
export const tooMuch = (message: string, limit: number): DomainError =>
  new DomainError('too-large', 'list-too-large', message, {
    fix: 'Cut it by rows and import the parts one after another; what a part lacks stays as it is.',
    facts: { limit },
  });

/** Refuses more of something than the lines that a list may have: what is read of a list takes time by its length. */
export function refuseTooMany(count: number, what: string): void {
  if (count > CATALOG_IMPORT_LINES)
    throw tooMuch(`The list has ${count} ${what}; the most is ${CATALOG_IMPORT_LINES}.`, CATALOG_IMPORT_LINES);
}

/** Columns of a list; every line is read by all of them. */
const COLUMNS_MOST = 200;

/** Refuses a heading that no price list has: a few lines under a million names would keep everybody waiting for a minute. */
export function refuseTooManyColumns(count: number): void {
  if (count > COLUMNS_MOST)
    throw new DomainError(
      'invalid',
      'not-this-format',
      `The heading has ${count} columns; the most is ${COLUMNS_MOST}.`,
    );
}

/** Lines of a text, whichever of the three line ends it has. */
export function lineCount(text: string): number {
  let lines = 1;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines++;
  for (let at = text.indexOf('\r'); at !== -1; at = text.indexOf('\r', at + 1)) if (text[at + 1] !== '\n') lines++;
  return lines;
}

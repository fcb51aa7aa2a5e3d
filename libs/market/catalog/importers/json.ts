import { DomainError } from '#kernel';
import { z } from 'zod';
import { refuseTooMany } from './bounds.js';

/** The elements of a JSON array, which may be the field `within` of an object. */
export function elements(text: string, what: string, within?: string): unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unreadable';
    throw new DomainError('invalid', 'malformed-json', `The list of ${what} is not JSON: ${why}`);
  }
  const inside = within === undefined ? undefined : z.record(z.string(), z.unknown()).safeParse(value).data?.[within];
  for (const list of [value, inside]) {
    if (!Array.isArray(list)) continue;
    refuseTooMany(list.length, 'elements');
    return list as unknown[];
  }
  const also = within === undefined ? '' : ` and has none as "${within}"`;
  throw new DomainError('invalid', 'not-this-format', `The list of ${what} is JSON, but no array${also}.`);
}

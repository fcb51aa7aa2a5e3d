import { CsvError, parse } from 'csv-parse/sync';
import { DomainError, usd } from '#kernel';
import { refuseTooMany, refuseTooManyColumns } from './bounds.js';

/**
 * Rows of a CSV with a heading, each with the line on which it ends (heading = 1). Unknown columns read as ''; text that is no CSV, or
 * lacks a column of `needed`, is refused.
 */
export function rows(
  text: string,
  delimiter = ',',
  needed: readonly string[] = [],
): { readonly line: number; readonly cell: (name: string) => string }[] {
  let heading: readonly string[] = [];
  try {
    const records: { info: { lines: number }; record: Record<string, string> }[] = parse(text, {
      columns: (names: string[]) => {
        refuseTooManyColumns(names.length);
        return (heading = names.map((name) => name.trim()));
      },
      delimiter,
      bom: true,
      info: true,
      skip_empty_lines: true,
      relax_column_count: true,
    });
    const missing = needed.filter((name) => !heading.includes(name));
    if (missing.length > 0) {
      throw new DomainError('invalid', 'not-this-format', `The heading lacks the columns ${missing.join(', ')}.`, {
        fix: `A file of this format begins with the columns ${needed.join(', ')}.`,
      });
    }
    refuseTooMany(records.length, 'records');
    return records.map(({ info, record }) => ({ line: info.lines, cell: (name) => (record[name] ?? '').trim() }));
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new DomainError('invalid', 'malformed-csv', `This is no CSV: ${error.message}`);
  }
}

/** A number above zero, or null: blanks and zeros mean "not stated" in these lists. A range "12-16" counts as its lower end. */
export function stated(text: string): number | null {
  const match = /^\$?(\d+(?:\.\d+)?)/.exec(text.trim());
  const value = match?.[1] === undefined ? 0 : Number(match[1]);
  return value > 0 ? value : null;
}

/** Dollars as decimal text, with or without the sign of the currency; null for what is no amount, or a billion and more. */
export function amount(text: string): bigint | null {
  const bare = text.trim().replace(/^\$/, '');
  return /^-?\d{1,9}(\.\d{1,20})?$/.test(bare) ? usd(bare) : null;
}

/** Dotted numbers, as a need is held against. */
export const isVersion = (text: string): boolean => /^\d{1,5}(\.\d{1,5}){0,4}$/.test(text);

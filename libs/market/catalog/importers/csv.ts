import { parse } from 'csv-parse/sync';

/** Rows of a CSV with a heading, each with its line number (heading = 1). Unknown columns read as ''. */
export function rows(
  text: string,
  delimiter = ',',
): { readonly line: number; readonly cell: (name: string) => string }[] {
  const records: Record<string, string>[] = parse(text, {
    columns: true,
    delimiter,
    bom: true,
    skip_empty_lines: true,
    relax_column_count: true,
  });
  return records.map((record, i) => ({ line: i + 2, cell: (name) => (record[name] ?? '').trim() }));
}

/** A number above zero, or null: blanks and zeros mean "not stated" in these lists. A range "12-16" counts as its lower end. */
export function stated(text: string): number | null {
  const match = /^\$?(\d+(?:\.\d+)?)/.exec(text.trim());
  const value = match?.[1] === undefined ? 0 : Number(match[1]);
  return value > 0 ? value : null;
}

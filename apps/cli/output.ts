import { dollars, exactDollars, jsonText, plainLine } from './text.js';
import { UsageError } from './exit.js';

/** How this run prints: decided once from the flags and where the output goes. */
export interface Output {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Lists as CSV for spreadsheets: exact amounts, no signs of currency. */
  readonly csv: boolean;
  /** Tables for people on a terminal; tab-separated values for programs. */
  readonly table: boolean;
}

export function outputOf(
  flags: { json?: boolean; csv?: boolean; quiet?: boolean },
  stdout: { isTTY?: boolean } = process.stdout,
  stderr: { isTTY?: boolean } = process.stderr,
): Output {
  const json = flags.json === true;
  const csv = flags.csv === true;
  if (json && csv) throw new UsageError('--json or --csv, not both');
  // A program that asks for JSON reads problems from standard error: nothing else may stand there.
  return {
    json,
    quiet: flags.quiet === true || (json && stderr.isTTY !== true),
    csv,
    table: !csv && stdout.isTTY === true,
  };
}

export interface Column<T> {
  readonly title: string;
  readonly of: (row: T) => string | number | null;
  readonly right?: boolean;
  /** For programs that calculate: what `of` shows, unrounded. */
  readonly exact?: (row: T) => string | number | null;
}

/** An amount in nano-dollars: rounded for people, exact in CSV. */
export function amountColumn<T>(title: string, of: (row: T) => string): Column<T> {
  return { title, of: (row) => dollars(of(row)), exact: (row) => exactDollars(of(row)), right: true };
}

/** Rows as the API's JSON, as an aligned table, or as TSV with a header line. */
export function rowsText<T>(rows: readonly T[], columns: readonly Column<T>[], output: Output): string {
  if (output.json) return `${jsonText(rows)}\n`;
  if (output.csv) return csvText(rows, columns);
  const cells = rows.map((row) => columns.map((c) => plainLine(String(c.of(row) ?? ''))));
  const titles = columns.map((c) => c.title);
  if (!output.table) return [titles, ...cells].map((line) => `${line.join('\t')}\n`).join('');
  if (rows.length === 0) return 'There are none.\n';
  const widths = columns.map((_, i) => Math.max(...[titles, ...cells].map((line) => line[i]?.length ?? 0)));
  const draw = (line: readonly string[]): string =>
    line
      .map((cell, i) => (columns[i]?.right ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [titles.map((t) => t.toUpperCase()), ...cells].map((line) => `${draw(line)}\n`).join('');
}

/** RFC 4180, with a heading; no cell is taken for a formula by a spreadsheet. */
function csvText<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const lines = rows.map((row) => columns.map((c) => plainLine(String((c.exact ?? c.of)(row) ?? ''))));
  return [columns.map((c) => c.title), ...lines].map((line) => `${line.map(csvCell).join(',')}\r\n`).join('');
}

function csvCell(value: string): string {
  const harmless = /^[=+\-@]/.test(value) && !/^-?[\d.]+$/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** One thing: its JSON, or a line for each fact. */
export function factsText(
  value: unknown,
  facts: readonly (readonly [string, string | number | null])[],
  output: Output,
): string {
  if (output.json) return `${jsonText(value)}\n`;
  const shown = facts.filter(([, v]) => v !== null && v !== '');
  const width = output.table ? Math.max(...shown.map(([k]) => k.length)) : 0;
  return shown
    .map(([k, v]) =>
      output.table ? `${k.padEnd(width)}  ${plainLine(String(v))}\n` : `${k}\t${plainLine(String(v))}\n`,
    )
    .join('');
}

export function print(text: string): void {
  process.stdout.write(text);
}

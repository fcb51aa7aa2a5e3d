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
  /** Characters of a line of the terminal, where that is known. */
  readonly width?: number;
}

export function outputOf(
  flags: { json?: boolean; csv?: boolean; quiet?: boolean },
  stdout: { isTTY?: boolean; columns?: number } = process.stdout,
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
    ...(stdout.columns ? { width: stdout.columns } : {}),
  };
}

export interface Column<T> {
  readonly title: string;
  readonly of: (row: T) => string | number | null;
  readonly right?: boolean;
  /** Left out of a table that is too wide for its terminal, the last ones first. */
  readonly spare?: boolean;
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
  const filled = columns.map((column) => ({
    column,
    cells: [column.title, ...rows.map((row) => plainLine(String(column.of(row) ?? '')))],
  }));
  const lines = (of: readonly { readonly cells: readonly string[] }[], gap: string): string[] =>
    ['', ...rows].map((_, i) => of.map(({ cells }) => cells[i] ?? '').join(gap));
  if (!output.table)
    return lines(filled, '\t')
      .map((line) => `${line}\n`)
      .join('');
  if (rows.length === 0) return 'There are none.\n';
  const drawn = filled.map(({ column, cells }) => {
    const width = Math.max(...cells.map((cell) => cell.length));
    const [title = '', ...rest] = cells;
    const padded = [title.toUpperCase(), ...rest].map((c) => (column.right ? c.padStart(width) : c.padEnd(width)));
    return { column, width, cells: padded };
  });
  const kept = fitting(drawn, output.width ?? Infinity);
  const left = drawn.filter((d) => !kept.includes(d)).map((d) => d.column.title);
  const table = lines(kept, '  ').map((line) => `${line.trimEnd()}\n`);
  return `${table.join('')}${left.length > 0 ? `(no room for: ${left.join(', ')})\n` : ''}`;
}

/** As many columns as a line has room for; only spare ones give way. */
function fitting<D extends { readonly column: { readonly spare?: boolean }; readonly width: number }>(
  drawn: readonly D[],
  width: number,
): readonly D[] {
  let kept = drawn;
  while (kept.reduce((sum, d) => sum + d.width + 2, -2) > width) {
    const last = kept.findLastIndex((d) => d.column.spare === true);
    if (last < 0) break;
    kept = kept.filter((_, i) => i !== last);
  }
  return kept;
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

/** Rows of the driver tools' CSV output (no quoting there), cells trimmed; empty lines do not count. */
export function csvRows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.trim().length > 0)
    .map((line) => line.split(',').map((cell) => cell.trim()));
}

/** A number, or null for what the tools print where a card does not tell: `[N/A]`, `[Not Supported]`, nothing. */
export function cellNumber(cell: string | undefined): number | null {
  const value = Number.parseFloat(cell ?? '');
  return Number.isFinite(value) ? value : null;
}
